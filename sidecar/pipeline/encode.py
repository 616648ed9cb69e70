"""From decisions and rejections to records to send. The only stage that writes bytes."""

import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import repeat

import msgspec
import numpy as np

from sidecar.bundle.manifest import Manifest
from sidecar.config.settings import OutputSettings
from sidecar.events import (
    REASON_NAMES,
    SOURCE_NAMES,
    BoolColumn,
    Decision,
    DecisionBatch,
    Float64Column,
    Headers,
    OutboundSlice,
    RecordBatch,
    Rejection,
)
from sidecar.pipeline.envelope import CloudEventEnvelope
from sidecar.pipeline.oip_response import encode_response
from sidecar.pipeline.trace_context import trace_context

CONTENT_TYPE = "application/json"
"""Of the value of a decision."""
ERROR_PREFIX = "sidecar.error."
"""Begins the name of each header that says what happened to a dead letter."""

_DECIMALS = 6
_MILLISECONDS = tuple(f".{rest:03}Z" for rest in range(1000))
_STUB_VALUE = b"{}"
_STUB_FIELDS = ("code", "topic", "partition", "offset")
_ATTEMPTS = re.compile(rb"\d{1,9}")


class Encoder:
    """Writes the records of one bundle's decisions and dead letters."""

    def __init__(
        self,
        manifest: Manifest,
        decisions_topic: str,
        dead_letters_topic: str,
        version: str,
        output: OutputSettings | None = None,
        envelope: CloudEventEnvelope | None = None,
        *,
        propagate: bool = True,
    ) -> None:
        """Keep what every record says.

        Args:
            manifest: Name and version of the model.
            decisions_topic: Where decisions go.
            dead_letters_topic: Where dead letters go.
            version: Of this package, for dead letters.
            output: What decisions look like; the default when absent.
            envelope: What decisions come in; dead letters keep what their events came in.
            propagate: Whether decisions carry a trace context.
        """
        self._model = manifest.name
        self._model_version = manifest.version
        self._decisions_topic = decisions_topic
        self._dead_letters_topic = dead_letters_topic
        self._version = version
        self._envelope = envelope
        self._propagate = propagate
        as_responses = output is not None and output.format == "oip"
        self._encode: Callable[[Decision], bytes] = (
            encode_response if as_responses else msgspec.json.Encoder().encode
        )

    def decisions(self, batch: DecisionBatch, context: Headers = ()) -> list[OutboundSlice]:
        """Write decisions.

        Args:
            batch: The decisions.
            context: Trace context for those whose event has none.

        Returns:
            One slice per partition that has any. Keys are the events' own; equal decisions of
            equal records have equal bytes.
        """
        ids, times = self._ids(batch), _rfc3339(batch.events.event_time_ms)
        values = self._values(batch, ids, times)
        rows = batch.events.rows.tolist()
        headers: Sequence[Headers] | None = self._contexts(batch, rows, context)
        if self._envelope is not None:
            attributes = self._envelope.headers(ids, times, batch.events.ids)
            headers = attributes if headers is None else list(map(_both, attributes, headers))
        keys: Sequence[bytes | None] = batch.events.records.keys
        if len(rows) < len(keys):
            keys = [keys[row] for row in rows]
        return [
            OutboundSlice(
                topic=self._decisions_topic,
                partition=span.partition,
                keys=keys[span.start : span.stop],
                values=values[span.start : span.stop],
                headers=None if headers is None else headers[span.start : span.stop],
                rows=rows[span.start : span.stop],
            )
            for span in batch.events.spans()
        ]

    def dead_letters(
        self, records: RecordBatch, rejections: Sequence[Rejection]
    ) -> list[OutboundSlice]:
        """Write refused records as they came, with headers that say why.

        Args:
            records: The batch that they are in.
            rejections: Which, and why.

        Returns:
            One slice per partition that has any. Earlier `sidecar.error.` headers give way to
            the new ones, and `attempts` counts on from theirs.
        """
        return self._slices(records, rejections, stub=False)

    def stubs(
        self, records: RecordBatch, rejections: Sequence[Rejection]
    ) -> list[OutboundSlice]:
        """Write what is left of dead letters that were refused themselves: where to look.

        Key, value and headers may each be what the broker does not take, so none is kept.

        Args:
            records: The batch that they are in.
            rejections: Which.

        Returns:
            One slice per partition that has any.
        """
        return self._slices(records, rejections, stub=True)

    # --- decisions ---------------------------------------------------------------------------

    def _contexts(
        self, batch: DecisionBatch, rows: Sequence[int], context: Headers
    ) -> list[Headers] | None:
        """Give the trace context of each decision; None when there is none at all."""
        if not self._propagate:
            return None
        said = batch.events.records.headers
        if not any(said):
            return [context] * len(rows) if context else None
        return [trace_context(said[row]) or context for row in rows]

    def _values(
        self, batch: DecisionBatch, ids: Sequence[str], times: Sequence[str]
    ) -> list[bytes]:
        events = batch.events
        vocabulary: tuple[str | None, ...] = (*batch.vocabulary, None)  # -1 is the last one
        rules: tuple[str | None, ...] = (*batch.rules, None)
        decisions = map(
            Decision,
            ids,
            events.ids,
            times,
            repeat(self._model),
            self._versions(batch),
            map(SOURCE_NAMES.__getitem__, batch.source.tolist()),
            map(REASON_NAMES.__getitem__, batch.reason.tolist()),
            map(vocabulary.__getitem__, batch.label.tolist()),
            _rounded(batch.score),
            _rounded(batch.confidence),
            map(rules.__getitem__, batch.rule.tolist()),
            _flags(events.missing, events.future),
        )
        return list(map(self._encode, decisions))

    def _ids(self, batch: DecisionBatch) -> list[str]:
        records, rows = batch.events.records, batch.events.rows
        # A newline is in none of the three, so no two triples give the same text.
        what = f"{records.topic}\n{self._model}\n{self._model_version}"
        digest = sha256(what.encode()).hexdigest()[:16]
        offsets = records.offsets[rows].tolist()
        ids: list[str] = []
        for partition, start, stop in batch.events.spans():
            begin = f"{digest}-{partition}-"
            ids += [f"{begin}{offset}" for offset in offsets[start:stop]]
        return ids

    def _versions(self, batch: DecisionBatch) -> Iterable[str]:
        if batch.events.upstream is None:
            return repeat(self._model_version)
        return [
            (prediction and prediction.version) or self._model_version
            for prediction in batch.events.upstream
        ]

    # --- dead letters ------------------------------------------------------------------------

    def _slices(
        self, records: RecordBatch, rejections: Sequence[Rejection], *, stub: bool
    ) -> list[OutboundSlice]:
        return [
            self._slice(records, span.partition, inside, stub=stub)
            for span in records.spans
            if (inside := [r for r in rejections if span.start <= r.row < span.stop])
        ]

    def _slice(
        self,
        records: RecordBatch,
        partition: int,
        rejections: Sequence[Rejection],
        *,
        stub: bool,
    ) -> OutboundSlice:
        rows = [rejection.row for rejection in rejections]
        headers = self._headers(records, partition, rejections)
        if stub:
            kept = {f"{ERROR_PREFIX}{name}" for name in _STUB_FIELDS}
            headers = [[header for header in each if header[0] in kept] for each in headers]
        return OutboundSlice(
            topic=self._dead_letters_topic,
            partition=partition,
            keys=[None if stub else records.keys[row] for row in rows],
            values=[_STUB_VALUE if stub else records.values[row] for row in rows],
            headers=headers,
            rows=rows,
        )

    def _headers(
        self, records: RecordBatch, partition: int, rejections: Sequence[Rejection]
    ) -> list[list[tuple[str, bytes | None]]]:
        """Give the headers of each letter: its own, and what is said of it."""
        rows = [rejection.row for rejection in rejections]
        topic = (f"{ERROR_PREFIX}topic", records.topic.encode())
        from_partition = (f"{ERROR_PREFIX}partition", b"%d" % partition)
        version = (f"{ERROR_PREFIX}version", self._version.encode())
        where = zip(
            records.offsets[rows].tolist(), records.timestamps_ms[rows].tolist(), strict=True
        )
        return [
            [
                *_not_ours(original := records.headers[rejection.row]),
                (f"{ERROR_PREFIX}code", rejection.code.value.encode()),
                (f"{ERROR_PREFIX}stage", rejection.stage.value.encode()),
                (f"{ERROR_PREFIX}message", rejection.message.encode()),
                (f"{ERROR_PREFIX}path", rejection.path.encode()),
                topic,
                from_partition,
                (f"{ERROR_PREFIX}offset", b"%d" % offset),
                (f"{ERROR_PREFIX}timestamp", b"%d" % time_ms),
                (f"{ERROR_PREFIX}attempts", b"%d" % (_attempts(original) + 1)),
                version,
            ]
            for rejection, (offset, time_ms) in zip(rejections, where, strict=True)
        ]


def _both(some: Headers, others: Headers) -> Headers:
    return [*some, *others]


def _not_ours(headers: Headers) -> Iterable[tuple[str, bytes | None]]:
    return (header for header in headers if not header[0].startswith(ERROR_PREFIX))


def _attempts(headers: Headers) -> int:
    if not headers:
        return 0
    said = dict(headers).get(f"{ERROR_PREFIX}attempts") or b""
    return int(said) if _ATTEMPTS.fullmatch(said) else 0


def _rfc3339(times_ms: np.typing.NDArray[np.int64]) -> list[str]:
    # numpy takes 0.2 µs to write a time; the events of a batch share most of their seconds.
    seconds, milliseconds = np.divmod(times_ms, 1000)
    distinct, which = np.unique(seconds, return_inverse=True)
    texts = np.datetime_as_string(distinct.astype("datetime64[s]")).tolist()
    return [
        texts[at] + _MILLISECONDS[rest]
        for at, rest in zip(which.tolist(), milliseconds.tolist(), strict=True)
    ]


def _rounded(column: Float64Column) -> Sequence[float | None]:
    """Give the numbers that JSON can write; None for NaN and the infinities."""
    finite = np.isfinite(column)
    numbers: list[float | None] = np.round(column, _DECIMALS).tolist()
    # Nearly always all or none are there.
    for row in np.flatnonzero(~finite).tolist():
        numbers[row] = None
    return numbers


def _flags(missing: BoolColumn, future: BoolColumn) -> Iterable[list[str] | None]:
    if not (missing.any() or future.any()):
        return repeat(None)
    named = {
        (True, False): ["missing_feature"],
        (False, True): ["future_time"],
        (True, True): ["missing_feature", "future_time"],
    }
    return [named.get(pair) for pair in zip(missing.tolist(), future.tolist(), strict=True)]
