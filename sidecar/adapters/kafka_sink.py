"""Writes to topics, each batch acknowledged: the port `Sink` on aiokafka's producer.

The producer is idempotent, so what the client repeats by itself is written once and in order.
Its price: after any batch that failed, its sequence numbers and the broker's no longer agree,
and nothing more can be written to that partition. So a producer with a failure is replaced, by
ourselves when the broker refused a record, by `start` when nobody knows what was written.
"""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from sidecar.adapters.kafka_batches import Packed, Run, TopicRules, pack, topic_rules
from sidecar.adapters.kafka_client import (
    bounded,
    client_arguments,
    close_client,
    discard_producer,
    why_unreachable,
)
from sidecar.adapters.kafka_errors import CONNECT_ERRORS, Fate, fate, reason_of, text_of
from sidecar.config.settings import KafkaSettings
from sidecar.errors import SinkUnavailableError
from sidecar.events import OutboundBatch, Refusal

T = TypeVar("T")

# Below the default `max.message.bytes` of a topic, 1,048,588.
_BATCH_BYTES = 1_000_000
_SMALLEST_BATCH_BYTES = 16_384
# Largest record when the topic does not say: the broker's own limit of a request is 100 MiB.
_RECORD_BYTES = 32 << 20
# The client's sequence numbers turn negative after 2**31 records of one partition, and the
# broker refuses everything from there on.
_RECYCLE_RECORDS = 1_500_000_000
_CONFIG_S = 5.0
_DISCARD_S = 2.0


class KafkaSink:
    """Sends batches to topics, one after the other, and tells when each is acknowledged.

    One batch is on its way at a time and the next ones wait in line. The client has one
    request per partition in flight anyway, and so a refusal can never let a later record
    overtake an earlier one.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Sequence[str],
        client_id: str,
        *,
        batches_in_line: int = 4,
        recycle_records: int = _RECYCLE_RECORDS,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Say what is written; nothing is connected before `start`.

        Args:
            kafka: Brokers, security, time limits and compression.
            topics: Every topic that batches may name.
            client_id: Name that brokers show and log.
            batches_in_line: Batches that `send` takes before it waits.
            recycle_records: Most records of one partition that one producer writes.
            environ: Where secrets are looked up.
        """
        self._kafka = kafka
        self._topics = tuple(topics)
        self._client_id = client_id
        self._recycle_records = recycle_records
        self._environ = environ
        self._request_s = kafka.request_timeout.seconds
        self._compression = None if kafka.compression == "none" else kafka.compression
        self._batch_bytes = _BATCH_BYTES
        self._producer: AIOKafkaProducer | None = None
        self._rules: dict[str, TopicRules] = {}
        self._written: Counter[tuple[str, int]] = Counter()
        self._trouble: SinkUnavailableError | None = _not_started()
        self._room = asyncio.Semaphore(batches_in_line)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect with a new producer, and see that every topic is there; may be repeated.

        Raises:
            SinkUnavailableError: With a reason such as `topic_missing`, `not_authorised`,
                `authentication_failed`, `tls_failed` or `broker_unreachable`.
        """
        async with self._turn:
            self._trouble = self._trouble or _not_started()
            await self._renew()
            self._trouble = None

    async def _renew(self) -> None:
        """Replace the producer; what the old one still holds is not written."""
        self._drop_producer()
        self._written.clear()
        producer = await self._connect()
        limits = [rules.max_batch_bytes or _BATCH_BYTES for rules in self._rules.values()]
        if min(limits, default=_BATCH_BYTES) < self._batch_bytes:
            # The client's batch size is fixed when it is built, and only it could tell.
            self._batch_bytes = min(limits)
            self._in_background(discard_producer(producer, _DISCARD_S))
            producer = await self._connect()
        self._producer = producer

    async def _connect(self) -> AIOKafkaProducer:
        try:
            arguments = client_arguments(self._kafka, self._client_id, self._environ)
        except (OSError, KeyError) as error:
            message = f"credentials cannot be read: {text_of(error)}"
            raise SinkUnavailableError("authentication_failed", message) from error
        producer = AIOKafkaProducer(
            **arguments,
            enable_idempotence=True,
            acks="all",
            compression_type=self._compression,
            max_batch_size=self._batch_bytes,
        )
        connected = False
        try:
            await bounded(producer.start(), self._request_s)
            self._rules = await self._look_up_topics(producer)
            connected = True
        except CONNECT_ERRORS as error:
            cause = await why_unreachable(arguments)
            raise (SinkUnavailableError(*cause) if cause else _unavailable(error)) from error
        finally:
            if not connected:
                await discard_producer(producer, _DISCARD_S)
        return producer

    async def _look_up_topics(self, producer: AIOKafkaProducer) -> dict[str, TopicRules]:
        cluster = await bounded(producer.client.fetch_all_metadata(), self._request_s)
        missing = [t for t in self._topics if not cluster.partitions_for_topic(t)]
        if missing:
            names = ", ".join(f"`{topic}`" for topic in missing)
            raise SinkUnavailableError(
                "topic_missing", f"{names} not there, or may not be seen by this user"
            )
        counts = {
            topic: len(await bounded(producer.partitions_for(topic), self._request_s))
            for topic in self._topics
        }
        return await topic_rules(producer, counts, _CONFIG_S)

    async def close(self, timeout_s: float) -> None:
        """Write what was taken, then disconnect. Ends within `timeout_s`, raises nothing."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s / 2)
        producer, self._producer = self._producer, None
        self._trouble = SinkUnavailableError("closed", "the sink was closed")
        if producer is not None:
            close = discard_producer if self._tasks else close_client
            await close(producer, until - loop.time())

    # --- sending -----------------------------------------------------------------------------

    async def send(self, batch: OutboundBatch) -> Awaitable[Sequence[Refusal]]:
        """Hand over a batch; waits only for room in the line.

        Returns:
            An awaitable that ends when every record is acknowledged or refused for good. It
            gives those refused; the rest is written. Cancelling it does not call back the
            batch.

        Raises:
            SinkUnavailableError: From here or from the awaitable. Records may or may not have
                been written; nothing more is taken until `start` succeeded.
        """
        # Not whether there is a producer: one that is being replaced is worth waiting for.
        self._refuse_in_trouble()
        await self._room.acquire()
        delivery = self._in_background(self._deliver(batch))
        delivery.add_done_callback(lambda _: self._room.release())
        acknowledged = asyncio.shield(delivery)
        acknowledged.add_done_callback(_seen)
        return acknowledged

    async def _deliver(self, batch: OutboundBatch) -> Sequence[Refusal]:
        async with self._turn:
            self._refuse_in_trouble()
            try:
                async with asyncio.timeout(self._kafka.delivery_timeout.seconds):
                    return await self._write(batch)
            except TimeoutError as error:
                message = f"no acknowledgement within {self._kafka.delivery_timeout}"
                raise self._failed(SinkUnavailableError("delivery_timeout", message)) from error
            # The client asserts that a partition is there: a topic made anew may have fewer.
            except (KafkaError, AssertionError) as error:
                raise self._failed(_unavailable(error)) from error
            except SinkUnavailableError as error:
                raise self._failed(error) from error

    async def _write(self, batch: OutboundBatch) -> list[Refusal]:
        if max(self._written.values(), default=0) + len(batch) > self._recycle_records:
            await self._renew()
        refusals: list[Refusal] = []
        queues: dict[tuple[str, int], list[Packed]] = defaultdict(list)
        for part in batch.slices:
            partition = part.partition % self._rules[part.topic].partitions
            packed, refused = self._pack(Run(part, partition, 0, len(part.rows)))
            queues[part.topic, partition] += packed
            refusals += refused
        # One batch of each partition at a time: behind a refused one nothing may be under way.
        for wave in zip_longest(*queues.values()):
            refusals += await self._write_wave([one for one in wave if one is not None])
        return refusals

    def _pack(self, run: Run) -> tuple[list[Packed], list[Refusal]]:
        rules = self._rules[run.part.topic]
        # A record that is too large as it is may be small enough when compressed.
        known = None if self._compression else rules.max_batch_bytes
        limit = known or _RECORD_BYTES
        return pack(run, self._new_batch, limit, needs_key=rules.needs_key)

    async def _write_wave(self, wave: Sequence[Packed]) -> list[Refusal]:
        """Write batches of different partitions, without the records that are refused."""
        refusals: list[Refusal] = []
        outcomes = await self._try(wave)
        for packed, error in zip(wave, outcomes, strict=True):
            if error is not None:
                refusals += await self._halve(packed.run, error)
        return refusals

    async def _halve(self, run: Run, error: BaseException) -> list[Refusal]:
        """Write a refused run in halves, down to the records that are at fault."""
        self._learn(run, error)
        await self._renew()
        if len(run) == 1:
            return [run.refusal(run.start, str(error))]
        refusals: list[Refusal] = []
        for half in run.halves():
            packed, refused = self._pack(half)
            refusals += refused
            for one in packed:
                refusals += await self._write_wave([one])
        return refusals

    def _learn(self, run: Run, refused: BaseException) -> None:
        """Make smaller batches, where the topic would not say how large they may be."""
        if isinstance(refused, MessageSizeTooLargeError) and len(run) > 1:
            self._batch_bytes = max(_SMALLEST_BATCH_BYTES, self._batch_bytes // 2)

    async def _try(self, wave: Sequence[Packed]) -> list[BaseException | None]:
        """Send batches and wait for their acknowledgement.

        Returns:
            For each batch why it was refused, None when it was written.

        Raises:
            KafkaError: A batch failed, and nobody knows whether it was written.
        """
        producer = self._connected()
        futures: list[asyncio.Future[Any]] = []
        for packed in wave:
            run = packed.run
            future = await producer.send_batch(
                packed.batch, run.part.topic, partition=run.partition
            )
            future.add_done_callback(_seen)
            futures.append(future)
            self._written[run.part.topic, run.partition] += len(run)
        if futures:
            await asyncio.wait(futures)
        outcomes = [future.exception() for future in futures]
        for error in outcomes:
            if error is not None and fate(error) is not Fate.REFUSED:
                raise error
        return outcomes

    # --- small parts -------------------------------------------------------------------------

    def _refuse_in_trouble(self) -> None:
        if self._trouble is not None:
            raise SinkUnavailableError(self._trouble.reason, str(self._trouble))

    def _connected(self) -> AIOKafkaProducer:
        self._refuse_in_trouble()
        if self._producer is None:
            raise _not_started()
        return self._producer

    def _new_batch(self) -> BatchBuilder:
        batch: BatchBuilder = self._connected().create_batch()
        return batch

    def _failed(self, trouble: SinkUnavailableError) -> SinkUnavailableError:
        """Take nothing more: after a failure the producer's sequence numbers are in doubt."""
        self._trouble = trouble
        self._drop_producer()
        return trouble

    def _drop_producer(self) -> None:
        if self._producer is not None:
            self._in_background(discard_producer(self._producer, _DISCARD_S))
            self._producer = None

    def _in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _not_started() -> SinkUnavailableError:
    return SinkUnavailableError("not_started", "the sink was not started")


def _unavailable(error: BaseException) -> SinkUnavailableError:
    return SinkUnavailableError(reason_of(error), text_of(error))


def _seen(future: asyncio.Future[Any]) -> None:
    """Keep asyncio from reporting an error that nobody asked this future about."""
    if not future.cancelled():
        future.exception()
