"""From the bytes of records to the columns of events. The only stage that sees single events.

Whatever the bytes are, each record becomes an event, a rejection or a tombstone, and a bad one
does not touch its neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import numpy as np

from sidecar.bundle.manifest import Manifest
from sidecar.config.settings import InputSettings, LimitSettings
from sidecar.events import (
    Decoded,
    EventBatch,
    Features,
    Headers,
    RecordBatch,
    RejectCode,
    Rejection,
    Stage,
    UpstreamPrediction,
)
from sidecar.pipeline.columns import FeatureColumns, event_times, joined
from sidecar.pipeline.depth import USUAL_DEPTH, is_usual_json
from sidecar.pipeline.formats import Encoding, FormatReader
from sidecar.pipeline.refusal import DECODER_ERRORS, RefusedError, refusal
from sidecar.pipeline.signature import WireData, WireEvent, wire_types

_MALFORMED: dict[Encoding, RejectCode] = {
    "json": RejectCode.MALFORMED_JSON,
    "msgpack": RejectCode.MALFORMED_MSGPACK,
}

# An event takes a kilobyte of objects. So few at a time are still in the processor's cache when
# they become columns; 4,096 are not, and cost a quarter more.
_BLOCK_RECORDS = 512

_UNREADABLE = (
    Stage.DECODE,
    RejectCode.UNREADABLE_RECORD,
    "the record is there and cannot be read: it is damaged, or larger than one fetch",
)


class EventDecoder:
    """Decodes the events of one bundle."""

    def __init__(
        self, manifest: Manifest, settings: InputSettings, limits: LimitSettings
    ) -> None:
        """Build the wire types and keep one decoder for each.

        Args:
            manifest: The signature, and the name that events may address.
            settings: The format, and whether a required feature may be missing.
            limits: Largest and deepest value.
        """
        types = wire_types(manifest, missing_allowed=settings.on_missing != "reject")
        self._event_type = types.event
        self._event_json = msgspec.json.Decoder(types.event)
        self._event_decoders: dict[Encoding, Callable[[bytes], WireEvent]] = {
            "json": self._event_json.decode,
            "msgpack": msgspec.msgpack.Decoder(types.event).decode,
        }
        self._data_decoders: dict[Encoding, Callable[[bytes], WireData]] = {
            "json": msgspec.json.Decoder(types.data).decode,
            "msgpack": msgspec.msgpack.Decoder(types.data).decode,
        }
        self._model = manifest.name
        self._limited = frozenset(f.name for f in manifest.features if f.limits is not None)
        self._formats = FormatReader(settings.format, limits.max_depth)
        self._columns = FeatureColumns(manifest.features)
        self._max_bytes = limits.max_record_bytes.bytes
        self._headers_count = settings.format == "auto"
        self._bare_json = (
            settings.format in ("auto", "json") and limits.max_depth >= USUAL_DEPTH
        )

    def decode(self, records: RecordBatch) -> Decoded:
        """Turn records into events.

        Args:
            records: One poll slice.

        Returns:
            The events in the order of their records, a rejection for each record that is none,
            and the number of tombstones.
        """
        rejections: list[Rejection] = []
        decoded = _Columns()
        for start in range(0, max(1, len(records)), _BLOCK_RECORDS):
            rows, events = self._block(records, start, rejections)
            decoded.rows += rows
            decoded.ids += [event.id for event in events]
            decoded.times += [event.time for event in events]
            decoded.upstream += [event.prediction for event in events]
            decoded.features.append(self._columns.build([event.features for event in events]))
        rejections += [Rejection(row, *_UNREADABLE) for row in records.unreadable]
        tombstones = len(records) - len(decoded.rows) - len(rejections)
        return Decoded(decoded.batch(records), rejections, tombstones)

    def _block(
        self, records: RecordBatch, start: int, rejections: list[Rejection]
    ) -> tuple[list[int], list[WireEvent]]:
        """Decode one block; give the events with their rows, and add what is refused."""
        rows: list[int] = []
        events: list[WireEvent] = []
        values = records.values[start : start + _BLOCK_RECORDS]
        for row, value in enumerate(values, start):
            if value is None:
                continue
            try:
                events.append(self._event(value, records.headers[row]))
                rows.append(row)
            except RefusedError as refused:
                rejections.append(
                    Rejection(row, Stage.DECODE, refused.code, refused.message, refused.path)
                )
        return rows, events

    def _event(self, value: bytes, headers: Headers) -> WireEvent:
        # Nearly every event is bare, shallow JSON: finding that out costs a tenth of a
        # microsecond, and only a value that fails one of these tests is looked at closely.
        if (
            self._bare_json
            and not (headers and self._headers_count)
            and value[:1] == b"{"
            and len(value) <= self._max_bytes
            and is_usual_json(value)
        ):
            try:
                event = self._event_json.decode(value)
            except DECODER_ERRORS as error:
                raise self._refusal(error, value, "json") from error
        else:
            event = self._formatted(value, headers)
        if event.prediction is not None:
            self._refuse_other_model(event.prediction)
        return event

    def _formatted(self, value: bytes, headers: Headers) -> WireEvent:
        if len(value) > self._max_bytes:
            raise RefusedError(
                RejectCode.TOO_LARGE, f"{len(value)} bytes, at most {self._max_bytes} are read"
            )
        if not value:
            raise RefusedError(RejectCode.EMPTY, "the value has no bytes")
        body, encoding, envelope, path = self._formats.read(value, headers)
        try:
            if envelope is None:
                return self._event_decoders[encoding](body)
            data = self._data_decoders[encoding](body)
        except DECODER_ERRORS as error:
            raise self._refusal(error, body, encoding, path) from error
        return self._event_type(
            id=envelope.id,
            time=data.time if envelope.time is None else envelope.time,
            features=data.features,
            prediction=data.prediction,
            model=data.model,
        )

    def _refusal(
        self, error: Exception, body: bytes, encoding: Encoding, path: str = "$"
    ) -> RefusedError:
        return refusal(
            error, body, malformed=_MALFORMED[encoding], limited=self._limited, root=path
        )

    def _refuse_other_model(self, prediction: UpstreamPrediction) -> None:
        if prediction.model not in (None, self._model):
            raise RefusedError(
                RejectCode.UNKNOWN_MODEL,
                "names another model than the bundle's",
                "$.prediction.model",
            )


@dataclass(slots=True)
class _Columns:
    """The columns of the events so far."""

    rows: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    times: list[datetime | int | None] = field(default_factory=list)
    upstream: list[UpstreamPrediction | None] = field(default_factory=list)
    features: list[Features] = field(default_factory=list)

    def batch(self, records: RecordBatch) -> EventBatch:
        """Give them as one batch."""
        rows, count = np.array(self.rows, np.int64), len(self.rows)
        times_ms, future = event_times(self.times, records.timestamps_ms[rows])
        return EventBatch(
            records=records,
            rows=rows,
            ids=self.ids,
            event_time_ms=times_ms,
            features=joined(self.features),
            upstream=self.upstream if any(self.upstream) else None,
            missing=np.zeros(count, np.bool_),
            out_of_range=np.zeros(count, np.bool_),
            future=future,
        )
