"""Exactly once on a real broker: killed, frozen and refused, each event is decided once."""

import json
from collections import Counter
from typing import Any

import pytest

from tests.brokers.kafka import KafkaBroker
from tests.integration.conftest import Launch
from tests.integration.service import (
    PARTITIONS,
    Input,
    Sidecar,
    Topics,
    eventually,
    good_events,
    ids,
)

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

EXACTLY_ONCE: dict[str, Any] = {"mode": "exactly_once", "transaction_interval": "200ms"}


def shows(sidecar: Sidecar, records: int) -> None:
    """Wait until its longest window holds so many."""
    eventually(
        lambda: sidecar.sample("sidecar_window_records", window="24h") == records,
        f"{records} events in the windows",
    )


def has_half(sidecar: Sidecar) -> None:
    eventually(
        lambda: sidecar.sample("sidecar_assigned_partitions") == PARTITIONS / 2,
        "half of the partitions",
    )


def moved_past(topics: Topics, offsets: int) -> None:
    eventually(lambda: sum(topics.committed().values()) > offsets, "a commit")


def decided_once(topics: Topics, count: int) -> None:
    """Hold what a reader of committed records sees against what was sent."""
    decided = Counter(ids(topics.read(topics.decisions)))
    assert decided == Counter({f"e{at}": 1 for at in range(count)})


def test_a_restart_goes_on_where_the_transactions_ended(
    kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    first = launch(topics, delivery=EXACTLY_ONCE).working()
    topics.send([*good_events(400), Input(b"no event", b"bad", (), 0), Input(None)])
    eventually(topics.settled, "the outcomes of the first")
    books = first.books()
    assert first.stop() == 0
    second = launch(topics, delivery=EXACTLY_ONCE).working()
    topics.send(good_events(400, first=400))
    eventually(topics.settled, "the outcomes of the second")

    decided_once(topics, 800)
    assert books == {"received": 402, "decided": 400, "rejected": 1, "tombstones": 1}
    assert len(topics.read(topics.letters)) == 1
    shows(second, 800)
    assert second.stop() == 0


def test_killed_again_and_again_each_event_is_decided_and_counted_once(
    kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    total = 0
    for _ in range(4):
        before = sum(topics.committed().values())
        sidecar = launch(topics, delivery=EXACTLY_ONCE)
        topics.send(good_events(300, first=total))
        total += 300
        moved_past(topics, before)
        sidecar.kill()
    last = launch(topics, delivery=EXACTLY_ONCE)
    eventually(topics.settled, "an outcome of every event", 60)

    decided_once(topics, total)
    shows(last, total)
    assert last.stop() == 0


def test_who_wakes_up_after_its_partitions_moved_writes_nothing(
    kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    frozen = launch(topics, delivery=EXACTLY_ONCE).working()
    topics.send(good_events(400))
    eventually(topics.settled, "the outcomes of the first")
    frozen.freeze()
    topics.send(good_events(400, first=400))
    other = launch(topics, delivery=EXACTLY_ONCE)
    eventually(topics.settled, "the outcomes of the other", 60)
    frozen.thaw()
    topics.send(good_events(400, first=800))
    eventually(topics.settled, "the last outcomes", 60)

    decided_once(topics, 1_200)
    for sidecar in (frozen, other):
        shows(sidecar, 1_200)


def test_a_decision_that_the_topic_refuses_is_found_and_becomes_a_dead_letter(
    kafka: KafkaBroker, kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    sidecar = launch(topics, delivery=EXACTLY_ONCE).working()
    topics.send(good_events(40))
    eventually(topics.settled, "the first outcomes")
    kafka.set_config(topics.decisions, max_message_bytes="1500")
    large = Input(
        json.dumps({**json.loads(good_events(1)[0].value or b""), "id": "x" * 2_000}).encode(),
        b"large",
        (),
        0,
    )
    topics.send([*good_events(20, first=40), large, *good_events(20, first=60)])
    eventually(topics.settled, "an outcome of every event", 60)

    decided_once(topics, 80)
    (letter,) = topics.read(topics.letters)
    assert (letter.key, letter.error("code")) == (b"large", "output_refused")
    assert sidecar.stop() == 0


def test_two_share_the_work(kafka_topics: Topics, launch: Launch) -> None:
    topics = kafka_topics
    both = [launch(topics, delivery=EXACTLY_ONCE) for _ in range(2)]
    for sidecar in both:
        has_half(sidecar)
    topics.send(good_events(800))
    eventually(topics.settled, "an outcome of every event")

    decided_once(topics, 800)
    for sidecar in both:
        shows(sidecar, 800)
    shown = [drift_lines(sidecar) for sidecar in both]
    assert shown[0] == shown[1]
    assert len(shown[0]) > 10


def drift_lines(sidecar: Sidecar) -> list[str]:
    text = sidecar.get("/metrics")[1]
    return [line for line in text.splitlines() if line.startswith("sidecar_drift_score{")]
