"""Where a contract suite stands its source or sink: in memory, on the mock, on real Kafka.

What goes in and comes out is checked with another client library than the adapters use.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, Protocol

from confluent_kafka import Consumer, Producer, TopicPartition

from sidecar.adapters.kafka_sink import KafkaSink
from sidecar.adapters.kafka_source import KafkaSource
from sidecar.clock import SystemClock
from sidecar.config.settings import KafkaSettings
from sidecar.config.values import Duration
from sidecar.events import RecordBatch
from sidecar.ports import PartitionListener, Sink, Source
from tests.fakes import MemoryLog, MemorySink, MemorySource, Stored

Begin = Literal["earliest", "latest"]
READ_S = 15.0
PARTITIONS = 2


class Recorder(PartitionListener):
    """Lets new partitions flow at once and remembers what it was told."""

    def __init__(self, source: Source, *, resume: bool = True) -> None:
        self._source = source
        self._resume = resume
        self.told: list[tuple[str, frozenset[int]]] = []

    async def assigned(self, partitions: Collection[int]) -> None:
        self.told.append(("assigned", frozenset(partitions)))
        if self._resume:
            self._source.resume(partitions)

    async def revoked(self, partitions: Collection[int]) -> None:
        self.told.append(("revoked", frozenset(partitions)))


async def joined(source: Source) -> Source:
    """Start a source whose partitions flow at once."""
    await source.start(Recorder(source))
    return source


async def take(source: Source, count: int) -> list[RecordBatch]:
    """Poll until so many records came, and fail when they do not."""
    clock = SystemClock()
    until = clock.monotonic() + READ_S
    batches: list[RecordBatch] = []
    while (missing := count - sum(map(len, batches))) > 0:
        assert clock.monotonic() < until, f"{missing} of {count} records did not come"
        batch = await source.poll(1000, 0.2)
        if batch is not None:
            batches.append(batch)
    return batches


def by_partition(batches: Sequence[RecordBatch]) -> dict[int, list[int]]:
    """Give the offsets of each partition, in the order they came."""
    offsets: dict[int, list[int]] = {}
    for batch in batches:
        for span in batch.spans:
            came = batch.offsets[span.start : span.stop].tolist()
            offsets.setdefault(span.partition, []).extend(came)
    return offsets


class Bench(Protocol):
    """A broker, or what stands in for one, with a topic of two partitions."""

    topic: str

    def create(self, topic: str) -> None: ...
    def write(self, partition: int, *records: Stored) -> None: ...
    def read(self, partition: int, count: int) -> list[Stored]: ...
    def committed(self, partition: int) -> int | None: ...
    def source(self, topic: str | None = None, begin: Begin = "earliest") -> Source: ...
    def sink(self, topic: str | None = None) -> Sink: ...


class MemoryBench:
    """The fakes."""

    def __init__(self) -> None:
        self.topic = "events"
        self.log = MemoryLog()
        self.create(self.topic)

    def create(self, topic: str) -> None:
        self.log.create(topic, PARTITIONS)

    def write(self, partition: int, *records: Stored) -> None:
        self.log.write(self.topic, partition, *records)

    def read(self, partition: int, count: int) -> list[Stored]:
        return self.log.read(self.topic, partition)

    def committed(self, partition: int) -> int | None:
        return self.log.committed.get((self.topic, partition))

    def source(self, topic: str | None = None, begin: Begin = "earliest") -> Source:
        return MemorySource(self.log, topic or self.topic, begin=begin)

    def sink(self, topic: str | None = None) -> Sink:
        return MemorySink(self.log, [topic or self.topic])


class KafkaBench:
    """The adapters, on any broker that speaks Kafka."""

    def __init__(self, bootstrap: str, create: Callable[[str, int], None]) -> None:
        # The mock lets a member in only a session time-out after the last one left.
        self.settings = KafkaSettings(
            bootstrap_servers=[bootstrap], session_timeout=Duration(2_000)
        )
        self._bootstrap = bootstrap
        self._create = create
        self._group = f"group-{uuid.uuid4()}"
        self.topic = f"events-{uuid.uuid4()}"
        self.create(self.topic)

    def create(self, topic: str) -> None:
        self._create(topic, PARTITIONS)

    def write(self, partition: int, *records: Stored) -> None:
        write(self._bootstrap, self.topic, partition, *records)

    def read(self, partition: int, count: int) -> list[Stored]:
        return read(self._bootstrap, self.topic, partition, count)

    def committed(self, partition: int) -> int | None:
        return committed(self._bootstrap, self._group, self.topic, partition)

    def source(self, topic: str | None = None, begin: Begin = "earliest") -> Source:
        topic = topic or self.topic
        return KafkaSource(self.settings, topic, self._group, "contract", begin)

    def sink(self, topic: str | None = None) -> Sink:
        return KafkaSink(self.settings, [topic or self.topic], "contract")


# --- the other client ----------------------------------------------------------------------


def write(bootstrap: str, topic: str, partition: int, *records: Stored) -> None:
    """Write records and wait until all are acknowledged."""
    assert (failures := refused(bootstrap, topic, partition, *records)) == [], failures


def refused(bootstrap: str, topic: str, partition: int, *records: Stored) -> list[Any]:
    """Write records and give the errors of those that were refused."""
    failures: list[Any] = []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1})
    for record in records:
        producer.produce(
            topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            timestamp=record.timestamp_ms,
            partition=partition,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    assert producer.flush(READ_S) == 0
    return failures


def read(bootstrap: str, topic: str, partition: int, count: int, **config: str) -> list[Stored]:
    """Read the first records of a partition; fewer when no more come in time."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "reader", **config}
    consumer = Consumer(settings)
    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        records: list[Stored] = []
        clock = SystemClock()
        until = clock.monotonic() + READ_S
        while len(records) < count and clock.monotonic() < until:
            for message in consumer.consume(count - len(records), 0.2):
                assert message.error() is None, message.error()
                headers: Any = message.headers() or []
                stamp = message.timestamp()[1]
                records.append(Stored(message.key(), message.value(), headers, stamp))
        return records
    finally:
        consumer.close()


def read_all(bootstrap: str, topic: str, partition: int) -> list[Stored]:
    """Read a partition up to its end."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), READ_S)
    finally:
        consumer.close()
    return read(bootstrap, topic, partition, end)


def committed(bootstrap: str, group: str, topic: str, partition: int) -> int | None:
    """Give the committed offset of a group."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    try:
        (answer,) = consumer.committed([TopicPartition(topic, partition)], READ_S)
        return int(answer.offset) if answer.offset >= 0 else None
    finally:
        consumer.close()
