"""Reads a topic as a member of a consumer group: the port `Source` on aiokafka."""

import asyncio
import os
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Literal

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    ConsumerStoppedError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
)

from sidecar.adapters.kafka_client import (
    bounded,
    client_arguments,
    close_client,
    why_unreachable,
)
from sidecar.adapters.kafka_errors import CONNECT_ERRORS, Fate, fate, text_of
from sidecar.adapters.kafka_reading import UNREADABLE, gather, take, take_around_damage
from sidecar.adapters.kafka_records import Found, Unreadable, as_it_is, record_batch
from sidecar.config.settings import KafkaSettings
from sidecar.errors import OwnershipLostError, SourceUnavailableError, TransientError
from sidecar.events import RecordBatch
from sidecar.ports import Lag, PartitionListener, Place

_CLOSE_S = 5.0
_LAG_S = 2.0
_PARTITION_FETCH_BYTES = 1 << 20
# Progress is watched by the runtime, which knows why nothing moves: a sink that is away for
# ten minutes is no reason to leave the group.
_MAX_POLL_INTERVAL_MS = 24 * 3_600_000
# No topic has this partition: asking for its records joins the group and takes none.
_NO_PARTITION = 2**31 - 1


class KafkaSource:
    """A consumer group's share of one topic.

    Offsets are committed only when told. A group without an offset begins where `begin` says
    and commits that place at once, so that a record which was handed out and not finished is
    still ahead of the group's offset. Where the records at the group's offset are gone, it
    goes on with the oldest ones that are left.

    Partitions arrive paused; the listener resumes them when it is ready.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        group: str,
        client_id: str,
        begin: Literal["earliest", "latest"],
        environ: Mapping[str, str] = os.environ,
        *,
        linger_s: float = 0.0,
    ) -> None:
        """Say what is read; nothing is connected before `start`.

        Args:
            kafka: Brokers, security and time limits.
            topic: The topic that is read.
            group: The consumer group whose offsets count.
            client_id: Name that brokers show and log.
            begin: Where a group without offsets begins.
            environ: Where secrets are looked up.
            linger_s: How long brokers may gather records before they answer a fetch.
        """
        self._kafka = kafka
        self._topic = topic
        self._group = group
        self._client_id = client_id
        self._begin_at = begin
        self._environ = environ
        self._request_s = kafka.request_timeout.seconds
        self._linger_ms = round(linger_s * 1000)
        self._consumer: AIOKafkaConsumer | None = None
        self._closing: asyncio.Task[None] | None = None
        self._listener_error: Exception | None = None
        self._positions: dict[int, int] = {}
        self._suspects: list[TopicPartition] = []
        self._log = structlog.get_logger()

    # --- life --------------------------------------------------------------------------------

    async def start(self, listener: PartitionListener) -> None:
        """Connect and join the group; ends when the group gave us our share.

        Raises:
            SourceUnavailableError: No broker answers, the topic is missing, or the group does
                not take us; the text says which. May be repeated.
        """
        await self.close(_CLOSE_S)
        try:
            arguments = client_arguments(self._kafka, self._client_id, self._environ)
        except (OSError, KeyError) as error:
            raise SourceUnavailableError(
                f"credentials cannot be read: {text_of(error)}"
            ) from error
        consumer = self._build(arguments)
        joined = False
        try:
            await self._join(consumer, listener)
            joined = True
        except CONNECT_ERRORS as error:
            cause = await why_unreachable(arguments)
            raise SourceUnavailableError(cause[1] if cause else text_of(error)) from error
        finally:
            if not joined:
                self._consumer = None
                await close_client(consumer, _CLOSE_S)

    def _build(self, arguments: Mapping[str, Any]) -> AIOKafkaConsumer:
        class Assignor(StickyPartitionAssignor):
            """One of our own: it keeps what a member owned in the class, for all of them."""

        kafka = self._kafka
        return AIOKafkaConsumer(
            **arguments,
            group_id=self._group,
            group_instance_id=kafka.instance_id or None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            check_crcs=True,
            key_deserializer=as_it_is,
            partition_assignment_strategy=(Assignor,),
            session_timeout_ms=kafka.session_timeout.ms,
            heartbeat_interval_ms=kafka.session_timeout.ms // 15,
            rebalance_timeout_ms=kafka.rebalance_timeout.ms,
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            fetch_max_bytes=kafka.fetch_max_bytes.bytes,
            max_partition_fetch_bytes=min(_PARTITION_FETCH_BYTES, kafka.fetch_max_bytes.bytes),
        )

    async def _join(self, consumer: AIOKafkaConsumer, listener: PartitionListener) -> None:
        await bounded(consumer.start(), self._request_s)
        if self._topic not in await bounded(consumer.topics(), self._request_s):
            raise SourceUnavailableError(
                f"topic `{self._topic}` does not exist, or may not be seen by this user"
            )
        self._listener_error = None
        self._positions.clear()
        self._suspects.clear()
        # The listener is called before the group's answer reaches us here, and may use us.
        self._consumer = consumer
        consumer.subscribe([self._topic], listener=_Listener(self, consumer, listener))
        nothing = TopicPartition(self._topic, _NO_PARTITION)
        join_s = self._request_s + self._kafka.rebalance_timeout.seconds
        await bounded(consumer.getmany(nothing, timeout_ms=0), join_s)

    async def close(self, timeout_s: float) -> None:
        """Leave the group and disconnect. Ends within `timeout_s`, raises nothing."""
        self._let_go(timeout_s)
        if self._closing is not None:
            await asyncio.wait((self._closing,), timeout=timeout_s)

    def _let_go(self, timeout_s: float) -> None:
        """Close the client in the background, if there is one."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            self._closing = asyncio.create_task(close_client(consumer, timeout_s))

    # --- reading -----------------------------------------------------------------------------

    async def poll(self, max_records: int, timeout_s: float) -> RecordBatch | None:
        """Give what has arrived, of all partitions that are not paused; None when nothing did.

        Waits no longer than `timeout_s`, but for the first offset of a group. A record that
        cannot be read comes as a row of `RecordBatch.unreadable`.

        Raises:
            SourceUnavailableError: The client is broken and was closed; `start` may revive it.
            Exception: What the listener raised when partitions came or went.
        """
        consumer = self._alive()
        if self._listener_error is not None:
            raise self._listener_error
        read = self._read_suspect if self._suspects else self._read
        try:
            found = await read(consumer, max_records, timeout_s)
        except (KafkaError, ConsumerStoppedError, TimeoutError, TransientError) as error:
            if isinstance(error, OwnershipLostError) or fate(error) is Fate.OWNERSHIP_LOST:
                return None  # amid a rebalance; the next poll sees what came of it
            self._let_go(_CLOSE_S)
            raise SourceUnavailableError(text_of(error)) from error
        if self._linger_ms:
            gather(consumer, self._linger_ms if found else None)
        if not found:
            return None
        batch = record_batch(self._topic, found)
        for span in batch.spans:
            self._positions[span.partition] = int(batch.offsets[span.stop - 1]) + 1
        return batch

    async def _read(
        self, consumer: AIOKafkaConsumer, max_records: int, timeout_s: float
    ) -> Found:
        """Take what the client has of all partitions."""
        try:
            return await take(consumer, max_records, timeout_s)
        except NoOffsetForPartitionError as error:
            await self._begin(consumer, [error.args[0]])
        except OffsetOutOfRangeError as error:
            await self._skip_expired(consumer, error.args[0])
        except RecordTooLargeError as error:
            # The client has skipped it already, and says where it was.
            _, tp, offset, _ = error.args
            return {tp: [Unreadable(offset)]}
        except UNREADABLE as error:
            # The client raises with records of other partitions already taken, and has moved
            # past them. So go back to what was handed out last, and read each one alone.
            self._log.warning("batch_unreadable", error=repr(error))
            self._suspects = list(consumer.assignment())
            await self.rewind([tp.partition for tp in self._suspects], self._positions)
        return {}

    async def _read_suspect(
        self, consumer: AIOKafkaConsumer, max_records: int, timeout_s: float
    ) -> Found:
        """Take what the client has of one suspect, which has a damaged batch or has not."""
        tp = self._suspects[-1]
        if tp not in consumer.assignment():
            self._suspects.pop()
            return {}
        rows, sound = await take_around_damage(consumer, max_records, timeout_s, tp)
        if sound and tp in self._suspects:
            self._suspects.remove(tp)
        return {tp: rows} if rows else {}

    async def _begin(self, consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> None:
        """Take the place where a group without an offset begins, and commit it."""
        if self._begin_at == "earliest":
            ends = consumer.beginning_offsets(tps)
        else:
            ends = consumer.end_offsets(tps)
        offsets = await bounded(ends, self._request_s)
        await self.commit({tp.partition: offset for tp, offset in offsets.items()})
        self._seek(consumer, offsets)

    async def _skip_expired(
        self, consumer: AIOKafkaConsumer, wanted: Mapping[TopicPartition, int]
    ) -> None:
        """Go on with the oldest records that are left."""
        oldest = await bounded(consumer.beginning_offsets(list(wanted)), self._request_s)
        for tp, offset in oldest.items():
            self._log.error(
                "records_expired", partition=tp.partition, wanted=wanted[tp], oldest=offset
            )
        self._seek(consumer, oldest)

    # --- where reading stands ----------------------------------------------------------------

    def pause(self, partitions: Collection[int]) -> None:
        """Stop handing out records of these partitions; unknown ones are ignored."""
        if self._consumer is not None:
            self._consumer.pause(*self._owned(self._consumer, partitions))

    def resume(self, partitions: Collection[int]) -> None:
        """Undo `pause`."""
        if self._consumer is not None:
            self._consumer.resume(*self._owned(self._consumer, partitions))

    async def rewind(self, partitions: Collection[int], positions: Mapping[int, int]) -> None:
        """Read again from `positions`, or from the committed offset where it names none.

        Raises:
            SourceUnavailableError: The committed offset could not be read.
        """
        consumer = self._alive()
        owned = self._owned(consumer, partitions)
        unknown = [tp for tp in owned if tp.partition not in positions]
        self._seek(
            consumer,
            {tp: positions[tp.partition] for tp in owned if tp.partition in positions},
        )
        if not unknown:
            return
        try:
            offsets = await bounded(
                asyncio.gather(*(consumer.committed(tp) for tp in unknown)), self._request_s
            )
            known = dict(zip(unknown, offsets, strict=True))
            self._seek(consumer, {tp: at for tp, at in known.items() if at is not None})
            if never := [tp for tp, at in known.items() if at is None]:
                await self._begin(consumer, never)
        except OwnershipLostError:
            return  # whoever owns them by now reads from the committed offset
        except (KafkaError, TimeoutError) as error:
            raise SourceUnavailableError(text_of(error)) from error

    async def places(self, partitions: Collection[int]) -> Mapping[int, Place]:
        """Ask the brokers where partitions stand; those that are not ours are left out.

        Raises:
            SourceUnavailableError: No answer.
        """
        consumer = self._alive()
        tps = self._owned(consumer, partitions)
        if not tps:
            return {}
        try:
            committed = await bounded(
                asyncio.gather(*(consumer.committed(tp) for tp in tps)), self._request_s
            )
            ends = await bounded(consumer.end_offsets(tps), self._request_s)
        except (KafkaError, TimeoutError) as error:
            raise SourceUnavailableError(text_of(error)) from error
        return {
            tp.partition: Place(at, ends[tp]) for tp, at in zip(tps, committed, strict=True)
        }

    def _seek(self, consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        assigned = consumer.assignment()
        for tp, offset in offsets.items():
            if tp in assigned:
                consumer.seek(tp, offset)
                self._positions[tp.partition] = offset

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offset to read, by partition.

        Raises:
            OwnershipLostError: A partition belongs to another member.
            SourceUnavailableError: No answer in time; nothing is known about the commit.
        """
        consumer = self._alive()
        if not offsets:
            return
        named = {TopicPartition(self._topic, p): offset for p, offset in offsets.items()}
        try:
            await bounded(consumer.commit(named), self._request_s)
        except (KafkaError, TimeoutError) as error:
            if fate(error) is Fate.OWNERSHIP_LOST:
                raise OwnershipLostError(text_of(error)) from error
            raise SourceUnavailableError(text_of(error)) from error

    async def lag(self) -> Mapping[int, Lag]:
        """Give how far each assigned partition is behind; empty when it cannot be known.

        The ends are asked of the brokers, because a partition that is paused or at its end
        learns nothing from fetching; when they are slow, the last ones seen are given.

        Raises:
            SourceUnavailableError: No broker answers. The client goes on trying by itself.
        """
        consumer = self._consumer
        if consumer is None or not (tps := list(consumer.assignment())):
            return {}
        try:
            positions = await bounded(
                asyncio.gather(*(consumer.position(tp) for tp in tps)), _LAG_S
            )
        except (KafkaError, TimeoutError):
            return {}
        try:
            ends = await bounded(consumer.end_offsets(tps), _LAG_S)
        except (KafkaError, TimeoutError) as error:
            await self._find_a_broker(error)
            assigned = consumer.assignment()
            ends = {tp: consumer.highwater(tp) for tp in tps if tp in assigned}
        return {
            tp.partition: Lag(position, end)
            for tp, position in zip(tps, positions, strict=True)
            if (end := ends.get(tp)) is not None
        }

    async def _find_a_broker(self, silence: Exception) -> None:
        """Raise with the cause, unless a broker answers a new connection."""
        try:
            arguments = client_arguments(self._kafka, self._client_id, self._environ)
            # It has limits of its own, which leave a slow broker time for two answers.
            cause = await why_unreachable(arguments)
        except (OSError, KeyError):
            raise SourceUnavailableError(text_of(silence)) from silence
        if cause is not None:
            raise SourceUnavailableError(cause[1]) from silence

    # --- small parts -------------------------------------------------------------------------

    def _alive(self) -> AIOKafkaConsumer:
        """Give the client, unless it is closed or one of its tasks ended by itself."""
        consumer = self._consumer
        if consumer is None:
            raise SourceUnavailableError("not connected")
        # `getmany` watches the task that talks to the group, not the one that fetches.
        fetching = getattr(getattr(consumer, "_fetcher", None), "error_future", None)
        if fetching is not None and fetching.done():
            self._let_go(_CLOSE_S)
            raise SourceUnavailableError("the client stopped fetching")
        return consumer

    def _owned(
        self, consumer: AIOKafkaConsumer, partitions: Collection[int]
    ) -> list[TopicPartition]:
        return [tp for tp in consumer.assignment() if tp.partition in partitions]

    async def _tell(self, call: Awaitable[None]) -> None:
        """Await the listener; `poll` raises what it raised, which the client would only log."""
        try:
            await call
        except Exception as error:  # noqa: BLE001 - kept, and raised from `poll`
            self._listener_error = error


class _Listener(ConsumerRebalanceListener):
    """Passes rebalances on; new partitions are paused before anybody else runs."""

    def __init__(
        self, source: KafkaSource, consumer: AIOKafkaConsumer, listener: PartitionListener
    ) -> None:
        self._source = source
        self._consumer = consumer
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            await self._source._tell(self._listener.revoked({tp.partition for tp in revoked}))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        # First of all, before any await: the client hands out records while this runs.
        self._consumer.pause(*assigned)
        self._source._positions.clear()
        self._source._suspects.clear()
        await self._source._tell(self._listener.assigned({tp.partition for tp in assigned}))
