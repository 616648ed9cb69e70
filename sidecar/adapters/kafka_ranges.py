"""Reads ranges of partitions without a group, past damaged batches too."""

import asyncio
from collections.abc import Collection, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import RecordTooLargeError

from sidecar.adapters.kafka_client import bounded
from sidecar.adapters.kafka_reading import UNREADABLE, take, take_around_damage
from sidecar.adapters.kafka_records import Found, Unreadable

_POLL_S = 0.5

Ranges = Mapping[int, tuple[int, int]]
"""First offset, and the one behind the last, by partition."""


async def partitions_of(
    consumer: AIOKafkaConsumer, topic: str, request_s: float
) -> set[int] | None:
    """Give the partitions of a topic; None when it does not exist, or may not be seen."""
    if topic not in await bounded(consumer.topics(), request_s):
        return None
    # Asking for an offset makes the client learn the topic's partitions.
    await bounded(consumer.end_offsets([TopicPartition(topic, 0)]), request_s)
    return set(consumer.partitions_for_topic(topic) or ())


class RangeReader:
    """Reads each partition in order, from the begin of its range to its end."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topic: str,
        ranges: Ranges,
        *,
        max_records: int,
        request_s: float,
    ) -> None:
        """Go to the begin of each range.

        Args:
            consumer: Started, without a group.
            topic: The topic.
            ranges: What is read of it.
            max_records: Most records of one read.
            request_s: Longest answer of the brokers, and silence of a partition.
        """
        self._consumer = consumer
        self._ranges = ranges
        self._max_records = max_records
        self._request_s = request_s
        self._positions = {partition: begin for partition, (begin, _) in ranges.items()}
        self._suspects: list[TopicPartition] = []
        self._silent_s = 0.0
        self.reading = {
            TopicPartition(topic, partition)
            for partition, (begin, end) in ranges.items()
            if begin < end
        }
        """Partitions that are not at their end."""
        consumer.assign(list(self.reading))
        for tp in self.reading:
            consumer.seek(tp, self._positions[tp.partition])

    @property
    def progress(self) -> tuple[int, int]:
        """Offsets that are passed, and of how many."""
        done = sum(at - self._ranges[p][0] for p, at in self._positions.items())
        return done, sum(end - begin for begin, end in self._ranges.values())

    async def read(self, tps: Collection[TopicPartition]) -> Found:
        """Give the next records of some partitions; one that is at its end leaves `reading`.

        Raises:
            KafkaError: No answer.
            TimeoutError: No answer, or no record for as long as one may take.
        """
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        found = await self._take(tps)
        # The position also passes what is no record: markers of transactions, gaps.
        moved = [tp for tp in self.reading if await self._moved(tp)]
        self._silent_s = 0.0 if moved else self._silent_s + loop.time() - began_s
        if self._silent_s > self._request_s:
            raise TimeoutError(f"no record for {self._request_s:g} s")
        self.reading -= {tp for tp in moved if not self._left(tp)}
        return {
            tp: [row for row in rows if row.offset < self._ranges[tp.partition][1]]
            for tp, rows in found.items()
        }

    async def _take(self, tps: Iterable[TopicPartition]) -> Found:
        if self._suspects:
            tp = self._suspects.pop()
            rows, sound = await take_around_damage(
                self._consumer, self._max_records, _POLL_S, tp
            )
            self._suspects += [] if sound else [tp]
            return {tp: rows}
        try:
            return await take(self._consumer, self._max_records, _POLL_S, *tps)
        except RecordTooLargeError as error:
            # The client has skipped it already, and says where it was.
            _, tp, offset, _ = error.args
            return {tp: [Unreadable(offset)]}
        except UNREADABLE:
            # The client may have passed records of the others; each is read again alone.
            for tp in tps:
                self._consumer.seek(tp, self._positions[tp.partition])
            self._suspects = list(tps)
            return {}

    async def _moved(self, tp: TopicPartition) -> bool:
        """Note where a partition stands; say whether that is further than before."""
        before = self._positions[tp.partition]
        at = await bounded(self._consumer.position(tp), self._request_s)
        self._positions[tp.partition] = min(at, self._ranges[tp.partition][1])
        return self._positions[tp.partition] > before

    def _left(self, tp: TopicPartition) -> int:
        return self._ranges[tp.partition][1] - self._positions[tp.partition]
