"""Takes records from the client within a time, past a damaged batch too."""

import asyncio
import gzip
import zlib
from typing import Any

import cramjam
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from sidecar.adapters.kafka_client import bounded
from sidecar.adapters.kafka_records import Found, Unreadable

# `getmany` may wait for a rebalance without end. This is how much longer than asked it may
# take before it is cut short; shorter, and the cut would come before its own time-out.
_GRACE_S = 0.05
_POSITION_S = 5.0
# Enough for a batch that is worth a round: some five hundred records.
_GATHERED_BYTES = 256 << 10
_IDLE_WAIT_MS = 500

UNREADABLE = (
    CorruptRecordException,
    UnsupportedCodecError,
    cramjam.DecompressionError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
)
"""What reading a damaged or strangely packed batch raises."""


def gather(consumer: AIOKafkaConsumer, linger_ms: int | None) -> None:
    """Let brokers gather records before they answer a fetch, or have them answer at once.

    A broker that answers with the first record makes a round of each: a fetch, a batch, a
    request to write. One that always gathers is asked all the time while nothing comes. The
    client takes both limits once and for all, so they are changed where it keeps them; should
    it keep them elsewhere, it answers at once, as by default.

    Args:
        consumer: A started one.
        linger_ms: Longest wait of a broker that has less than `_GATHERED_BYTES`; None is for
            an answer at once.
    """
    fetcher: Any = getattr(consumer, "_fetcher", None)
    if hasattr(fetcher, "_fetch_min_bytes") and hasattr(fetcher, "_fetch_max_wait_ms"):
        fetcher._fetch_min_bytes = 1 if linger_ms is None else _GATHERED_BYTES
        fetcher._fetch_max_wait_ms = _IDLE_WAIT_MS if linger_ms is None else linger_ms


async def take(
    consumer: AIOKafkaConsumer, max_records: int, timeout_s: float, *tps: TopicPartition
) -> Found:
    """Take what the client has, of these partitions or of all.

    Cutting `getmany` short is safe: it takes records and moves positions in one stretch
    without an await, as the last thing it does, so a cancellation comes before that or not at
    all.
    """
    try:
        async with asyncio.timeout(timeout_s + _GRACE_S):
            found: Found = await consumer.getmany(
                *tps, timeout_ms=round(timeout_s * 1000), max_records=max_records
            )
            return found
    except TimeoutError:
        return {}


async def take_around_damage(
    consumer: AIOKafkaConsumer, max_records: int, timeout_s: float, tp: TopicPartition
) -> tuple[list[Any], bool]:
    """Take records of one partition, up to a damaged batch and behind it.

    The client raises when it comes to a damaged batch, and what it took before that in the
    same call is lost. So the partition is read again from where it stood, record by record. By
    then the batch was fetched three times and is damaged on disk. How many records it has is
    not known: each offset of it becomes an unreadable record.

    Returns:
        The records, and whether the partition can be read normally from here.
    """
    begin = await bounded(consumer.position(tp), _POSITION_S)
    try:
        return list((await take(consumer, max_records, timeout_s, tp)).get(tp, ())), True
    except UNREADABLE:
        consumer.seek(tp, begin)
    try:
        return await _one_by_one(consumer, max_records, timeout_s, tp)
    except asyncio.CancelledError:
        consumer.seek(tp, begin)
        raise


async def _one_by_one(
    consumer: AIOKafkaConsumer, max_records: int, timeout_s: float, tp: TopicPartition
) -> tuple[list[Any], bool]:
    rows: list[Any] = []
    damaged = False
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while len(rows) < max_records and (left := until - loop.time()) > 0:
        at = await bounded(consumer.position(tp), _POSITION_S)
        try:
            got = await take(consumer, 1, left, tp)
        except UNREADABLE:
            rows.append(Unreadable(at))
            consumer.seek(tp, at + 1)
            damaged = True
            continue
        rows += got.get(tp, ())
        if damaged or not got:
            return rows, True
    return rows, False
