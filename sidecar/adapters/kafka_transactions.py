"""Writes by transactions, one at a time per input partition: the ports `Sink` and `Ledger`.

Each input partition has a producer of its own, whose transactional id names the partition. So
whoever takes the partition over fences the one that had it before, even one that was frozen
and does not know yet: the brokers refuse its records and its offsets alike.

The client says "committed" although a record of the transaction was refused, so every record is
awaited before the offsets are sent. After any failure nothing is tried again: the producers are
thrown away, and what is not committed is read again behind a new fence.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Awaitable, Collection, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError

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
from sidecar.adapters.kafka_suspects import Suspects
from sidecar.config.settings import KafkaSettings
from sidecar.errors import SinkUnavailableError
from sidecar.events import OutboundBatch, OutboundSlice, Refusal

# Longer than a transaction with a slow model in it, shorter than readers like to wait for one
# that nobody ends: readers of committed records stand still until then.
_TRANSACTION_S = 30.0
# Producers that are started at one time.
_STARTS = 8
_END_S = 2.0
# The client asserts that its state allows a step, and that a partition is there; behind a fence
# it calls what was on its way illegal.
_CLIENT_ERRORS = (KafkaError, IllegalOperation, AssertionError)


class KafkaTransactions:
    """Sends each batch in the open transactions of its input partitions."""

    atomic = True

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Sequence[str],
        client_id: str,
        *,
        events: str,
        group: str,
        id_prefix: str,
        recycle_records: int = RECYCLE_RECORDS,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Say what is written; nothing is connected before `start` and `begin`.

        Args:
            kafka: Brokers, security, time limits and compression.
            topics: Every topic that batches may name.
            client_id: Name that brokers show and log.
            events: The topic that is read.
            group: The consumer group whose offsets are committed.
            id_prefix: Transactional ids are this and the number of the input partition.
            recycle_records: Most records that one producer writes.
            environ: Where secrets are looked up.
        """
        self._kafka = kafka
        self._recycle_records = recycle_records
        self._factory = ProducerFactory(kafka, topics, client_id, environ)
        self._events = events
        self._group = group
        self._id_prefix = id_prefix
        self._writers: dict[int, _Writer] = {}
        self._suspects = Suspects()
        self._trouble: SinkUnavailableError | None = SinkUnavailableError(
            "not_started", "the sink was not started"
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._log = structlog.get_logger()

    # --- life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """See that every topic is there, and let go of all producers; may be repeated.

        Raises:
            SinkUnavailableError: With a reason such as `topic_missing`.
        """
        await self.end(list(self._writers))
        scout = await self._factory.connect()
        await close_client(scout, DISCARD_S)
        self._trouble = None

    async def close(self, timeout_s: float) -> None:
        """Disconnect. Ends within `timeout_s`, raises nothing."""
        self._trouble = SinkUnavailableError("closed", "the sink was closed")
        writers, self._writers = list(self._writers.values()), {}
        if writers:
            closing = [asyncio.create_task(each.close(timeout_s)) for each in writers]
            await asyncio.wait(closing, timeout=timeout_s)

    async def begin(self, partitions: Collection[int]) -> None:
        """Give each input partition a new producer, which fences the one before.

        What an older assignment has left in doubt is of no interest behind the new fence.

        Args:
            partitions: All that are ours.

        Raises:
            SinkUnavailableError: With the reason that `/readyz` shows.
        """
        if self._trouble is not None and self._trouble.reason not in ("closed", "not_started"):
            await self.start()
        self._refuse_in_trouble()
        await self.end(partitions)
        room = asyncio.Semaphore(_STARTS)

        async def begin_one(partition: int) -> None:
            async with room:
                self._writers[partition] = await self._writer(partition)

        begun = await asyncio.gather(*map(begin_one, partitions), return_exceptions=True)
        for outcome in begun:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _writer(self, partition: int) -> "_Writer":
        producer = await self._factory.connect(
            look=False,
            transactional_id=f"{self._id_prefix}{partition}",
            transaction_timeout_s=_TRANSACTION_S,
        )
        return _Writer(producer, self._factory, self._suspects)

    async def end(self, partitions: Collection[int]) -> None:
        """Let go of these input partitions; an open transaction is left to the next fence."""
        gone = [self._writers.pop(p) for p in partitions if p in self._writers]
        if gone:
            closing = [asyncio.create_task(each.close(_END_S)) for each in gone]
            await asyncio.wait(closing, timeout=_END_S)

    # --- sending -----------------------------------------------------------------------------

    async def send(self, batch: OutboundBatch) -> Awaitable[Sequence[Refusal]]:
        """Hand over a batch.

        Returns:
            An awaitable that ends when every record is in its transaction. It gives the records
            that the brokers refused before, and that were left out.

        Raises:
            SinkUnavailableError: From here or from the awaitable; nothing of the open
                transactions may be committed, and nothing more is taken until `start`.
        """
        self._refuse_in_trouble()
        parts: dict[int, list[OutboundSlice]] = defaultdict(list)
        for part in batch.slices:
            parts[part.partition].append(part)
        # Looked up before anything is awaited: what comes later may be another assignment's.
        work = [(self._open(partition), slices) for partition, slices in parts.items()]
        delivery = asyncio.create_task(self._deliver(work))
        self._tasks.add(delivery)
        delivery.add_done_callback(self._tasks.discard)
        acknowledged = asyncio.shield(delivery)
        acknowledged.add_done_callback(seen)
        return acknowledged

    async def _deliver(
        self, work: Sequence[tuple["_Writer", Sequence[OutboundSlice]]]
    ) -> list[Refusal]:
        try:
            async with asyncio.timeout(self._kafka.delivery_timeout.seconds):
                found = await asyncio.gather(*(each.write(slices) for each, slices in work))
        except TimeoutError as error:
            message = f"no acknowledgement within {self._kafka.delivery_timeout}"
            raise self._failed(SinkUnavailableError("delivery_timeout", message)) from error
        except _CLIENT_ERRORS as error:
            raise self._failed(unavailable(error)) from error
        except SinkUnavailableError as error:
            raise self._failed(error) from error
        return [refusal for refusals in found for refusal in refusals]

    async def commit(
        self, offsets: Mapping[int, int], state: OutboundBatch
    ) -> Sequence[Refusal]:
        """Write state and offsets into the open transactions, and commit them.

        Returns:
            The state records that the brokers refused before.

        Raises:
            SinkUnavailableError: Nothing is known about the commit.
        """
        self._refuse_in_trouble()
        slices: dict[int, list[OutboundSlice]] = defaultdict(list)
        for part in state.slices:
            slices[part.partition].append(part)
        writers = {partition: self._open(partition) for partition in {**offsets, **slices}}
        due = {p: {TopicPartition(self._events, p): offset} for p, offset in offsets.items()}
        try:
            async with asyncio.timeout(self._kafka.delivery_timeout.seconds):
                found = await asyncio.gather(
                    *(
                        writer.commit(due.get(partition, {}), self._group, slices[partition])
                        for partition, writer in writers.items()
                    )
                )
        except TimeoutError as error:
            message = f"no end of a transaction within {self._kafka.delivery_timeout}"
            raise self._failed(SinkUnavailableError("delivery_timeout", message)) from error
        except _CLIENT_ERRORS as error:
            raise self._failed(unavailable(error)) from error
        except SinkUnavailableError as error:
            raise self._failed(error) from error
        self._suspects.clear()
        await self._recycle(offsets)
        return [refusal for refusals in found for refusal in refusals]

    async def _recycle(self, partitions: Collection[int]) -> None:
        """Replace producers that have written much, between two transactions."""
        used = [p for p in partitions if self._open(p).written > self._recycle_records]
        if used:
            try:
                await self.begin(used)
            except SinkUnavailableError as error:
                # What was committed stays so: the next send finds no producer, and says it.
                self._log.warning("producer_not_replaced", error=str(error))

    # --- small parts -------------------------------------------------------------------------

    def _open(self, partition: int) -> "_Writer":
        writer = self._writers.get(partition)
        if writer is None:
            raise SinkUnavailableError(
                "fenced", f"input partition {partition} has no producer any more"
            )
        return writer

    def _refuse_in_trouble(self) -> None:
        if self._trouble is not None:
            raise SinkUnavailableError(self._trouble.reason, str(self._trouble))

    def _failed(self, trouble: SinkUnavailableError) -> SinkUnavailableError:
        """Take nothing more: what the transactions hold is in doubt."""
        self._trouble = trouble
        return trouble


class _Writer:
    """The transactions of one input partition, one after the other."""

    def __init__(
        self, producer: AIOKafkaProducer, factory: ProducerFactory, suspects: Suspects
    ) -> None:
        self._producer = producer
        self._factory = factory
        self._suspects = suspects
        self._turn = asyncio.Lock()
        self._open = False
        self.written = 0
        """Records that were sent so far, to all topics."""

    async def write(self, slices: Sequence[OutboundSlice]) -> list[Refusal]:
        """Write into the open transaction; every record is acknowledged in the end."""
        async with self._turn:
            return await self._write(slices)

    async def commit(
        self,
        offsets: Mapping[TopicPartition, int],
        group: str,
        state: Sequence[OutboundSlice],
    ) -> list[Refusal]:
        """Write state and offsets, and commit."""
        async with self._turn:
            refusals = await self._write(state)
            await self._ensure_open()
            if offsets:
                await self._producer.send_offsets_to_transaction(dict(offsets), group)
            await self._producer.commit_transaction()
            self._open = False
            return refusals

    async def close(self, timeout_s: float) -> None:
        """Disconnect; an open transaction stays open until the next fence or its time-out."""
        if self._open or self._turn.locked():
            await discard_producer(self._producer, timeout_s)
        else:
            await close_client(self._producer, timeout_s)

    async def _ensure_open(self) -> None:
        if not self._open:
            await self._producer.begin_transaction()
            self._open = True

    async def _write(self, slices: Sequence[OutboundSlice]) -> list[Refusal]:
        queues, refusals = self._pack_all(slices)
        if await self._factory.look_again(self._producer, refused=bool(refusals)):
            queues, refusals = self._pack_all(slices)
        for wave in zip_longest(*queues.values()):
            await self._send([packed for packed in wave if packed is not None])
        return refusals

    def _pack_all(
        self, slices: Sequence[OutboundSlice]
    ) -> tuple[dict[tuple[str, int], list[Packed]], list[Refusal]]:
        """Pack slices, by topic and partition, and give what need not be sent."""
        refusals: list[Refusal] = []
        queues: dict[tuple[str, int], list[Packed]] = defaultdict(list)
        for part in slices:
            partition = part.partition % self._factory.rules[part.topic].partitions
            runs, known = self._suspects.split(Run(part, partition, 0, len(part.rows)))
            refusals += known
            for run in runs:
                packed, refused = self._factory.pack(self._producer, run)
                queues[part.topic, partition] += packed
                refusals += refused
        return queues, refusals

    async def _send(self, wave: Sequence[Packed]) -> None:
        if not wave:
            return
        await self._ensure_open()
        futures: list[asyncio.Future[Any]] = []
        for packed in wave:
            run = packed.run
            future = await self._producer.send_batch(
                packed.batch, run.part.topic, partition=run.partition
            )
            future.add_done_callback(seen)
            futures.append(future)
            self.written += len(run)
        await asyncio.wait(futures)
        for packed, future in zip(wave, futures, strict=True):
            error = future.exception()
            if error is None:
                continue
            if fate(error) is Fate.REFUSED:
                self._factory.learn(packed.run, error)
                self._suspects.note(packed.run, str(error))
                raise SinkUnavailableError("record_refused", str(error)) from error
            raise error
