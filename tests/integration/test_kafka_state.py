"""The reader of the state topic on a real broker: it follows, rests, and wakes."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from sidecar.adapters.kafka_state import KafkaStateLog
from sidecar.config.settings import KafkaSettings
from tests.brokers.kafka import KafkaBroker
from tests.contracts.benches import write
from tests.fakes import Stored

pytestmark = pytest.mark.kafka

LONG_S = 3_600.0


@dataclass
class State:
    """A fresh topic, and who follows it."""

    broker: KafkaBroker
    topic: str
    log: KafkaStateLog

    def write(self, partition: int, *values: bytes) -> None:
        records = [Stored(b"key", value) for value in values]
        write(self.broker.bootstrap, self.topic, partition, *records)

    async def read(self, count: int) -> list[bytes]:
        values: list[bytes] = []
        while len(values) < count:
            values += [record.value or b"" for record in await self.log.poll(1.0)]
        return values

    async def resting(self) -> "asyncio.Task[object]":
        """Let it poll for an hour, and wait until it does not ask the broker any more."""
        poll: asyncio.Task[object] = asyncio.create_task(self.log.poll(LONG_S))
        consumer = self.log._alive()
        while consumer.paused() != consumer.assignment():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        return poll


@asynccontextmanager
async def following(kafka: KafkaBroker) -> AsyncIterator[State]:
    topic = f"state-{uuid.uuid4()}"
    kafka.create_topic(topic, 2, cleanup_policy="compact")
    log = KafkaStateLog(KafkaSettings(bootstrap_servers=[kafka.bootstrap]), topic, "test")
    await log.start()
    try:
        yield State(kafka, topic, log)
    finally:
        await log.close(5.0)


async def test_it_follows_every_partition(kafka: KafkaBroker) -> None:
    async with following(kafka) as state:
        state.write(0, b"1")
        state.write(1, b"2")
        assert sorted(await state.read(2)) == [b"1", b"2"]
        assert await state.log.remaining() == 0

        state.write(1, b"3")
        assert await state.read(1) == [b"3"]


async def test_where_nothing_comes_it_leaves_the_broker_alone(kafka: KafkaBroker) -> None:
    async with following(kafka) as state:
        poll = await state.resting()

        state.write(0, b"1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(poll), 0.5)
        poll.cancel()
        assert await state.read(1) == [b"1"]  # nothing is passed over


async def test_who_asks_what_is_left_wakes_it(kafka: KafkaBroker) -> None:
    async with following(kafka) as state:
        poll = await state.resting()
        state.write(0, b"1", b"2")

        assert await state.log.remaining() == 2
        assert await asyncio.wait_for(poll, 10) == []
        assert await state.read(2) == [b"1", b"2"]
        assert await state.log.remaining() == 0
        assert not (await state.resting()).done()
