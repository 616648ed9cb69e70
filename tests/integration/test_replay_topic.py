"""A range of a topic on a real broker: transactions, damage, expiry, order."""

import asyncio
import uuid
from collections.abc import Sequence

import pytest
from confluent_kafka import Producer, TopicPartition

from sidecar.adapters.replay_topic import EVERYTHING, Place, TopicRange
from sidecar.config.settings import KafkaSettings
from sidecar.events import RecordBatch
from tests.brokers.kafka import KafkaBroker
from tests.contracts.benches import write
from tests.fakes import Stored
from tests.integration.test_kafka_source import damage

pytestmark = pytest.mark.kafka

Row = tuple[int, int, bytes | None]


@pytest.fixture
def topic(kafka: KafkaBroker) -> str:
    name = f"in-{uuid.uuid4()}"
    # Their timestamps are long ago.
    kafka.create_topic(name, 2, retention_ms="-1")
    return name


def put(kafka: KafkaBroker, topic: str, partition: int, *times_ms: int) -> None:
    """Write records with these timestamps, each its own value."""
    records = [Stored(b"k", b"%d" % time, timestamp_ms=time) for time in times_ms]
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for record in records:
        producer.produce(
            topic,
            record.value,
            record.key,
            partition=partition,
            timestamp=record.timestamp_ms,
        )
    assert producer.flush(10) == 0


async def read(
    kafka: KafkaBroker,
    topic: str,
    max_records: int = 100,
    begin: Place = EVERYTHING,
    end: Place = EVERYTHING,
) -> list[RecordBatch]:
    settings = KafkaSettings(bootstrap_servers=[kafka.bootstrap])
    source = TopicRange(settings, topic, begin, end)
    batches = [batch async for batch in source.batches(max_records)]
    done, of = source.progress
    assert done == of
    return batches


def rows(batches: Sequence[RecordBatch]) -> list[list[Row]]:
    return [
        list(
            zip(batch.partitions().tolist(), batch.offsets.tolist(), batch.values, strict=True)
        )
        for batch in batches
    ]


async def test_batches_are_cut_from_one_order_by_time(kafka: KafkaBroker, topic: str) -> None:
    put(kafka, topic, 0, 1_000, 2_000, 5_000, 4_000)
    put(kafka, topic, 1, 1_500, 2_000, 9_000)

    batches = await read(kafka, topic, 3)

    assert rows(batches) == [
        [(0, 0, b"1000"), (0, 1, b"2000"), (1, 0, b"1500")],
        [(0, 2, b"5000"), (0, 3, b"4000"), (1, 1, b"2000")],
        [(1, 2, b"9000")],
    ]
    assert batches[1].timestamps_ms.tolist() == [5_000, 4_000, 2_000]


async def test_a_large_topic_is_read_in_bounded_pieces(kafka: KafkaBroker, topic: str) -> None:
    """One partition is far ahead in time, so most of it waits for the other."""
    put(kafka, topic, 0, *range(1_000_000, 1_060_000))
    put(kafka, topic, 1, *range(1_059_000, 1_119_000))

    batches = await read(kafka, topic, 4_096)

    order = [row for batch in rows(batches) for row in batch]
    assert [len(batch) for batch in batches] == [4_096] * 29 + [120_000 - 29 * 4_096]
    for partition in (0, 1):
        assert [at for p, at, _ in order if p == partition] == list(range(60_000))


async def test_markers_of_transactions_and_what_was_aborted_are_passed(
    kafka: KafkaBroker, topic: str
) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(10)
    for value, end in (
        (b"committed", producer.commit_transaction),
        (b"aborted", producer.abort_transaction),
    ):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(10)
        end(10)

    batches = await read(kafka, topic)

    assert rows(batches) == [[(0, 0, b"committed")]]


async def test_an_empty_topic_is_an_empty_replay(kafka: KafkaBroker, topic: str) -> None:
    assert await read(kafka, topic) == []


async def test_what_expired_is_not_waited_for(kafka: KafkaBroker, topic: str) -> None:
    put(kafka, topic, 0, *range(1_000, 1_010))
    admin = kafka.admin()
    gone = admin.delete_records([TopicPartition(topic, 0, 6)])
    gone[TopicPartition(topic, 0, 6)].result(10)

    batches = await read(kafka, topic, begin=Place(offset=2), end=Place(offset=8))

    assert rows(batches) == [[(0, 6, b"1006"), (0, 7, b"1007")]]


async def test_a_time_is_the_first_record_then(kafka: KafkaBroker, topic: str) -> None:
    put(kafka, topic, 0, 1_000, 2_000, 3_000)
    put(kafka, topic, 1, 1_500, 2_500)

    batches = await read(kafka, topic, begin=Place(time_ms=1_500), end=Place(time_ms=2_500))

    assert rows(batches) == [[(0, 1, b"2000"), (1, 0, b"1500")]]


async def test_a_damaged_batch_costs_no_neighbour(kafka: KafkaBroker, topic: str) -> None:
    for first in (100, 200, 300):
        write(
            kafka.bootstrap, topic, 0, *(Stored(b"k", b"%d" % (first + at)) for at in range(3))
        )
    write(kafka.bootstrap, topic, 1, *(Stored(b"k", b"%d" % (400 + at)) for at in range(5)))
    await asyncio.to_thread(kafka.stop)
    damage(kafka.data / f"{topic}-0" / f"{0:020}.log", b"201")
    await asyncio.to_thread(kafka.start)

    batches = await read(kafka, topic)

    found = sorted((p, at, value) for batch in rows(batches) for p, at, value in batch)
    unreadable = sum(len(batch.unreadable) for batch in batches)
    assert found == [
        *((0, at, b"%d" % (100 + at)) for at in range(3)),
        *((0, at, None) for at in range(3, 6)),
        *((0, at, b"%d" % (294 + at)) for at in range(6, 9)),
        *((1, at, b"%d" % (400 + at)) for at in range(5)),
    ]
    assert unreadable == 3
