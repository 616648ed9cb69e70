"""The source on a real broker: groups, outages, damage, expiry."""

import asyncio
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition

from sidecar.adapters.kafka_source import KafkaSource
from sidecar.config.settings import KafkaSettings
from sidecar.config.values import Duration
from sidecar.errors import OwnershipLostError, SourceUnavailableError
from sidecar.events import RecordBatch
from sidecar.ports import PartitionListener
from tests.brokers.kafka import KafkaBroker
from tests.contracts.benches import Recorder, by_partition, committed, joined, take, write
from tests.fakes import Stored

pytestmark = pytest.mark.kafka


@dataclass
class Topic:
    """A fresh topic on the session's broker, and a group that reads it."""

    broker: KafkaBroker
    name: str
    group: str = field(default_factory=lambda: f"group-{uuid.uuid4()}")

    def source(
        self, *, request_s: float = 5, rebalance_s: float = 20, linger_s: float = 0
    ) -> KafkaSource:
        settings = KafkaSettings(
            bootstrap_servers=[self.broker.bootstrap],
            request_timeout=Duration(round(request_s * 1000)),
            rebalance_timeout=Duration(round(rebalance_s * 1000)),
            session_timeout=Duration(6_000),
        )
        return KafkaSource(
            settings, self.name, self.group, "test", "earliest", linger_s=linger_s
        )

    def write(self, partition: int, count: int, first: int = 0) -> None:
        records = [Stored(b"key", b"%d" % at) for at in range(first, first + count)]
        write(self.broker.bootstrap, self.name, partition, *records)

    def committed(self, partition: int) -> int | None:
        return committed(self.broker.bootstrap, self.group, self.name, partition)


@pytest.fixture
def topic(kafka: KafkaBroker) -> Topic:
    name = f"in-{uuid.uuid4()}"
    kafka.create_topic(name, 2)
    return Topic(kafka, name)


# --- groups --------------------------------------------------------------------------------


class Committer(PartitionListener):
    """Reads in a task of its own, and commits what it has read when partitions leave."""

    def __init__(self, source: KafkaSource, *, revoke_takes_s: float = 0) -> None:
        self.source = source
        self.revoke_takes_s = revoke_takes_s
        self.read: list[tuple[int, int]] = []
        self.owned: set[int] = set()
        self._next: dict[int, int] = {}

    async def assigned(self, partitions: Collection[int]) -> None:
        self.owned = set(partitions)
        self._next.clear()
        self.source.resume(partitions)

    async def revoked(self, partitions: Collection[int]) -> None:
        self.source.pause(partitions)
        await asyncio.sleep(self.revoke_takes_s)
        self.owned = set()
        await self.source.commit(self._next)

    async def work(self) -> None:
        while True:
            batch = await self.source.poll(50, 0.1)
            if batch is None:
                continue
            partitions = batch.partitions().tolist()
            self.read += zip(partitions, batch.offsets.tolist(), strict=True)
            for partition, offset in self.read[-len(batch) :]:
                self._next[partition] = offset + 1


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something in the tasks beside us; the test's own bound ends it."""
    while not condition():  # noqa: ASYNC110 - what is watched has no event
        await asyncio.sleep(0.02)


async def test_a_rebalance_loses_nothing_and_repeats_nothing_that_was_committed(
    topic: Topic,
) -> None:
    topic.write(0, 400)
    topic.write(1, 400)
    first, second = Committer(topic.source()), Committer(topic.source())
    async with asyncio.TaskGroup() as group:
        await first.source.start(first)
        tasks = [group.create_task(first.work())]
        await until(lambda: len(first.read) > 100)
        await second.source.start(second)
        tasks.append(group.create_task(second.work()))
        await until(lambda: len(first.owned) == len(second.owned) == 1)
        await asyncio.to_thread(topic.write, 0, 100, 400)
        await asyncio.to_thread(topic.write, 1, 100, 400)
        await until(lambda: len(first.read) + len(second.read) >= 1000)
        for task in tasks:
            task.cancel()
    await first.source.close(5)
    await second.source.close(5)

    everything = [(partition, offset) for partition in (0, 1) for offset in range(500)]
    assert sorted(first.read + second.read) == everything
    assert second.read != []


async def test_brokers_gather_while_records_come_and_answer_at_once_after_a_silence(
    topic: Topic,
) -> None:
    source = await joined(topic.source(linger_s=1))
    loop = asyncio.get_running_loop()
    for at in range(2):  # the fetch that is under way when the first comes does not gather
        await asyncio.to_thread(topic.write, 0, 1, at)
        assert len(await take(source, 1)) == 1

    for at in range(2, 6):
        await asyncio.to_thread(topic.write, at % 2, 1, at)
    gathered = await source.poll(10, 5)

    assert gathered is not None
    assert len(gathered) == 4
    while await source.poll(10, 1.5) is not None:
        pass
    await source.poll(10, 0.5)
    await asyncio.to_thread(topic.write, 0, 1, 6)
    asked = loop.time()
    assert await source.poll(10, 5) is not None
    assert loop.time() - asked < 0.8
    await source.close(5)


async def test_a_poll_ends_in_time_while_another_member_holds_up_the_group(
    topic: Topic,
) -> None:
    slow = Committer(topic.source(), revoke_takes_s=4)
    quick = Recorder(source := topic.source())
    await slow.source.start(slow)
    joining = asyncio.create_task(source.start(quick))
    await asyncio.sleep(1)  # by now the group waits for the slow one
    loop = asyncio.get_running_loop()

    began = loop.time()
    polled = await slow.source.poll(10, 0.3)
    took_s = loop.time() - began
    await joining

    await slow.source.close(5)
    await source.close(5)
    assert polled is None
    assert took_s < 0.6
    assert len(quick.told) == 1


async def test_a_commit_after_a_partition_left_is_refused(topic: Topic) -> None:
    first, second = topic.source(), topic.source()
    told = Recorder(first)
    await first.start(told)
    await second.start(Recorder(second))
    await until(lambda: len(told.told) == 3)

    with pytest.raises(OwnershipLostError):
        await first.commit({0: 0, 1: 0})

    await first.close(5)
    await second.close(5)


async def test_what_the_listener_raises_comes_out_of_poll(topic: Topic) -> None:
    class Broken(Recorder):
        async def assigned(self, partitions: Collection[int]) -> None:
            raise ZeroDivisionError("in the listener")

    source = topic.source()
    await source.start(Broken(source))

    with pytest.raises(ZeroDivisionError, match="in the listener"):
        await source.poll(10, 0.2)

    await source.close(5)


# --- outages -------------------------------------------------------------------------------


async def test_a_broker_that_restarts_costs_time_and_no_record(topic: Topic) -> None:
    topic.write(0, 10)
    source = await joined(topic.source())
    before = await take(source, 10)
    await source.commit({0: 10})

    await asyncio.to_thread(topic.broker.stop)
    during = await source.poll(10, 0.3)
    await asyncio.to_thread(topic.broker.start)
    await asyncio.to_thread(topic.write, 0, 10, 10)
    after = await take(source, 10)
    await source.commit({0: 20})

    await source.close(5)
    assert during is None
    assert by_partition([*before, *after]) == {0: list(range(20))}
    assert topic.committed(0) == 20


async def test_calls_end_in_time_and_leave_no_task_when_the_broker_hangs(topic: Topic) -> None:
    topic.write(0, 3)
    source = await joined(topic.source(request_s=1))
    await take(source, 3)
    loop = asyncio.get_running_loop()

    topic.broker.freeze()
    try:
        began = loop.time()
        with pytest.raises(SourceUnavailableError):
            await source.commit({0: 3})
        with pytest.raises(SourceUnavailableError):
            await source.rewind({0}, {})
        with pytest.raises(SourceUnavailableError):
            await source.lag()
        polled = await source.poll(10, 0.2)
        calls_took_s = loop.time() - began
        await source.close(2)
        close_took_s = loop.time() - began - calls_took_s
        await asyncio.sleep(0.1)
        left = asyncio.all_tasks() - {asyncio.current_task()}
    finally:
        topic.broker.thaw()

    assert polled is None
    assert calls_took_s < 8
    assert close_took_s < 2.2
    assert left == set()


async def test_start_fails_at_once_without_a_broker_and_works_when_it_is_back(
    topic: Topic,
) -> None:
    source = topic.source()
    await asyncio.to_thread(topic.broker.stop)

    try:
        with pytest.raises(SourceUnavailableError, match="Connect call failed"):
            await source.start(Recorder(source))
    finally:
        await asyncio.to_thread(topic.broker.start)
    recorder = Recorder(source)
    await source.start(recorder)

    await source.close(5)
    assert recorder.told == [("assigned", frozenset({0, 1}))]


# --- what is in the topic ------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_another_client_compressed_can_be_read(topic: Topic, codec: str) -> None:
    producer = Producer(
        {"bootstrap.servers": topic.broker.bootstrap, "compression.type": codec}
    )
    values = [b"%d " % at + b"abc" * 100 for at in range(500)]
    for value in values:
        producer.produce(topic.name, value, partition=0, headers=[("h", b"1")])
    producer.flush(10)
    source = await joined(topic.source())

    batches = await take(source, 500)

    await source.close(5)
    assert [value for batch in batches for value in batch.values] == values
    assert {tuple(head) for batch in batches for head in batch.headers} == {(("h", b"1"),)}


async def test_records_of_an_aborted_transaction_do_not_come(topic: Topic) -> None:
    producer = Producer(
        {"bootstrap.servers": topic.broker.bootstrap, "transactional.id": topic.name}
    )
    producer.init_transactions(10)
    for value, end in (
        (b"aborted", producer.abort_transaction),
        (b"committed", producer.commit_transaction),
    ):
        producer.begin_transaction()
        producer.produce(topic.name, value, partition=0)
        producer.flush(10)
        end(10)
    source = await joined(topic.source())

    (batch,) = await take(source, 1)

    await source.close(5)
    assert list(batch.values) == [b"committed"]


async def test_reading_goes_on_with_the_oldest_records_when_older_ones_are_gone(
    topic: Topic,
) -> None:
    topic.write(0, 10)
    admin = topic.broker.admin()
    gone = admin.delete_records([TopicPartition(topic.name, 0, 6)])
    gone[TopicPartition(topic.name, 0, 6)].result(10)
    source = await joined(topic.source())
    while topic.committed(0) is None:
        await source.poll(1, 0.2)
    await source.rewind({0}, {0: 2})

    batches = await take(source, 4)

    await source.close(5)
    assert by_partition(batches)[0][-4:] == [6, 7, 8, 9]


def damage(segment: Path, value: bytes) -> None:
    """Change one byte of a record on disk, so that the check sum of its batch is wrong."""
    content = bytearray(segment.read_bytes())
    content[content.index(value)] ^= 0xFF
    segment.write_bytes(content)


async def test_a_damaged_batch_becomes_unreadable_records_and_costs_no_neighbour(
    topic: Topic,
) -> None:
    topic.write(0, 3, 100)
    topic.write(0, 3, 200)
    topic.write(0, 3, 300)
    topic.write(1, 5, 400)
    await asyncio.to_thread(topic.broker.stop)
    damage(topic.broker.data / f"{topic.name}-0" / f"{0:020}.log", b"201")
    await asyncio.to_thread(topic.broker.start)
    source = await joined(topic.source())

    batches = await take(source, 14)

    last = await source.poll(10, 0.2)
    await source.close(5)
    rows = sorted(row for batch in batches for row in _rows(batch))
    assert rows == [
        *((0, at, b"%d" % (100 + at), True) for at in range(3)),
        *((0, at, b"", False) for at in range(3, 6)),
        *((0, at, b"%d" % (294 + at), True) for at in range(6, 9)),
        *((1, at, b"%d" % (400 + at), True) for at in range(5)),
    ]
    assert last is None


def _rows(batch: RecordBatch) -> list[tuple[int, int, bytes, bool]]:
    return [
        (partition, offset, value or b"", row not in batch.unreadable)
        for row, (partition, offset, value) in enumerate(
            zip(batch.partitions().tolist(), batch.offsets.tolist(), batch.values, strict=True)
        )
    ]
