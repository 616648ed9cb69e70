"""Reads the dead-letter topic without a group, so that reading it marks nothing.

Reading ends where the topic ended when it began: letters that come of what a replay sends are
not read by that replay, so none can go round in a loop.
"""

import os
from collections.abc import AsyncGenerator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from sidecar.adapters.kafka_client import (
    bounded,
    client_arguments,
    close_client,
    why_unreachable,
)
from sidecar.adapters.kafka_errors import CONNECT_ERRORS, reason_of, text_of
from sidecar.adapters.kafka_ranges import RangeReader, Ranges, partitions_of
from sidecar.adapters.kafka_records import as_it_is, record_batch
from sidecar.config.settings import KafkaSettings
from sidecar.errors import Finding, UserError
from sidecar.events import RecordBatch

CLIENT_ID = "sidecar-dlq"
_CLOSE_S = 5.0
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
        self._ranges: Ranges | None = None
        self._reader: RangeReader | None = None

    @property
    def progress(self) -> tuple[int, int]:
        """Offsets that are passed, and of how many."""
        return self._reader.progress if self._reader else (0, 0)

    async def batches(self) -> AsyncGenerator[RecordBatch, None]:
        """Give the records, each partition in order; a second time those of the first time.

        A record that cannot be read comes as a row of `RecordBatch.unreadable`.

        Raises:
            UserError: The topic is missing, no broker answers, or this user may not read.
        """
        consumer = await self._connect()
        try:
            if self._ranges is None:
                self._ranges = await self._find_ranges(consumer)
            self._reader = RangeReader(
                consumer,
                self._topic,
                self._ranges,
                max_records=_POLL_RECORDS,
                request_s=self._request_s,
            )
            async for batch in self._read_all(self._reader):
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

    async def _find_ranges(self, consumer: AIOKafkaConsumer) -> Ranges:
        """Find what is read."""
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
        there = await partitions_of(consumer, self._topic, self._request_s)
        if there is None:
            message = f"topic `{self._topic}` does not exist, or may not be seen by this user"
            raise no_access("topic_missing", message)
        return [TopicPartition(self._topic, partition) for partition in sorted(there)]

    # --- reading -----------------------------------------------------------------------------

    async def _read_all(self, reader: RangeReader) -> AsyncGenerator[RecordBatch, None]:
        while reader.reading:
            found = await reader.read(sorted(reader.reading))
            if any(found.values()):
                yield record_batch(
                    self._topic, {tp: rows for tp, rows in found.items() if rows}
                )
