"""The campaign's own eyes on a real broker: topics, committed offsets, aborted transactions."""

import uuid

import pytest
from confluent_kafka import Producer, TopicPartition

from loadtests.faults.aborted import aborted
from loadtests.faults.reading import Reader
from loadtests.faults.watch import OffsetWatch
from tests.brokers.kafka import KafkaBroker
from tests.integration.service import eventually

pytestmark = pytest.mark.kafka


@pytest.fixture
def topic(kafka: KafkaBroker) -> str:
    name = f"records-{uuid.uuid4().hex[:8]}"
    kafka.create_topic(name, 2)
    return name


def transactional(kafka: KafkaBroker, topic: str) -> Producer:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions()
    return producer


def write(producer: Producer, topic: str, *values: bytes, commit: bool) -> None:
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=1)
    producer.flush()
    if commit:
        producer.commit_transaction()
    else:
        producer.abort_transaction()


def test_aborted_records_are_not_read_and_are_known_from_the_log(
    kafka: KafkaBroker, topic: str
) -> None:
    producer = transactional(kafka, topic)
    write(producer, topic, b"a", b"b", commit=True)
    write(producer, topic, b"c", b"d", commit=False)
    write(producer, topic, b"e", commit=True)

    read = Reader(kafka.bootstrap, topic).read(topic)

    # Each end of a transaction takes an offset of its own.
    assert [(record.offset, record.value) for record in read] == [
        (0, b"a"),
        (1, b"b"),
        (6, b"e"),
    ]
    assert aborted(kafka.data, topic) == {(1, 3), (1, 4)}


def test_a_transaction_is_open_until_it_is_ended(kafka: KafkaBroker, topic: str) -> None:
    producer = transactional(kafka, topic)
    producer.begin_transaction()
    producer.produce(topic, b"a", partition=1)
    producer.flush()
    reader = Reader(kafka.bootstrap, topic)

    assert reader.has_open(topic)
    producer.commit_transaction()
    assert not reader.has_open(topic)


def test_committed_offsets_are_sampled_and_deleted_ones_begin_an_era(
    kafka: KafkaBroker, topic: str
) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for at in range(4):
        producer.produce(topic, b"%d" % at, partition=0)
    producer.flush()
    reader = Reader(kafka.bootstrap, topic)

    with OffsetWatch(kafka.bootstrap, topic, topic, 2) as watch:
        commit(reader, topic, 3)
        eventually(lambda: watch.samples, "a sample")
        with watch.offsets_moved():
            commit(reader, topic, 1)
        eventually(lambda: watch.samples[-1].era, "a sample of the next era")

    assert reader.committed(topic) == {0: 1, 1: 0}
    assert not reader.settled(topic)
    assert {(sample.era, sample.offset) for sample in watch.samples} == {(0, 3), (1, 1)}


def commit(reader: Reader, topic: str, offset: int) -> None:
    client = reader._client()
    client.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    client.close()
