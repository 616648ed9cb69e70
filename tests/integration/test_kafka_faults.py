"""What source and sink make of each error that a broker may answer with, on the mock."""

import asyncio
import gc
import random
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from sidecar.adapters.kafka_sink import KafkaSink
from sidecar.adapters.kafka_source import KafkaSource
from sidecar.config.settings import KafkaSettings
from sidecar.config.values import Duration
from sidecar.demo.broker import EmbeddedBroker
from sidecar.errors import OwnershipLostError, SinkUnavailableError, SourceUnavailableError
from sidecar.events import OutboundBatch, OutboundSlice, RecordBatch
from tests.contracts.benches import by_partition, joined, read_all, take, write
from tests.fakes import Stored

pytestmark = pytest.mark.mock_kafka

TOPIC = "records"
PRODUCE, OFFSET_COMMIT = 0, 8


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker({TOPIC: 2}) as broker:
        yield broker


@pytest.fixture
def cluster() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker({TOPIC: 1}, brokers=3) as cluster:
        yield cluster


def settings(broker: EmbeddedBroker) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        request_timeout=Duration(3_000),
        delivery_timeout=Duration(10_000),
    )


def batch(*values: bytes) -> OutboundBatch:
    keys = [b"key"] * len(values)
    return OutboundBatch((OutboundSlice(TOPIC, 0, keys, values, None, range(len(values))),))


def written(broker: EmbeddedBroker) -> list[bytes | None]:
    return [record.value for record in read_all(broker.bootstrap_servers[0], TOPIC, 0)]


# --- what a produce request may be answered with -------------------------------------------


async def after_error(broker: EmbeddedBroker, code: int) -> tuple[str, list[bytes | None]]:
    """Send with an error in the middle; give what came of it and what was written."""
    sink = KafkaSink(settings(broker), [TOPIC], "test")
    await sink.start()
    await (await sink.send(batch(b"1")))
    broker.push_errors(PRODUCE, [code])
    try:
        refusals = await (await sink.send(batch(b"2", b"3")))
        outcome = "written" if not refusals else "refused"
    except SinkUnavailableError as error:
        outcome = error.reason
        await sink.start()
    await (await sink.send(batch(b"4")))
    await sink.close(5)
    return outcome, written(broker)


@pytest.mark.parametrize("code", [3, 5, 6, 7, 19, 20, 56])
async def test_what_the_client_repeats_is_written_once(
    broker: EmbeddedBroker, code: int
) -> None:
    outcome, values = await after_error(broker, code)

    assert (outcome, values) == ("written", [b"1", b"2", b"3", b"4"])


@pytest.mark.parametrize("code", [10, 18, 32, 87])
async def test_a_refused_batch_is_written_in_parts(broker: EmbeddedBroker, code: int) -> None:
    outcome, values = await after_error(broker, code)

    assert (outcome, values) == ("written", [b"1", b"2", b"3", b"4"])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (-1, "client_failed"),
        (2, "client_failed"),
        (17, "topic_missing"),
        (29, "not_authorised"),
        (31, "not_authorised"),
        (45, "sequence_lost"),
        (47, "fenced"),
        (59, "sequence_lost"),
        (90, "client_failed"),
    ],
)
async def test_any_doubt_stops_the_sink_until_it_is_started_again(
    broker: EmbeddedBroker, code: int, reason: str
) -> None:
    outcome, values = await after_error(broker, code)

    assert (outcome, values) == (reason, [b"1", b"4"])


async def test_a_record_that_is_always_refused_is_named_and_the_rest_is_written(
    broker: EmbeddedBroker,
) -> None:
    sink = KafkaSink(settings(broker), [TOPIC], "test")
    await sink.start()
    # The whole, its first half and that half's first record.
    broker.push_errors(PRODUCE, [32, 32, 32])

    refusals = await (await sink.send(batch(b"a", b"b", b"c", b"d")))

    await sink.close(5)
    assert [(refusal.topic, refusal.row) for refusal in refusals] == [(TOPIC, 0)]
    assert "InvalidTimestampError" in refusals[0].message
    assert written(broker) == [b"b", b"c", b"d"]


async def test_batches_in_line_behind_a_failure_are_not_written(
    broker: EmbeddedBroker,
) -> None:
    sink = KafkaSink(settings(broker), [TOPIC], "test")
    await sink.start()
    broker.push_errors(PRODUCE, [45])

    under_way = [await sink.send(batch(value)) for value in (b"1", b"2", b"3")]
    outcomes = await asyncio.gather(*under_way, return_exceptions=True)

    await sink.close(5)
    assert [getattr(outcome, "reason", "") for outcome in outcomes] == ["sequence_lost"] * 3
    assert written(broker) == []


async def test_a_batch_that_fails_after_its_caller_was_cancelled_is_not_complained_about(
    broker: EmbeddedBroker,
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    sink = KafkaSink(settings(broker), [TOPIC], "test")
    await sink.start()
    broker.push_errors(PRODUCE, [45])

    waiting = asyncio.ensure_future(await sink.send(batch(b"1")))
    waiting.cancel()
    await asyncio.wait((waiting,))
    del waiting
    await sink.close(5)
    await sink.close(5)  # the first one ends with the batch, this one with its producer
    gc.collect()

    assert complaints == []


async def test_a_batch_that_is_given_up_amid_its_tries_is_not_complained_about(
    broker: EmbeddedBroker,
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    impatient = replace(settings(broker), delivery_timeout=Duration(1_000))
    sink = KafkaSink(impatient, [TOPIC], "test")
    await sink.start()
    broker.push_errors(PRODUCE, [7] * 100)

    with pytest.raises(SinkUnavailableError, match="no acknowledgement"):
        await (await sink.send(batch(b"1")))
    await sink.close(5)
    await sink.close(5)
    gc.collect()

    assert complaints == []


async def test_leaders_that_move_cost_no_record_and_no_order(cluster: EmbeddedBroker) -> None:
    sink = KafkaSink(settings(cluster), [TOPIC], "test")
    values = [b"%d" % at for at in range(60)]
    await sink.start()

    for at, value in enumerate(values):
        if at % 5 == 0:
            cluster.move_leader(TOPIC, 0, at // 5 % 3 + 1)
        await (await sink.send(batch(value)))

    await sink.close(5)
    assert written(cluster) == values


async def test_a_partition_without_a_leader_stops_the_sink_until_it_has_one(
    broker: EmbeddedBroker,
) -> None:
    sink = KafkaSink(settings(broker), [TOPIC], "test")
    await sink.start()
    await (await sink.send(batch(b"before")))
    broker.move_leader(TOPIC, 0, None)
    broker.push_errors(PRODUCE, [6])

    with pytest.raises(SinkUnavailableError) as raised:
        await (await sink.send(batch(b"lost")))
    broker.move_leader(TOPIC, 0, 1)
    await sink.start()
    await (await sink.send(batch(b"after")))

    await sink.close(5)
    assert raised.value.reason == "no_leader"
    assert written(broker) == [b"before", b"after"]


async def test_a_broker_that_is_away_for_a_while_costs_no_record(
    broker: EmbeddedBroker,
) -> None:
    source = await joined(KafkaSource(settings(broker), TOPIC, "group", "test", "earliest"))
    sink = KafkaSink(settings(broker), [TOPIC], "test")
    await sink.start()
    await (await sink.send(batch(b"before")))
    before = await take(source, 1)

    broker.broker_down()
    acknowledged = await sink.send(batch(b"during"))
    silent = await source.poll(10, 0.3)
    broker.broker_up()
    refusals = await acknowledged
    after = await take(source, 1)

    await source.close(5)
    await sink.close(5)
    assert silent is None
    assert list(refusals) == []
    assert by_partition([*before, *after]) == {0: [0, 1]}


async def test_a_broker_that_takes_two_seconds_for_an_answer_is_slow_and_not_away(
    broker: EmbeddedBroker,
) -> None:
    source = await joined(KafkaSource(settings(broker), TOPIC, "group", "test", "earliest"))
    write(broker.bootstrap_servers[0], TOPIC, 0, Stored(b"k", b"v"))
    await take(source, 1)

    broker.set_round_trip(2_000)
    lag = await source.lag()
    broker.set_round_trip(0)

    await source.close(5)
    assert lag[0] == (1, 1)


async def test_a_client_that_stopped_fetching_is_noticed_and_can_be_started_again(
    broker: EmbeddedBroker,
) -> None:
    kafka = replace(settings(broker), session_timeout=Duration(2_000))
    source = await joined(KafkaSource(kafka, TOPIC, "group", "test", "earliest"))
    write(broker.bootstrap_servers[0], TOPIC, 0, Stored(b"k", b"v"))
    await take(source, 1)

    for task in asyncio.all_tasks():
        if "_fetch_requests_routine" in repr(task.get_coro()):
            task.cancel()
    await asyncio.sleep(0.05)
    with pytest.raises(SourceUnavailableError, match="stopped fetching"):
        await source.poll(10, 0.1)
    await joined(source)
    again = await take(source, 1)

    await source.close(5)
    assert by_partition(again) == {0: [0]}


# --- what a commit may be answered with ----------------------------------------------------


async def commit_with(broker: EmbeddedBroker, code: int) -> None:
    source = await joined(KafkaSource(settings(broker), TOPIC, "group", "test", "earliest"))
    broker.push_errors(OFFSET_COMMIT, [code])
    try:
        await source.commit({0: 0})
    finally:
        await source.close(5)


@pytest.mark.parametrize("code", [7, 14, 15, 16])
async def test_a_commit_is_repeated_while_the_coordinator_is_away(
    broker: EmbeddedBroker, code: int
) -> None:
    await commit_with(broker, code)


@pytest.mark.parametrize("code", [22, 25, 27])
async def test_a_commit_of_a_former_member_says_that_ownership_is_lost(
    broker: EmbeddedBroker, code: int
) -> None:
    with pytest.raises(OwnershipLostError):
        await commit_with(broker, code)


@pytest.mark.parametrize("code", [-1, 12, 24, 28, 29, 30])
async def test_any_other_commit_error_leaves_the_commit_in_doubt(
    broker: EmbeddedBroker, code: int
) -> None:
    with pytest.raises(SourceUnavailableError):
        await commit_with(broker, code)


# --- polls that are cut short --------------------------------------------------------------


async def test_no_record_is_lost_when_polls_are_cut_short(broker: EmbeddedBroker) -> None:
    chance = random.Random(7)
    source = await joined(KafkaSource(settings(broker), TOPIC, "group", "test", "earliest"))
    write(broker.bootstrap_servers[0], TOPIC, 0, Stored(b"k", b"first"))
    batches: list[RecordBatch] = await take(source, 1)

    async def poll() -> None:
        batch = await source.poll(chance.randint(1, 20), chance.choice([0.0, 0.001, 0.01]))
        if batch is not None:
            batches.append(batch)

    async def feed() -> None:
        for at in range(40):
            records = [Stored(b"k", b"%d" % at)] * 10
            await asyncio.to_thread(write, broker.bootstrap_servers[0], TOPIC, at % 2, *records)

    feeding = asyncio.create_task(feed())
    while not feeding.done() or sum(map(len, batches)) < 401:
        task = asyncio.create_task(poll())
        await asyncio.wait((task,), timeout=chance.choice([0.0, 0.0005, 0.002, 0.02]))
        task.cancel()
        await asyncio.wait((task,))

    await source.close(5)
    assert by_partition(batches) == {0: list(range(201)), 1: list(range(200))}
