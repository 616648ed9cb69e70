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
from aiokafka.errors import KafkaError

from sidecar.adapters.kafka_batches import Packed, Run
from sidecar.adapters.kafka_client import close_client, discard_producer
from sidecar.adapters.kafka_errors import Fate, fate
from sidecar.adapters.kafka_producer import (
    DISCARD_S,
    RECYCLE_RECORDS,
    ProducerFactory,
    seen,
    unavailable,
)
from sidecar.config.settings import KafkaSettings
from sidecar.errors import SinkUnavailableError
from sidecar.events import OutboundBatch, Refusal

T = TypeVar("T")


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
        recycle_records: int = RECYCLE_RECORDS,
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
        self._factory = ProducerFactory(kafka, topics, client_id, environ)
        self._recycle_records = recycle_records
        self._producer: AIOKafkaProducer | None = None
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
        self._producer = await self._factory.connect()

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
        delivery.add_done_callback(seen)  # the shield forgets it when the caller is cancelled
        acknowledged = asyncio.shield(delivery)
        acknowledged.add_done_callback(seen)
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
                raise self._failed(unavailable(error)) from error
            except SinkUnavailableError as error:
                raise self._failed(error) from error

    async def _write(self, batch: OutboundBatch) -> list[Refusal]:
        if max(self._written.values(), default=0) + len(batch) > self._recycle_records:
            await self._renew()
        queues, refusals = self._pack_all(batch)
        if await self._factory.look_again(self._connected(), refused=bool(refusals)):
            queues, refusals = self._pack_all(batch)
        # One batch of each partition at a time: behind a refused one nothing may be under way.
        for wave in zip_longest(*queues.values()):
            refusals += await self._write_wave([one for one in wave if one is not None])
        return refusals

    def _pack_all(
        self, batch: OutboundBatch
    ) -> tuple[dict[tuple[str, int], list[Packed]], list[Refusal]]:
        """Pack a batch, by topic and partition, and give what need not be sent."""
        refusals: list[Refusal] = []
        queues: dict[tuple[str, int], list[Packed]] = defaultdict(list)
        for part in batch.slices:
            partition = part.partition % self._factory.rules[part.topic].partitions
            packed, refused = self._pack(Run(part, partition, 0, len(part.rows)))
            queues[part.topic, partition] += packed
            refusals += refused
        return queues, refusals

    def _pack(self, run: Run) -> tuple[list[Packed], list[Refusal]]:
        return self._factory.pack(self._connected(), run)

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
        self._factory.learn(run, error)
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
            future.add_done_callback(seen)
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

    def _failed(self, trouble: SinkUnavailableError) -> SinkUnavailableError:
        """Take nothing more: after a failure the producer's sequence numbers are in doubt."""
        self._trouble = trouble
        self._drop_producer()
        return trouble

    def _drop_producer(self) -> None:
        if self._producer is not None:
            self._in_background(discard_producer(self._producer, DISCARD_S))
            self._producer = None

    def _in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _not_started() -> SinkUnavailableError:
    return SinkUnavailableError("not_started", "the sink was not started")
