"""The service ends, crashes, and shares its group, under load and on real Kafka."""

from collections import Counter, defaultdict

import pytest

from tests.brokers.kafka import KafkaBroker
from tests.integration.conftest import Launch
from tests.integration.service import (
    OK,
    PARTITIONS,
    Output,
    Sidecar,
    Topics,
    eventually,
    good_events,
    ids,
)

pytestmark = pytest.mark.kafka

CPU = "process_cpu_seconds_total"
COUNT = 20_000
# Small batches, so that a signal finds the service in the middle of its work.
SLOW = {"max_batch_records": 64}
ALL = [f"e{at}" for at in range(COUNT)]


def busy(sidecar: Sidecar) -> None:
    """Wait until it has decided the first of many events."""
    eventually(lambda: sidecar.books()["decided"] > 500, "the first decisions")


def in_order(decisions: list[Output]) -> bool:
    """Whether each partition has its events in the order in which they were sent."""
    numbers = defaultdict(list)
    for decision in decisions:
        numbers[decision.partition].append(int(decision.json["event_id"][1:]))
    return all(found == sorted(found) for found in numbers.values())


def repeats_are_equal(decisions: list[Output]) -> bool:
    """Whether all records of one decision are the same in partition, key and value."""
    found = defaultdict(set)
    for record in decisions:
        found[record.json["id"]].add((record.partition, record.key, record.value))
    return {len(same) for same in found.values()} == {1}


def test_a_clean_stop_under_load_and_a_restart_give_each_event_exactly_one_decision(
    kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    topics.send(good_events(COUNT))
    first = launch(topics, model=SLOW, limits={"shutdown": "15s"})
    busy(first)

    code = first.stop(within_s=15)

    done = topics.read(topics.decisions)
    assert code == 0
    assert first.log[-1]["event"] == "sidecar_stopped"
    assert 500 < len(done) < COUNT
    by_partition = Counter(record.partition for record in done)
    assert topics.committed() == {p: by_partition[p] for p in range(PARTITIONS)}

    second = launch(topics)
    eventually(topics.settled, "a committed outcome of every event", 60)
    received = second.books()["received"]

    decisions = topics.read(topics.decisions)
    assert second.stop() == 0
    assert received == COUNT - len(done)
    assert sorted(ids(decisions)) == sorted(ALL)
    assert in_order(decisions)


def test_a_crash_under_load_loses_nothing_and_repeats_only_equal_bytes(
    kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    topics.send(good_events(COUNT))
    for _ in range(2):
        crashing = launch(topics, model=SLOW)
        busy(crashing)
        crashing.kill()
    left = COUNT - sum(topics.committed().values())

    last = launch(topics)
    eventually(topics.settled, "a committed outcome of every event", 60)

    assert left > 0
    decisions = topics.read(topics.decisions)
    assert set(ids(decisions)) == set(ALL)
    assert repeats_are_equal(decisions)
    assert len({record.json["id"] for record in decisions}) == COUNT
    assert topics.read(topics.letters) == []
    assert last.stop() == 0


def partitions_of(sidecar: Sidecar) -> set[int]:
    """Give its share, as its log says last."""
    return set(sidecar.said("partitions_assigned")["partitions"])


def shared(*members: Sidecar) -> bool:
    """Whether each has some partitions, and together they have all of them, once."""
    dealt = [partition for member in members for partition in partitions_of(member)]
    return sorted(dealt) == list(range(PARTITIONS)) and all(map(partitions_of, members))


def test_two_share_a_group_and_one_takes_over_when_the_other_leaves(
    kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    staying = launch(topics).working()
    topics.send(good_events(400))
    eventually(topics.settled, "the outcomes of the first")
    alone = staying.sample("sidecar_window_records", window="5m")

    leaving = launch(topics).working()
    eventually(lambda: shared(staying, leaving), "two shares")
    kept = len(partitions_of(staying))
    with_two = staying.sample("sidecar_window_records", window="5m")
    topics.send(good_events(400, first=400))
    eventually(topics.settled, "the outcomes of two members")
    decided = staying.books()["decided"], leaving.books()["decided"]
    code = leaving.stop()
    eventually(lambda: len(partitions_of(staying)) == PARTITIONS, "the takeover")
    staying.becomes()  # ready: what the other stored is read
    after_takeover = staying.sample("sidecar_window_records", window="5m")
    topics.send(good_events(400, first=800))
    eventually(topics.settled, "the outcomes of the last")

    assert code == 0
    assert kept == 2
    assert decided == (600, 200)
    # Whoever counts them: each shows the events of all partitions, also of those that it gets.
    assert (alone, with_two, after_takeover) == (400, 400, 800)
    assert staying.sample("sidecar_window_records", window="5m") == 1_200
    assert staying.sample("sidecar_rebalances_total") == 3
    decisions = topics.read(topics.decisions)
    assert sorted(ids(decisions)) == sorted(f"e{at}" for at in range(1200))
    assert in_order(decisions)
    assert staying.stop() == 0


def test_one_of_two_crashes_under_load_and_the_other_finishes_its_work(
    kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    staying = launch(topics, model=SLOW).working()
    crashing = launch(topics, model=SLOW).working()
    eventually(lambda: shared(staying, crashing), "two shares")
    topics.send(good_events(COUNT))
    busy(crashing)
    crashing.kill()
    left = COUNT - sum(topics.committed().values())

    eventually(topics.settled, "a committed outcome of every event", 60)

    decisions = topics.read(topics.decisions)
    assert left > 0
    assert len(partitions_of(staying)) == PARTITIONS
    assert set(ids(decisions)) == set(ALL)
    assert repeats_are_equal(decisions)
    assert staying.stop() == 0


def test_a_broker_that_restarts_under_load_costs_time_and_no_event(
    kafka: KafkaBroker, kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    topics.send(good_events(COUNT))
    sidecar = launch(topics, model=SLOW)
    busy(sidecar)

    lines, spent_s = len(sidecar.log), sidecar.sample(CPU)
    kafka.kill()
    try:
        eventually(lambda: sidecar.probe().status == 503, "trouble that is told")
        live = sidecar.probe("/livez")
        lines, spent_s = len(sidecar.log) - lines, sidecar.sample(CPU) - spent_s
    finally:
        kafka.start()
    sidecar.becomes()
    eventually(topics.settled, "a committed outcome of every event", 60)

    decisions = topics.read(topics.decisions)
    assert live[:2] == OK
    assert lines < 30
    assert spent_s < 2
    assert set(ids(decisions)) == set(ALL)
    assert repeats_are_equal(decisions)
    # The group took the partitions away and dealt them anew with records under way.
    returned = sidecar.sample("sidecar_records_returned_total")
    assert sidecar.books()["received"] == COUNT + returned
    assert sidecar.books()["decided"] == COUNT
    assert sidecar.stop() == 0
