"""Kafka or a topic is away: the service says so, skips nothing, and goes on by itself."""

import time

import pytest

from sidecar.demo.broker import EmbeddedBroker
from tests.brokers.kafka import KafkaBroker
from tests.integration.conftest import Launch
from tests.integration.service import (
    OK,
    PARTITIONS,
    Input,
    Topics,
    eventually,
    good_events,
    ids,
)

CPU = "process_cpu_seconds_total"
FIRST = [f"e{at}" for at in range(200)]
BOTH = [f"e{at}" for at in range(400)]
BAD = [Input(b"{", b"bad-%d" % at, (), at % PARTITIONS) for at in range(8)]


# --- a topic that is not there -------------------------------------------------------------


@pytest.mark.kafka
@pytest.mark.parametrize("missing", ["decisions", "letters"])
def test_an_output_topic_that_is_missing_at_the_start_is_the_reason_until_it_is_made(
    kafka: KafkaBroker, kafka_topics: Topics, launch: Launch, missing: str
) -> None:
    topics = kafka_topics
    topic: str = getattr(topics, missing)
    kafka.delete_topic(topic)
    topics.send([*good_events(200), *BAD])
    sidecar = launch(topics)

    unready = sidecar.becomes("topic_missing", "joining")
    status = sidecar.get("/api/v1/status", "status")[1]
    live = sidecar.probe("/livez")
    committed = topics.committed()
    kafka.create_topic(topic, PARTITIONS)
    sidecar.becomes()
    eventually(topics.settled, "a committed outcome of every event")

    assert f"`{topic}` not there" in unready.text
    assert '"state":"blocked"' in status
    assert live[:2] == OK
    assert set(committed.values()) == {0}
    assert sorted(ids(topics.read(topics.decisions))) == sorted(FIRST)
    assert len(topics.read(topics.letters)) == len(BAD)
    assert sidecar.stop() == 0


@pytest.mark.kafka
@pytest.mark.parametrize("missing", ["decisions", "letters"])
def test_an_output_topic_that_vanishes_is_the_reason_until_it_is_there_again(
    kafka: KafkaBroker, kafka_topics: Topics, launch: Launch, missing: str
) -> None:
    topics = kafka_topics
    topic: str = getattr(topics, missing)
    sidecar = launch(topics).working()
    topics.send([*good_events(200), *BAD])
    eventually(topics.settled, "the first outcomes")
    before = topics.committed()
    kept = topics.read(topics.decisions) if missing == "letters" else []

    kafka.delete_topic(topic)
    topics.send([*BAD, *good_events(200, first=200)])
    unready = sidecar.becomes("topic_missing")
    flag = sidecar.sample("sidecar_paused", reason="sink")
    during = topics.committed()
    kafka.create_topic(topic, PARTITIONS)
    sidecar.becomes()
    eventually(topics.settled, "a committed outcome of every event")

    assert f"`{topic}` not there" in unready.text
    assert flag == 1
    assert during == before
    decided = {record.json["event_id"] for record in topics.read(topics.decisions)}
    assert decided | set(ids(kept)) >= set(BOTH[200:])
    assert {letter.key for letter in topics.read(topics.letters)} == {bad.key for bad in BAD}
    books = {"received": 416, "decided": 400, "rejected": 16, "tombstones": 0}
    assert sidecar.books() == books
    assert sidecar.sample("sidecar_paused") == 0
    assert sidecar.stop() == 0


# --- brokers that are not there ------------------------------------------------------------


@pytest.fixture
def topics_of_one(mock_broker: EmbeddedBroker) -> Topics:
    """Topics on an embedded broker of their own, which may go down."""
    topics = Topics(mock_broker.bootstrap_servers[0], "credit")
    for topic in topics.all:
        mock_broker.create_topic(topic, PARTITIONS)
    return topics


@pytest.mark.mock_kafka
def test_it_waits_for_a_broker_that_is_not_there_at_the_start_and_then_works(
    mock_broker: EmbeddedBroker, topics_of_one: Topics, launch: Launch
) -> None:
    topics = topics_of_one
    topics.send(good_events(200))
    mock_broker.broker_down()
    sidecar = launch(topics)

    unready = sidecar.becomes("broker_unreachable", "joining")
    probes = {path: sidecar.probe(path).status for path in ("/livez", "/startupz")}
    line = sidecar.said("kafka_unavailable", part="sink", reason="broker_unreachable")
    scrape = sidecar.get("/metrics")[0]
    mock_broker.broker_up()
    sidecar.becomes()
    eventually(topics.settled, "a committed outcome of every event")

    assert topics.bootstrap in unready.text
    assert "refused" in unready.text
    assert topics.bootstrap in line["error"]
    assert probes == {"/livez": 200, "/startupz": 200}
    assert scrape == 200
    assert sorted(ids(topics.read(topics.decisions))) == sorted(FIRST)
    assert sidecar.stop() == 0


@pytest.mark.mock_kafka
def test_it_ends_in_time_and_well_while_it_waits_for_a_broker(
    mock_broker: EmbeddedBroker, topics_of_one: Topics, launch: Launch
) -> None:
    mock_broker.broker_down()
    sidecar = launch(topics_of_one)
    sidecar.said("kafka_unavailable")

    assert sidecar.stop(within_s=8) == 0


@pytest.mark.mock_kafka
def test_an_idle_service_whose_broker_goes_away_says_so_quietly_and_goes_on_later(
    mock_broker: EmbeddedBroker, topics_of_one: Topics, launch: Launch
) -> None:
    topics = topics_of_one
    sidecar = launch(topics).working()
    topics.send(good_events(200))
    eventually(topics.settled, "the first outcomes")
    sidecar.becomes()
    spent_s, lines = sidecar.sample(CPU), len(sidecar.log)

    mock_broker.broker_down()
    unready = sidecar.becomes("kafka_unreachable")
    live = sidecar.probe("/livez")
    time.sleep(3)
    spent_s, lines = sidecar.sample(CPU) - spent_s, len(sidecar.log) - lines
    mock_broker.broker_up()
    sidecar.becomes()
    topics.send(good_events(200, first=200))
    eventually(topics.settled, "a committed outcome of every event")

    assert topics.bootstrap in unready.text
    assert live[:2] == OK
    # Some 7 s of outage, two clients that try again several times a second, and this test's
    # own scrapes and probes.
    assert lines < 30
    assert spent_s < 1.5
    assert set(ids(topics.read(topics.decisions))) == set(BOTH)
    assert sidecar.stop() == 0


@pytest.mark.mock_kafka
def test_it_ends_in_time_and_well_when_its_broker_went_away(
    mock_broker: EmbeddedBroker, topics_of_one: Topics, launch: Launch
) -> None:
    topics = topics_of_one
    sidecar = launch(topics, limits={"shutdown": "8s"}).working()
    topics.send(good_events(200))
    eventually(topics.settled, "the first outcomes")

    mock_broker.broker_down()

    assert sidecar.stop(within_s=8) == 0


@pytest.mark.mock_kafka
def test_it_ends_in_time_and_says_so_when_something_cannot_be_finished(
    mock_broker: EmbeddedBroker, topics_of_one: Topics, launch: Launch
) -> None:
    topics = topics_of_one
    sidecar = launch(topics, limits={"shutdown": "8s"}).working()
    topics.send(good_events(200))
    eventually(topics.settled, "the first outcomes")
    before = topics.committed()

    for partition in range(PARTITIONS):
        mock_broker.move_leader(topics.decisions, partition, None)
    topics.send(good_events(200, first=200))
    eventually(lambda: sidecar.sample("sidecar_in_flight_records"), "records in flight")
    code = sidecar.stop(within_s=8)

    assert code == 1
    assert {line["event"] for line in sidecar.log} & {
        "shutdown_overran",
        "stopped_with_unfinished_records",
    }
    assert topics.committed() == before


@pytest.mark.mock_kafka
def test_beside_a_model_service_kafka_does_not_count_for_readiness(
    mock_broker: EmbeddedBroker, topics_of_one: Topics, launch: Launch
) -> None:
    topics = topics_of_one
    mock_broker.broker_down()
    sidecar = launch(topics, http={"ready_needs_kafka": False})

    sidecar.said("kafka_unavailable", reason="broker_unreachable")
    away = {path: sidecar.probe(path)[:2] for path in ("/readyz", "/livez", "/startupz")}
    ready_metric = sidecar.sample("sidecar_ready")
    status = sidecar.get("/api/v1/status", "status")[1]
    mock_broker.broker_up()
    sidecar.working()
    topics.send(good_events(200))
    eventually(topics.settled, "a committed outcome of every event")

    assert away == {"/readyz": OK, "/livez": OK, "/startupz": OK}
    assert ready_metric == 1
    assert '"state":"blocked"' in status
    assert "broker_unreachable" in status
    assert sidecar.probe()[:2] == OK
    assert sidecar.stop() == 0
