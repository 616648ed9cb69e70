"""Flow: one span for each batch, its stages below it, and the context that goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.trace import SpanKind, StatusCode, TraceFlags, Tracer
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from sidecar.errors import ScorerUnavailableError
from sidecar.pipeline.trace_context import trace_context
from tests.flows.harness import DECISIONS, EVENTS, LETTERS, Sidecar, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()
STATE = b"vendor=1"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@dataclass
class Spans:
    """What was traced."""

    sampler: Sampler = ALWAYS_ON
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def tracer(self) -> Tracer:
        provider = TracerProvider(sampler=self.sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        return provider.get_tracer("sidecar")

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    @property
    def batches(self) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == f"process {EVENTS}"]

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        own = parent.context
        assert own is not None
        return [
            span
            for span in self.all
            if span.parent is not None and span.parent.span_id == own.span_id
        ]


def about(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def headers(sidecar: Sidecar, topic: str) -> list[dict[str, bytes | None]]:
    return [dict(record.headers) for part in sidecar.log.topics[topic] for record in part]


async def test_a_batch_has_one_span_and_its_stages_below_it() -> None:
    spans = Spans()
    async with running(tracer=spans.tracer()) as sidecar:
        sidecar.send_amounts(95.0, 2.0)
        sidecar.send(b"{")
        await sidecar.drained()

    (batch,) = spans.batches
    assert (batch.kind, batch.parent) == (SpanKind.CONSUMER, None)
    said = about(batch)
    assert said[messaging.MESSAGING_SYSTEM] == "kafka"
    assert said[messaging.MESSAGING_OPERATION_NAME] == "process"
    assert said[messaging.MESSAGING_OPERATION_TYPE] == "process"
    assert said[messaging.MESSAGING_DESTINATION_NAME] == EVENTS
    assert said[messaging.MESSAGING_CONSUMER_GROUP_NAME] == "credit-sidecar"
    assert said[messaging.MESSAGING_BATCH_MESSAGE_COUNT] == 3
    assert said[messaging.MESSAGING_DESTINATION_PARTITION_ID] == "0"
    assert said["sidecar.decisions.model"] == 2
    assert said["sidecar.dead_letters.malformed_json"] == 1
    assert (said["sidecar.model.name"], said["sidecar.model.version"]) == ("credit", "7")

    below = sorted(spans.below(batch), key=lambda span: span.start_time or 0)
    names = [span.name for span in below]
    assert names == ["decode", "check", "score", "decide", "encode", f"send {DECISIONS}"]
    assert below[-1].kind is SpanKind.PRODUCER
    assert about(below[-1])[messaging.MESSAGING_OPERATION_TYPE] == "send"
    assert about(below[-1])[messaging.MESSAGING_DESTINATION_NAME] == DECISIONS
    times = [(span.start_time or 0, span.end_time or 0) for span in [batch, *below]]
    assert times[0][0] <= min(begun for begun, _ in times[1:])
    assert all(begun <= ended <= times[0][1] for begun, ended in times)


async def test_a_batch_is_linked_to_what_its_events_came_with() -> None:
    spans = Spans()
    async with running(tracer=spans.tracer()) as sidecar:
        sidecar.send({"id": "a", "features": {"amount": 95.0}})
        sidecar.send(b"{", headers=[("traceparent", PARENT), ("tracestate", STATE)])
        sidecar.send({"id": "b", "features": {"amount": 9.0}}, headers=[("traceparent", b"?")])
        await sidecar.drained()

    (link,) = spans.batches[0].links
    assert f"{link.context.trace_id:032x}" == TRACE
    assert link.context.is_remote
    assert dict(link.context.trace_state) == {"vendor": "1"}
    place = dict(link.attributes or {})
    assert place[messaging.MESSAGING_DESTINATION_PARTITION_ID] == "0"
    assert place["messaging.kafka.offset"] == 1


async def test_links_are_bounded_and_those_in_trouble_come_first() -> None:
    spans = Spans()
    rules = {"rules": [{"name": "any", "when": {"amount": {"gt": 0}}, "label": "review"}]}
    tracing = {"links": 2}
    async with running(
        tracer=spans.tracer(), threshold=0.8, fallback=rules, traces=tracing
    ) as sidecar:
        for at, amount in enumerate((95.0, 94.0, 50.0)):
            sidecar.send(
                {"id": f"e{at}", "features": {"amount": amount}},
                headers=[("traceparent", PARENT)],
            )
        sidecar.send(b"{", headers=[("traceparent", PARENT)])
        await sidecar.drained()

    links = spans.batches[0].links
    assert [(link.attributes or {})["messaging.kafka.offset"] for link in links] == [3, 2]


async def test_decisions_and_dead_letters_carry_the_context_of_their_event() -> None:
    spans = Spans()
    async with running(tracer=spans.tracer()) as sidecar:
        context = [("traceparent", PARENT), ("tracestate", STATE)]
        sidecar.send({"id": "a", "features": {"amount": 95.0}}, headers=context)
        sidecar.send(b"{", headers=context)
        sidecar.send({"id": "b", "features": {"amount": 95.0}})
        await sidecar.drained()

    own, other = headers(sidecar, DECISIONS)
    assert own == {"traceparent": PARENT, "tracestate": STATE}
    made = spans.batches[0].context
    assert made is not None
    flags = f"{made.trace_flags:02x}"
    expected = f"00-{made.trace_id:032x}-{made.span_id:016x}-{flags}"
    assert made.trace_flags.sampled
    assert other == {"traceparent": expected.encode()}
    (letter,) = headers(sidecar, LETTERS)
    assert (letter["traceparent"], letter["tracestate"]) == (PARENT, STATE)


@pytest.mark.parametrize("propagate", [True, False])
async def test_context_goes_on_without_spans_unless_that_is_switched_off(
    propagate: bool,
) -> None:
    async with running(traces={"propagate": propagate}) as sidecar:
        event = {"id": "a", "features": {"amount": 95.0}}
        sidecar.send(event, headers=[("ce_traceparent", PARENT)])
        sidecar.send(event)
        await sidecar.drained()

    assert headers(sidecar, DECISIONS) == [{"traceparent": PARENT} if propagate else {}, {}]


async def test_the_context_stands_beside_the_attributes_of_a_cloud_event() -> None:
    async with running(output={"envelope": "cloudevents"}) as sidecar:
        event = {"id": "a", "features": {"amount": 95.0}}
        sidecar.send(event, headers=[("traceparent", PARENT)])
        await sidecar.drained()

    (said,) = headers(sidecar, DECISIONS)
    assert said["traceparent"] == PARENT
    assert said["ce_causationid"] == b"a"


async def test_nothing_is_sampled_nothing_is_kept_and_the_context_says_so() -> None:
    spans = Spans(sampler=ALWAYS_OFF)
    async with running(tracer=spans.tracer()) as sidecar:
        sidecar.send_amounts(95.0)
        await sidecar.drained()

    assert not spans.all
    (said,) = headers(sidecar, DECISIONS)
    context = trace_context([("traceparent", said["traceparent"])])
    assert context
    assert not int((context[0][1] or b"")[-2:], 16) & TraceFlags.SAMPLED


async def test_the_age_of_the_oldest_event_has_an_exemplar() -> None:
    spans = Spans()
    async with running(tracer=spans.tracer()) as sidecar:
        event = {"id": "a", "features": {"amount": 95.0}}
        sidecar.send(event, headers=[("traceparent", PARENT)])
        await sidecar.drained()

    found = exemplars(sidecar)
    assert [labels["trace_id"] for labels in found] == [TRACE]


async def test_an_exemplar_without_a_context_of_the_event_is_the_batch() -> None:
    spans = Spans()
    async with running(tracer=spans.tracer()) as sidecar:
        sidecar.send_amounts(95.0)
        await sidecar.drained()

    made = spans.batches[0].context
    assert made is not None
    assert exemplars(sidecar) == [
        {"trace_id": f"{made.trace_id:032x}", "span_id": f"{made.span_id:016x}"}
    ]


def exemplars(sidecar: Sidecar) -> list[dict[str, str]]:
    """Give the exemplars of the age, as a scraper reads them."""
    text = sidecar.metrics.exposition(OPEN_METRICS).write().decode()
    parse: Any = text_string_to_metric_families
    return [
        dict(sample.exemplar.labels)
        for family in parse(text)
        if family.name == "sidecar_event_age_seconds"
        for sample in family.samples
        if sample.exemplar is not None
    ]


async def test_a_model_that_fails_is_seen_in_the_span() -> None:
    spans = Spans()
    async with running(tracer=spans.tracer()) as sidecar:
        sidecar.scorer.failure = ScorerUnavailableError("down")
        sidecar.send_amounts(95.0)
        await sidecar.drained()

    assert about(spans.batches[0])["sidecar.decisions.default"] == 1


async def test_a_batch_that_goes_again_has_a_span_for_each_try() -> None:
    spans = Spans()
    async with running(tracer=spans.tracer()) as sidecar:
        sidecar.sink.hold()
        sidecar.send_amounts(95.0)
        await sidecar.until(lambda: sidecar.worker.tracker.unsettled() == 1)
        await sidecar.until(lambda: len(sidecar.sink._waiting) == 1)
        sidecar.sink.fail()
        await sidecar.drained()
        sidecar.spans.close()

    first, second = sorted(spans.batches, key=lambda span: span.start_time or 0)
    assert first.status.status_code is StatusCode.ERROR
    assert second.status.status_code is StatusCode.UNSET
    assert not spans.below(first)
    assert len(spans.below(second)) == 6
    assert len(sidecar.decisions()) == 1
