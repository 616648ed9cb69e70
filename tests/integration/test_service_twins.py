"""Two processes with one name in the group: the younger ends, and nothing is lost."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.integration.conftest import Launch
from tests.integration.service import Topics, eventually, good_events, ids

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

NAMED: Mapping[str, Any] = {"instance_id": "replica-1"}


def test_of_two_with_one_name_the_younger_ends(kafka_topics: Topics, launch: Launch) -> None:
    topics = kafka_topics
    older = launch(topics, kafka=NAMED).working()
    topics.send(good_events(200))
    eventually(topics.settled, "the outcomes of the older")

    younger = launch(topics, kafka=NAMED)
    sent = 200
    while younger.runs and sent < 20_000:
        topics.send(good_events(100, first=sent))
        sent += 100
        younger.waits(0.5)
    code = younger.ends()
    eventually(topics.settled, "an outcome of every event", 60)

    assert code == 1
    assert "another process is `replica-1` in the group too" in younger.output
    assert older.runs
    assert set(ids(topics.read(topics.decisions))) == {f"e{at}" for at in range(sent)}
    eventually(
        lambda: older.sample("sidecar_window_records", window="24h") == sent,
        "each event in the windows once",
    )


def test_a_named_replica_that_comes_back_gets_its_share_without_a_rebalance(
    kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    staying = launch(topics, kafka={"instance_id": "a"}).working()
    going = launch(topics, kafka={"instance_id": "b"}).working()
    eventually(lambda: staying.sample("sidecar_assigned_partitions") == 2, "two shares")
    before = staying.sample("sidecar_rebalances_total")

    assert going.stop() == 0
    back = launch(topics, kafka={"instance_id": "b"}).working()
    topics.send(good_events(400))
    eventually(topics.settled, "an outcome of every event")

    assert back.sample("sidecar_assigned_partitions") == 2
    assert staying.sample("sidecar_rebalances_total") == before
