"""Replay input from Kafka: a range of a topic, without a group and without a commit."""

import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from sidecar.adapters.kafka_client import (
    bounded,
    client_arguments,
    close_client,
    why_unreachable,
)
from sidecar.adapters.kafka_errors import CONNECT_ERRORS, text_of
from sidecar.adapters.kafka_ranges import RangeReader, Ranges, partitions_of
from sidecar.adapters.kafka_records import as_it_is, record_batch
from sidecar.adapters.replay_merge import Merged, TimeMerge
from sidecar.config.settings import KafkaSettings
from sidecar.errors import Finding, SourceUnavailableError, UserError
from sidecar.events import RecordBatch

_CLOSE_S = 5.0
_POLL_RECORDS = 16_384
_PARTITION_FETCH_BYTES = 1 << 20
# A partition with more than this waiting for the others is not read on.
_HELD_BYTES = 1 << 20
_PAIRS = re.compile(r"\d+:\d+(,\d+:\d+)*", re.ASCII)


class Place(NamedTuple):
    """Where a range begins or ends; one of the three says so."""

    offset: int | None = None
    """The same offset in every partition."""
    offsets: Mapping[int, int] | None = None
    """By partition; partitions that are not named are left out of the replay."""
    time_ms: int | None = None
    """The first record at or after this instant, Unix milliseconds."""


EVERYTHING = Place()


def parse_place(option: str, text: str) -> Place:
    """Read a place as it is written on the command line.

    Args:
        option: What it is given for, for the error.
        text: `120`, `0:120,1:80` or an RFC 3339 time.

    Raises:
        UserError: It is none of the three.

    Example:
        >>> parse_place("--from", "0:120,1:80").offsets
        {0: 120, 1: 80}
    """
    if text.isascii() and text.isdigit():
        return Place(offset=int(text))
    if _PAIRS.fullmatch(text):
        pairs = (pair.split(":") for pair in text.split(","))
        return Place(offsets={int(partition): int(offset) for partition, offset in pairs})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        mend = "write `120`, `0:120,1:80` or `2026-03-01T09:30:00Z`"
        raise UserError(option, [Finding(option, f"`{text}` is no offset and no time", mend)])
    return Place(time_ms=round(moment.timestamp() * 1000))


class TopicRange:
    """The records of a topic between two places, in the order of `TimeMerge`.

    Reading ends where the topic ended when it began. Records of transactions that were aborted
    are left out, as they are in a live run.
    """

    notes: Sequence[str] = ()

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        begin: Place = EVERYTHING,
        end: Place = EVERYTHING,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Say what is read; nothing is connected before batches are asked for.

        Args:
            kafka: Brokers, security and time limits.
            topic: The topic.
            begin: The first records; the oldest that are there when it says nothing.
            end: Behind the last records; the end of the topic when it says nothing.
            environ: Where secrets are looked up.

        Raises:
            UserError: Both places name partitions, and not the same ones.
        """
        if begin.offsets and end.offsets and begin.offsets.keys() != end.offsets.keys():
            message = "do not name the same partitions"
            raise UserError(topic, [Finding("--from, --to", message, "name each in both")])
        self._kafka = kafka
        self._topic = topic
        self._places = begin, end
        self._environ = environ
        self._request_s = kafka.request_timeout.seconds
        self._ranges: Ranges = {}
        self._reader: RangeReader | None = None

    @property
    def progress(self) -> tuple[int, int]:
        """Offsets that are passed, and of how many."""
        return self._reader.progress if self._reader else (0, 0)

    async def batches(self, max_records: int) -> AsyncIterator[RecordBatch]:
        """Give the records, with their real places, keys, timestamps and headers.

        A record that cannot be read comes as a row of `RecordBatch.unreadable`.

        Args:
            max_records: Most records of a batch; all but the last have as many.

        Raises:
            UserError: The topic does not exist, or a secret cannot be read.
            SourceUnavailableError: No broker answers, or none has records any more.
        """
        consumer = await self._connect()
        try:
            self._ranges = await self._find_ranges(consumer)
            self._reader = RangeReader(
                consumer,
                self._topic,
                self._ranges,
                max_records=_POLL_RECORDS,
                request_s=self._request_s,
            )
            ready: Merged = []
            async for merged in self._merged(self._reader):
                ready += merged
                while len(ready) >= max_records:
                    yield self._batch(ready[:max_records])
                    del ready[:max_records]
            if ready:
                yield self._batch(ready)
        except (KafkaError, TimeoutError) as error:
            raise SourceUnavailableError(text_of(error)) from error
        finally:
            await close_client(consumer, _CLOSE_S)

    # --- where -------------------------------------------------------------------------------

    async def _connect(self) -> AIOKafkaConsumer:
        try:
            arguments = client_arguments(self._kafka, "sidecar-replay", self._environ)
        except (OSError, KeyError) as error:
            finding = Finding(
                "$.kafka.security", f"cannot be read: {text_of(error)}", "mend it"
            )
            raise UserError("the config", [finding]) from error
        consumer = AIOKafkaConsumer(
            **arguments,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            check_crcs=True,
            key_deserializer=as_it_is,
            fetch_max_bytes=self._kafka.fetch_max_bytes.bytes,
            max_partition_fetch_bytes=min(
                _PARTITION_FETCH_BYTES, self._kafka.fetch_max_bytes.bytes
            ),
        )
        started = False
        try:
            await bounded(consumer.start(), self._request_s)
            started = True
        except CONNECT_ERRORS as error:
            cause = await why_unreachable(arguments)
            raise SourceUnavailableError(cause[1] if cause else text_of(error)) from error
        finally:
            if not started:
                await close_client(consumer, _CLOSE_S)
        return consumer

    async def _find_ranges(self, consumer: AIOKafkaConsumer) -> Ranges:
        """Find the offsets of the range."""
        tps = await self._partitions(consumer)
        oldest = await bounded(consumer.beginning_offsets(tps), self._request_s)
        newest = await bounded(consumer.end_offsets(tps), self._request_s)
        begins, ends = [
            await self._offsets(consumer, place, default)
            for place, default in zip(self._places, (oldest, newest), strict=True)
        ]
        ranges: dict[int, tuple[int, int]] = {}
        for tp in tps:
            begin = max(oldest[tp], begins[tp])
            ranges[tp.partition] = begin, max(begin, min(newest[tp], ends[tp]))
        return ranges

    async def _partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        """Give the partitions that are read."""
        there = await partitions_of(consumer, self._topic, self._request_s)
        if there is None:
            message = "does not exist, or may not be seen by this user"
            raise UserError(
                self._topic, [Finding(self._topic, message, "check the topic's name")]
            )
        named = set().union(*(place.offsets or () for place in self._places))
        if unknown := sorted(named - there):
            message = f"the topic has no partition {', '.join(map(str, unknown))}"
            mend = f"it has {len(there)}, from 0"
            raise UserError(self._topic, [Finding("--from, --to", message, mend)])
        return [TopicPartition(self._topic, p) for p in sorted(named or there)]

    async def _offsets(
        self,
        consumer: AIOKafkaConsumer,
        place: Place,
        default: Mapping[TopicPartition, int],
    ) -> Mapping[TopicPartition, int]:
        if place.time_ms is not None:
            times = dict.fromkeys(default, place.time_ms)
            found = await bounded(consumer.offsets_for_times(times), self._request_s)
            ends = await bounded(consumer.end_offsets(list(default)), self._request_s)
            return {tp: ends[tp] if at is None else at.offset for tp, at in found.items()}
        if place.offset is not None:
            return dict.fromkeys(default, place.offset)
        named = place.offsets or {}
        return {tp: named.get(tp.partition, at) for tp, at in default.items()}

    # --- reading -----------------------------------------------------------------------------

    async def _merged(self, reader: RangeReader) -> AsyncIterator[Merged]:
        merge = TimeMerge(self._ranges)
        for partition in self._ranges.keys() - {tp.partition for tp in reader.reading}:
            merge.end(partition)
        while reading := set(reader.reading):
            hungry = [tp for tp in reading if merge.bytes_waiting(tp.partition) < _HELD_BYTES]
            for tp, rows in (await reader.read(hungry)).items():
                merge.add(tp.partition, rows)
            for tp in reading - reader.reading:
                merge.end(tp.partition)
            yield merge.take()

    def _batch(self, merged: Merged) -> RecordBatch:
        return record_batch(self._topic, dict(_by_partition(self._topic, merged)))


def _by_partition(topic: str, merged: Merged) -> Iterator[tuple[TopicPartition, list[Any]]]:
    rows: dict[int, list[Any]] = {}
    for partition, row in merged:
        rows.setdefault(partition, []).append(row)
    for partition in sorted(rows):
        yield TopicPartition(topic, partition), rows[partition]
