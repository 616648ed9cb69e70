"""Reads the state topic: the port `StateLog` on aiokafka's consumer, without a group."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from sidecar.adapters.kafka_client import (
    bounded,
    client_arguments,
    close_client,
    why_unreachable,
)
from sidecar.adapters.kafka_errors import CONNECT_ERRORS, text_of
from sidecar.adapters.kafka_reading import UNREADABLE, take, take_around_damage
from sidecar.adapters.kafka_records import Unreadable
from sidecar.config.settings import KafkaSettings
from sidecar.errors import SourceUnavailableError
from sidecar.ports import StateRecord

_CLOSE_S = 2.0
_POLL_RECORDS = 2_000
# A question to a broker waits behind a fetch that waits for records, and a partition that is
# restored waits for the answer. So brokers are looked at for a moment, and then left alone.
_FETCH_WAIT_MS = 50
_LOOK_S = 0.05


class KafkaStateLog:
    """Follows every partition of the state topic, reading committed records alone."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        client_id: str,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Say what is read; nothing is connected before `start`.

        Args:
            kafka: Brokers, security and time limits.
            topic: The state topic.
            client_id: Name that brokers show and log.
            environ: Where secrets are looked up.
        """
        self._kafka = kafka
        self._topic = topic
        self._client_id = client_id
        self._environ = environ
        self._request_s = kafka.request_timeout.seconds
        self._consumer: AIOKafkaConsumer | None = None
        self._next: dict[TopicPartition, int] = {}
        self._rereads = 0
        self._wanted = asyncio.Event()
        """Somebody waits until all is read that is there: no time to rest."""

    async def start(self) -> None:
        """Connect; goes on where it stood when it is repeated.

        Raises:
            SourceUnavailableError: No broker answers, or the topic is missing.
        """
        await self.close(_CLOSE_S)
        try:
            arguments = client_arguments(self._kafka, self._client_id, self._environ)
        except (OSError, KeyError) as error:
            raise SourceUnavailableError(
                f"credentials cannot be read: {text_of(error)}"
            ) from error
        consumer = AIOKafkaConsumer(
            **arguments,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            fetch_max_bytes=self._kafka.fetch_max_bytes.bytes,
        )
        connected = False
        try:
            await self._connect(consumer)
            connected = True
        except CONNECT_ERRORS as error:
            cause = await why_unreachable(arguments)
            raise SourceUnavailableError(cause[1] if cause else text_of(error)) from error
        finally:
            if not connected:
                await close_client(consumer, _CLOSE_S)
        self._consumer = consumer
        self._wanted.clear()

    async def _connect(self, consumer: AIOKafkaConsumer) -> None:
        await bounded(consumer.start(), self._request_s)
        # A consumer that has nothing assigned knows of no topic by itself.
        cluster = await bounded(consumer._client.fetch_all_metadata(), self._request_s)
        partitions = cluster.partitions_for_topic(self._topic)
        if not partitions:
            raise SourceUnavailableError(
                f"topic `{self._topic}` does not exist, or may not be seen by this user"
            )
        tps = [TopicPartition(self._topic, p) for p in sorted(partitions)]
        consumer.assign(tps)
        begins = await bounded(consumer.beginning_offsets(tps), self._request_s)
        for tp in tps:
            self._next[tp] = max(begins[tp], self._next.get(tp, 0))
            consumer.seek(tp, self._next[tp])

    async def poll(self, timeout_s: float) -> Sequence[StateRecord]:
        """Give what has been written, committed records alone; empty when nothing was.

        Where nothing is, it rests until the time is over or `remaining` is asked: brokers are
        not asked all the time by whoever only follows. A record that cannot be read is passed
        over: the next store replaces it.

        Raises:
            SourceUnavailableError: The client is broken; `start` may revive it.
        """
        consumer = self._alive()
        consumer.resume(*self._next)
        try:
            try:
                found = await take(consumer, _POLL_RECORDS, min(timeout_s, _LOOK_S))
            except UNREADABLE:
                found = await self._around_damage(consumer, timeout_s)
            rereads, tps = self._rereads, list(self._next)
            positions = await bounded(
                asyncio.gather(*(consumer.position(tp) for tp in tps)), self._request_s
            )
        except (KafkaError, ConsumerStoppedError, TimeoutError) as error:
            raise SourceUnavailableError(text_of(error)) from error
        # Only with the records in hand: who asks meanwhile must not find them read already.
        if rereads == self._rereads:
            self._next.update(zip(tps, positions, strict=True))
        if not found and not self._wanted.is_set():
            await self._rest(consumer, timeout_s - _LOOK_S)
        return [
            StateRecord(record.key, record.value)
            for records in found.values()
            for record in records
            if not isinstance(record, Unreadable)
        ]

    async def _rest(self, consumer: AIOKafkaConsumer, seconds: float) -> None:
        consumer.pause(*self._next)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()

    async def _around_damage(
        self, consumer: AIOKafkaConsumer, timeout_s: float
    ) -> dict[TopicPartition, list[object]]:
        """Read each partition alone from where it stood, past what is damaged."""
        found: dict[TopicPartition, list[object]] = {}
        for tp, at in self._next.items():
            consumer.seek(tp, at)
            rows, _ = await take_around_damage(consumer, _POLL_RECORDS, timeout_s, tp)
            found[tp] = rows
        return found

    async def remaining(self) -> int:
        """Count the offsets between where reading stands and what is written at this moment.

        Raises:
            SourceUnavailableError: No broker answers.
        """
        consumer = self._alive()
        self._wanted.set()
        try:
            ends = await bounded(consumer.end_offsets(list(self._next)), self._request_s)
        except (KafkaError, TimeoutError) as error:
            raise SourceUnavailableError(text_of(error)) from error
        left: int = sum(max(0, end - self._next[tp]) for tp, end in ends.items())
        if not left:
            self._wanted.clear()
        return left

    def reread(self) -> None:
        """Read everything again, from the beginning."""
        self._rereads += 1
        for tp in self._next:
            self._next[tp] = 0
            if self._consumer is not None:
                self._consumer.seek(tp, 0)

    async def close(self, timeout_s: float) -> None:
        """Disconnect. Ends within `timeout_s`, raises nothing."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await asyncio.wait(
                (asyncio.create_task(close_client(consumer, timeout_s)),), timeout=timeout_s
            )

    def _alive(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise SourceUnavailableError("not connected")
        return self._consumer
