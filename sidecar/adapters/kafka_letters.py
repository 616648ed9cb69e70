"""Reads the dead-letter topic without a group, so that reading it marks nothing.

Reading ends where the topic ended when it began: letters that come of what a replay sends are
not read by that replay, so none can go round in a loop.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, RecordTooLargeError

from sidecar.adapters.kafka_client import (
    bounded,
    client_arguments,
    close_client,
    why_unreachable,
)
from sidecar.adapters.kafka_errors import CONNECT_ERRORS, reason_of, text_of
from sidecar.adapters.kafka_reading import UNREADABLE, take, take_around_damage
from sidecar.adapters.kafka_records import Found, Unreadable, as_it_is, record_batch
from sidecar.config.settings import KafkaSettings
from sidecar.errors import Finding, UserError
from sidecar.events import RecordBatch

CLIENT_ID = "sidecar-dlq"
_CLOSE_S = 5.0
_POLL_S = 0.5
_POLL_RECORDS = 200  # small, so that progress is seen to move while letters are sent slowly
_PARTITION_FETCH_BYTES = 1 << 20

# Where to look and what to do, by the short word for the cause.
_BROKERS = "$.kafka.bootstrap_servers"
_SECURITY = "$.kafka.security"
_MENDS = {
    "topic_missing": ("$.topics", "create it, correct its name, or give the right to see it"),
    "not_authorised": (_SECURITY, "give this user the right to read dead letters, or to write"),
    "authentication_failed": (_SECURITY, "correct user, secret or certificate"),
    "tls_failed": (_SECURITY, "check `ca_file`, and that this is a TLS listener"),
}
_MEND_BROKERS = "see that a broker listens there and can be reached from here"


def no_access(reason: str, message: str) -> UserError:
    """Say why a cluster cannot be used, where in the config that stands, and what helps.

    Args:
        reason: The short word, as `SinkUnavailableError` has it.
        message: What happened.
    """
    place, mend = _MENDS.get(reason, (_BROKERS, _MEND_BROKERS))
    return UserError("no access to Kafka", [Finding(place, message, mend)])


class LetterTopic:
    """The records of a dead-letter topic, from a beginning to its end at the first reading."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        *,
        after: Mapping[int, int] | None = None,
        only: tuple[int, int] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Say what is read; nothing is connected before batches are asked for.

        Args:
            kafka: Brokers, security and time limits.
            topic: The topic.
            after: By partition, the last offset that is left out; others are read from the
                oldest record on.
            only: Partition and offset of the one record that is read.
            environ: Where secrets are looked up.
        """
        self._kafka = kafka
        self._topic = topic
        self._after = after or {}
        self._only = only
        self._environ = environ
        self._request_s = kafka.request_timeout.seconds
        self._ranges: dict[int, tuple[int, int]] | None = None
        self._positions: dict[int, int] = {}
        self._suspects: list[TopicPartition] = []

    @property
    def progress(self) -> tuple[int, int]:
        """Offsets that are passed, and of how many."""
        ranges = self._ranges or {}
        done = sum(at - ranges[partition][0] for partition, at in self._positions.items())
        return done, sum(end - begin for begin, end in ranges.values())

    async def batches(self) -> AsyncGenerator[RecordBatch, None]:
        """Give the records, each partition in order; a second time those of the first time.

        A record that cannot be read comes as a row of `RecordBatch.unreadable`.

        Raises:
            UserError: The topic is missing, no broker answers, or this user may not read.
        """
        consumer = await self._connect()
        try:
            ranges = await self._resolve(consumer)
            async for batch in self._read_all(consumer, ranges):
                yield batch
        except (KafkaError, TimeoutError) as error:
            raise no_access(reason_of(error), text_of(error)) from error
        finally:
            await close_client(consumer, _CLOSE_S)

    # --- where -------------------------------------------------------------------------------

    async def _connect(self) -> AIOKafkaConsumer:
        try:
            arguments = client_arguments(self._kafka, CLIENT_ID, self._environ)
        except (OSError, KeyError) as error:
            message = f"credentials cannot be read: {text_of(error)}"
            raise no_access("authentication_failed", message) from error
        fetch_bytes = self._kafka.fetch_max_bytes.bytes
        consumer = AIOKafkaConsumer(
            **arguments,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what retention deletes while we read is passed
            isolation_level="read_committed",
            key_deserializer=as_it_is,
            fetch_max_bytes=fetch_bytes,
            max_partition_fetch_bytes=min(_PARTITION_FETCH_BYTES, fetch_bytes),
        )
        started = False
        try:
            await bounded(consumer.start(), self._request_s)
            started = True
        except CONNECT_ERRORS as error:
            cause = await why_unreachable(arguments) or (reason_of(error), text_of(error))
            raise no_access(*cause) from error
        finally:
            if not started:
                await close_client(consumer, _CLOSE_S)
        return consumer

    async def _resolve(self, consumer: AIOKafkaConsumer) -> dict[int, tuple[int, int]]:
        """Find what is read, the first time, and go to its beginning."""
        if self._ranges is None:
            self._ranges = await self._find_ranges(consumer)
        self._positions = {p: begin for p, (begin, _) in self._ranges.items()}
        self._suspects = []
        consumer.assign([TopicPartition(self._topic, p) for p in self._ranges])
        for tp in consumer.assignment():
            consumer.seek(tp, self._positions[tp.partition])
        return self._ranges

    async def _find_ranges(self, consumer: AIOKafkaConsumer) -> dict[int, tuple[int, int]]:
        tps = await self._partitions(consumer)
        oldest = await bounded(consumer.beginning_offsets(tps), self._request_s)
        newest = await bounded(consumer.end_offsets(tps), self._request_s)
        ranges: dict[int, tuple[int, int]] = {}
        for tp in tps:
            begin = max(oldest[tp], self._after.get(tp.partition, -1) + 1)
            end = newest[tp]
            if self._only is not None:
                partition, offset = self._only
                wanted = tp.partition == partition and begin <= offset < end
                begin, end = (offset, offset + 1) if wanted else (begin, begin)
            if begin < end:
                ranges[tp.partition] = begin, end
        return ranges

    async def _partitions(self, consumer: AIOKafkaConsumer) -> Sequence[TopicPartition]:
        if self._topic not in await bounded(consumer.topics(), self._request_s):
            message = f"topic `{self._topic}` does not exist, or may not be seen by this user"
            raise no_access("topic_missing", message)
        # Asking for an offset makes the client learn the topic's partitions.
        await bounded(consumer.end_offsets([TopicPartition(self._topic, 0)]), self._request_s)
        there = consumer.partitions_for_topic(self._topic) or set()
        return [TopicPartition(self._topic, partition) for partition in sorted(there)]

    # --- reading -----------------------------------------------------------------------------

    async def _read_all(
        self, consumer: AIOKafkaConsumer, ranges: Mapping[int, tuple[int, int]]
    ) -> AsyncGenerator[RecordBatch, None]:
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        reading = set(consumer.assignment())
        while reading:
            found = await self._read(consumer, sorted(reading))
            inside = {
                tp: [row for row in rows if row.offset < ranges[tp.partition][1]]
                for tp, rows in found.items()
            }
            # The position also passes what is no record: markers of transactions, gaps.
            moved = [tp for tp in reading if await self._moved(consumer, tp)]
            reading -= {tp for tp in moved if self._at_end(tp)}
            if moved:
                quiet_since = loop.time()
            elif loop.time() - quiet_since > self._request_s:
                raise TimeoutError(f"no record for {self._request_s:g} s")
            if any(inside.values()):
                yield record_batch(self._topic, {tp: r for tp, r in inside.items() if r})
                # Whoever takes the letters may have been at it for minutes.
                quiet_since = loop.time()

    async def _read(self, consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> Found:
        if self._suspects:
            tp = self._suspects.pop()
            rows, sound = await take_around_damage(consumer, _POLL_RECORDS, _POLL_S, tp)
            self._suspects += [] if sound else [tp]
            return {tp: rows}
        try:
            return await take(consumer, _POLL_RECORDS, _POLL_S, *tps)
        except RecordTooLargeError as error:
            # The client has skipped it already, and says where it was.
            _, tp, offset, _ = error.args
            return {tp: [Unreadable(offset)]}
        except UNREADABLE:
            # The client may have passed records of the others; each is read again alone.
            for tp in tps:
                consumer.seek(tp, self._positions[tp.partition])
            self._suspects = list(tps)
            return {}

    async def _moved(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> bool:
        """Note where a partition stands; say whether that is further than before."""
        before = self._positions[tp.partition]
        self._positions[tp.partition] = await bounded(consumer.position(tp), self._request_s)
        return self._positions[tp.partition] > before

    def _at_end(self, tp: TopicPartition) -> bool:
        return self._positions[tp.partition] >= (self._ranges or {})[tp.partition][1]
