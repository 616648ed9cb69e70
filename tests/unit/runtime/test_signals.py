"""The outbox: what is told, when it is tried again, and what a signal looks like."""

import asyncio
import random
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from sidecar.config.values import Duration
from sidecar.errors import SinkUnavailableError
from sidecar.events import Signal
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.rule import Edge
from sidecar.pipeline.schemas import schema
from sidecar.runtime.retry import backoff
from sidecar.runtime.signals import SignalOutbox, SignalWriter
from tests.fakes import MemoryLog, MemorySink
from tests.telemetry_samples import metrics
from tests.unit.monitors.test_alerts import live, monitor

TOPIC = "credit.signals"
WRITER = SignalWriter(name="credit", model="credit", version="7")


def drifted() -> DriftMonitor:
    """A monitor with something to tell."""
    made = monitor()
    live(made, range(5), shift=9.0)
    return made


def log(*topics: str) -> MemoryLog:
    made = MemoryLog()
    for topic in topics:
        made.create(topic, 1)
    return made


class Outbox:
    """An outbox on a log, and its numbers."""

    def __init__(self, made: DriftMonitor, sink: MemorySink | None) -> None:
        self.metrics = metrics()
        self.outbox = SignalOutbox(
            made.alerts,
            sink,
            writer=WRITER,
            topic=TOPIC,
            stored=False,
            metrics=self.metrics,
            backoff=lambda: backoff(random.Random(1), first_s=0.01),
        )

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    async def until_told(self, made: DriftMonitor) -> None:
        running = asyncio.create_task(self.outbox.run())
        self.outbox.hurry()
        async with asyncio.timeout(5):
            while made.alerts.due(kept=False):  # noqa: ASYNC110  nobody sets an event
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.wait((running,))


def told(log: MemoryLog) -> list[Signal]:
    return [msgspec.json.decode(value, type=Signal) for value in log.values(TOPIC) if value]


async def test_all_is_written_in_order_and_no_more_after_that() -> None:
    made, topic = drifted(), log(TOPIC)
    edges = made.alerts.due(kept=False)
    box = Outbox(made, MemorySink(topic, (TOPIC,)))

    await box.until_told(made)
    again = await box.outbox.flush()

    assert told(topic) == [WRITER.signal(edge) for edge in edges]
    assert not again
    assert box.sample("sidecar_signals_total", kind="drift_began") == len(edges)


async def test_what_cannot_be_written_is_tried_again() -> None:
    made, topic = drifted(), log(TOPIC)
    edges = made.alerts.due(kept=False)
    sink = MemorySink(topic, (TOPIC,))
    sink.starts.extend([SinkUnavailableError("topic_missing", TOPIC)] * 2)
    box = Outbox(made, sink)

    await box.until_told(made)

    assert len(told(topic)) == len(edges)
    assert box.sample("sidecar_signal_failures_total") == 2


async def test_what_is_refused_for_good_is_lost_and_counted() -> None:
    made, topic = drifted(), log(TOPIC)
    edges = made.alerts.due(kept=False)

    def critical(_topic: str, _key: bytes | None, value: bytes | None) -> bool:
        return b'"critical"' in (value or b"")

    box = Outbox(made, MemorySink(topic, (TOPIC,), refuses=critical))
    await box.until_told(made)

    warnings = sum(edge.track.severity == "warning" for edge in edges)
    assert {signal.severity for signal in told(topic)} == {"warning"}
    assert box.sample("sidecar_signals_total", kind="drift_began") == warnings
    assert box.sample("sidecar_signal_failures_total") == len(edges) - warnings


async def test_without_a_topic_the_log_alone_is_told() -> None:
    made = drifted()
    box = Outbox(made, None)

    await box.until_told(made)

    assert box.sample("sidecar_signals_total", kind="drift_began") == 0
    assert box.sample("sidecar_signal_failures_total") == 0


def edges_of(made: DriftMonitor) -> tuple[Edge, ...]:
    return made.alerts.due(kept=False)


def test_signals_keep_to_their_schema() -> None:
    made = drifted()
    live(made, range(5, 90))
    validator = Draft202012Validator(schema("signal"))

    signals = [msgspec.to_builtins(WRITER.signal(edge)) for edge in edges_of(made)]

    assert {(s["subject"], s["kind"]) for s in signals} == {
        (subject, kind)
        for subject in ("feature", "dataset")
        for kind in ("drift_began", "drift_ended")
    }
    for signal in signals:
        validator.validate(signal)


def test_an_id_says_what_and_when_and_nothing_else() -> None:
    edge = edges_of(drifted())[0]
    other: dict[str, Any] = {"turn": "ended", "at_ms": edge.at_ms + 60_000}
    changed = [msgspec.structs.replace(edge, **{name: value}) for name, value in other.items()]
    changed.append(
        msgspec.structs.replace(
            edge, track=edge.track._replace(length_ms=Duration.parse("1h").ms)
        )
    )

    ids = {WRITER.signal(each).id for each in changed}
    by_others = {
        SignalWriter(**({"name": "credit", "model": "credit", "version": "7"} | named))
        .signal(edge)
        .id
        for named in ({"name": "a"}, {"model": "a"}, {"version": "a"})
    }

    same = msgspec.structs.replace(edge, since_ms=edge.since_ms - 1)
    assert WRITER.signal(same).id == WRITER.signal(edge).id
    assert len({*ids, *by_others, WRITER.signal(edge).id}) == 7
