"""Spans of batches, by OpenTelemetry's interface alone: without its SDK nothing is made.

A batch has one span, `process TOPIC`, from the moment that it was read until its outcome is
acknowledged. It is linked to the contexts that its events came with, and its children are the
stages. Names and attributes are those of the semantic conventions for messaging with Kafka,
https://opentelemetry.io/docs/specs/semconv/messaging/kafka/; what they have no word for begins
with `sidecar.`.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sidecar.clock import Clock
from sidecar.events import (
    SOURCE_NAMES,
    DecisionBatch,
    Headers,
    RecordBatch,
    Rejection,
    Source,
)
from sidecar.pipeline.trace_context import trace_context
from sidecar.telemetry.status import ModelView, TopicsView
from sidecar.telemetry.timing import MOST_BATCHES, Mark, StageTimes

_W3C = TraceContextTextMapPropagator()
_OF_MODELS = (Source.MODEL, Source.UPSTREAM)
_Attributes = Mapping[str, str | int]


class TraceIds(NamedTuple):
    """What a span is found by, in hexadecimal."""

    trace_id: str
    span_id: str


class _Begun(NamedTuple):
    """The span of a batch."""

    span: Span
    zero_ns: int
    """Unix time of the monotonic clock's zero: one for all times of a batch, as the clock of
    the machine may be set."""

    def unix_ns(self, at_s: float) -> int:
        return self.zero_ns + round(at_s * 1e9)


class BatchSpans:
    """Makes the spans of batches. It is an observer: what raises is switched off."""

    name = "traces"

    def __init__(
        self,
        clock: Clock,
        times: StageTimes,
        *,
        topics: TopicsView,
        group: str,
        model: ModelView,
        links: int,
    ) -> None:
        """Make nothing until `start`.

        Args:
            clock: Tells when stages began and ended.
            times: Has the times of a batch's stages.
            topics: Their names.
            group: The consumer group.
            model: The model that serves.
            links: Most events that the span of a batch is linked to.
        """
        self._clock = clock
        self._times = times
        self._topics = topics
        self._links = links
        self._tracer: Tracer = NoOpTracer()
        # By the number of the batch, which may be used again when the batch is gone.
        self._spans: OrderedDict[int, _Begun] = OrderedDict()
        self._same: _Attributes = {
            **_messaging("process", topics.events),
            "messaging.consumer.group.name": group,
            "sidecar.model.name": model.name,
            "sidecar.model.version": model.version,
        }

    def start(self, tracer: Tracer) -> None:
        """Make spans with a tracer from now on."""
        self._tracer = tracer

    def begin(self, decisions: DecisionBatch, rejections: Sequence[Rejection]) -> Headers:
        """Begin the span of a batch whose outcome is known and not sent yet.

        Returns:
            Its trace context, as headers of a record; empty while no spans are made.
        """
        records = decisions.events.records
        marks, now_s = self._times.of(records), self._clock.monotonic()
        zero_ns = self._clock.now_ms() * 1_000_000 - round(now_s * 1e9)
        span = self._tracer.start_span(
            f"process {self._topics.events}",
            Context(),  # a trace of its own: one batch has events of many
            kind=SpanKind.CONSUMER,
            attributes={**self._same, **_size(records)},
            links=list(self._linked(decisions, rejections)),
            start_time=zero_ns + round((marks[0].began_s if marks else now_s) * 1e9),
        )
        if not span.get_span_context().is_valid:
            return ()
        if id(records) in self._spans:
            self._abandon(self._spans.pop(id(records)))
        self._spans[id(records)] = _Begun(span, zero_ns)
        if len(self._spans) > MOST_BATCHES:
            self._abandon(self._spans.popitem(last=False)[1])
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(span, Context()))
        return tuple((name, value.encode()) for name, value in carrier.items())

    def observe(self, decisions: DecisionBatch, rejections: Sequence[Rejection]) -> None:
        """End the span of a batch whose outcome is acknowledged."""
        records = decisions.events.records
        begun, now_s = self._spans.get(id(records)), self._clock.monotonic()
        if begun is None or not begun.span.is_recording():
            return
        span = begun.span
        span.set_attributes(_outcome(decisions, rejections))
        marks = self._times.of(records)
        for mark in marks:
            self._child(begun, mark, SpanKind.INTERNAL, mark.stage, {})
        if marks:
            # Most of a batch is decisions; a batch of dead letters alone goes to their topic.
            topics = self._topics
            topic = topics.decisions if len(decisions) else topics.dead_letters
            size = {"messaging.batch.message_count": len(decisions) + len(rejections)}
            about = {**_messaging("send", topic), **size}
            sent = Mark("send", marks[-1].ended_s, now_s)
            self._child(begun, sent, SpanKind.PRODUCER, f"send {topic}", about)
        span.end(begun.unix_ns(now_s))

    def revoked(self, partitions: Collection[int]) -> None:
        """Keep all: what is in flight still has its outcome here."""

    def released(self, partitions: Collection[int]) -> None:
        """Keep all, likewise."""

    def trace_of(self, records: RecordBatch, row: int) -> TraceIds | None:
        """Give the trace that a record is found in: its producer's, else the batch's.

        Returns:
            None when neither is kept by whoever samples.
        """
        begun = self._spans.get(id(records))
        batch = None if begun is None else begun.span.get_span_context()
        for context in (_parsed(trace_context(records.headers[row])), batch):
            if context is not None and context.trace_flags.sampled:
                return TraceIds(f"{context.trace_id:032x}", f"{context.span_id:016x}")
        return None

    def close(self) -> None:
        """End the spans of batches that have no outcome here."""
        while self._spans:
            self._abandon(self._spans.popitem()[1])

    # --- parts -------------------------------------------------------------------------------

    def _linked(
        self, decisions: DecisionBatch, rejections: Sequence[Rejection]
    ) -> Iterator[Link]:
        """Link to events: refused ones, those that the fallback chain answered, the others."""
        records = decisions.events.records
        if not self._links or not any(records.headers):
            return
        by_model = np.isin(decisions.source, _OF_MODELS)
        rows = chain(
            (rejection.row for rejection in rejections),
            decisions.events.rows[~by_model].tolist(),
            decisions.events.rows[by_model].tolist(),
        )
        partitions = records.partitions()
        contexts = ((row, _parsed(trace_context(records.headers[row]))) for row in rows)
        found = ((row, context) for row, context in contexts if context is not None)
        for row, context in islice(found, self._links):
            place: _Attributes = {
                "messaging.destination.partition.id": str(partitions[row]),
                "messaging.kafka.offset": int(records.offsets[row]),
            }
            yield Link(context, place)

    def _child(
        self, begun: _Begun, mark: Mark, kind: SpanKind, name: str, attributes: _Attributes
    ) -> None:
        span = self._tracer.start_span(
            name,
            set_span_in_context(begun.span, Context()),
            kind=kind,
            attributes=attributes,
            start_time=begun.unix_ns(mark.began_s),
        )
        span.end(begun.unix_ns(mark.ended_s))

    def _abandon(self, begun: _Begun) -> None:
        """End a span, unless it is: its batch is read again, or left to the next start."""
        if begun.span.is_recording():
            said = "no outcome; the records are read again"
            begun.span.set_status(Status(StatusCode.ERROR, said))
            begun.span.end(begun.unix_ns(self._clock.monotonic()))


def _messaging(operation: str, topic: str) -> dict[str, str | int]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }


def _size(records: RecordBatch) -> dict[str, str | int]:
    size: dict[str, str | int] = {"messaging.batch.message_count": len(records)}
    if len(records.spans) == 1:
        size["messaging.destination.partition.id"] = str(records.spans[0].partition)
    return size


def _outcome(decisions: DecisionBatch, rejections: Sequence[Rejection]) -> dict[str, int]:
    by_source = np.bincount(decisions.source, minlength=len(SOURCE_NAMES)).tolist()
    counts = {f"sidecar.decisions.{n}": k for n, k in zip(SOURCE_NAMES, by_source, strict=True)}
    codes = Counter(rejection.code.value for rejection in rejections)
    letters = {f"sidecar.dead_letters.{code}": count for code, count in codes.items()}
    return {name: count for name, count in (counts | letters).items() if count}


def _parsed(headers: Headers) -> SpanContext | None:
    """Read a trace context; None for none, and for one that the library does not take."""
    if not headers:
        return None
    carrier = {name: (value or b"").decode("latin-1") for name, value in headers}
    context = get_current_span(_W3C.extract(carrier, Context())).get_span_context()
    return context if context.is_valid else None
