"""Drift is told on a topic that any consumer reads, once, by one of the replicas."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from sidecar.clock import SystemClock
from tests.brokers.kafka import KafkaBroker
from tests.bundle_factory import credit_rows
from tests.integration.conftest import Launch
from tests.integration.service import Input, Sidecar, Topics, eventually

pytestmark = pytest.mark.kafka

MINUTE = 60_000
STEP = 20
"""Minutes that are sent at one time."""
PER_MINUTE = 60
MONITORS = {
    "windows": ["10m", "30m"],
    "min_records": 100,
    "drift": {"hold": "3m", "resolve": "5m", "signals": "topic"},
}
# The reference tells days, so windows of minutes are learned in the first half hour.
SHIFTED = range(40, 60)
END = 120


def events(first_ms: int, minutes: Iterable[int]) -> list[Input]:
    """Give the events of some minutes; amounts are three times as large while shifted.

    All of one partition: hours that are read in seconds are read from one after the other.
    """
    made = []
    for at in minutes:
        for number, row in enumerate(credit_rows(PER_MINUTE, seed=at)):
            features: dict[str, Any] = {
                name: value
                for name, value in row.items()
                if name not in ("decision", "time") and value is not None
            }
            features["amount"] *= 3 if at in SHIFTED else 1
            time_ms = first_ms + at * MINUTE + number * MINUTE // PER_MINUTE
            event = {"id": f"e{at}-{number}", "time": time_ms, "features": features}
            made.append(Input(json.dumps(event).encode(), partition=0))
    return made


def live(topics: Topics, minutes: range, first_ms: int) -> None:
    """Let minutes of event time pass, some at a time."""
    for begin in range(minutes.start, minutes.stop, STEP):
        topics.send(events(first_ms, range(begin, begin + STEP)))
        eventually(topics.settled, "the outcomes of some minutes")


def told(topics: Topics) -> list[dict[str, Any]]:
    return [record.json for record in topics.read(topics.signals)]


def amounts(signals: list[dict[str, Any]], kind: str) -> Counter[tuple[str, str]]:
    return Counter(
        (signal["window"], signal["severity"])
        for signal in signals
        if signal.get("feature") == "amount" and signal["kind"] == kind
    )


def test_a_consumer_reads_when_drift_began_and_when_it_ended(
    kafka: KafkaBroker, kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    first_ms = SystemClock().now_ms() // MINUTE * MINUTE - (END + 10) * MINUTE
    one: Sidecar = launch(topics, monitors=MONITORS).working()
    live(topics, range(60), first_ms)
    eventually(lambda: amounts(told(topics), "drift_began"), "the first signal")
    active = one.sample(
        "sidecar_drift_active", feature="amount", window="10m", severity="critical"
    )
    assert one.stop() == 0

    other = launch(topics, monitors=MONITORS).working()
    live(topics, range(60, END), first_ms)
    eventually(lambda: amounts(told(topics), "drift_ended"), "the end of it")
    assert other.stop() == 0

    signals = told(topics)
    assert active == 1
    assert len({signal["id"] for signal in signals}) == len(signals)
    began, ended = amounts(signals, "drift_began"), amounts(signals, "drift_ended")
    assert began == ended
    assert ("10m", "critical") in began
    assert set(began.values()) == {1}
    first = next(s for s in signals if s.get("feature") == "amount")
    assert (first["name"], first["model"], first["version"]) == (topics.name, "credit", "7")
    assert first["evidence"]["psi"] > first["evidence"]["critical_value"]
    assert {record.key for record in topics.read(topics.signals)} == {b"credit"}
