"""The loop around a contestant's work: read a round, do the work, write it, commit each second.

At least once: offsets are committed after the broker acknowledged what came of them. One round
covers all partitions, and one produce request answers it.
"""

import asyncio
import gc
import itertools
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

ROUND_RECORDS = 4_096
COMMIT_S = 1.0
_BATCH_BYTES = 900_000  # below the 1 MiB that a broker takes by default

Work = Callable[[Sequence[Any]], Awaitable[Iterable[bytes]]]
"""From the records of a round to one value for each."""


def run(work: Work) -> None:
    """Read, work and write until SIGTERM."""
    gc.collect()
    gc.freeze()
    uvloop.run(_run(work))


async def _run(work: Work) -> None:
    consumer = AIOKafkaConsumer(
        os.environ["BENCH_EVENTS"],
        bootstrap_servers=os.environ["BENCH_BROKERS"],
        group_id=os.environ["BENCH_GROUP"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["BENCH_BROKERS"], acks="all", max_batch_size=_BATCH_BYTES
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with consumer, producer:
        await _rounds(consumer, producer, work, stop)


async def _rounds(
    consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, work: Work, stop: asyncio.Event
) -> None:
    now = asyncio.get_running_loop().time
    done: dict[TopicPartition, int] = {}
    committed = now()
    while not stop.is_set():
        polled = await consumer.getmany(timeout_ms=200, max_records=ROUND_RECORDS)
        if polled:
            await _send(producer, polled, await work(_flat(polled)))
            done |= {tp: records[-1].offset + 1 for tp, records in polled.items()}
        if done and now() - committed >= COMMIT_S:
            await consumer.commit(done)
            committed = now()
    if done:
        await consumer.commit(done)


def _flat(polled: dict[TopicPartition, list[Any]]) -> list[Any]:
    return list(itertools.chain.from_iterable(polled.values()))


async def _send(
    producer: AIOKafkaProducer,
    polled: dict[TopicPartition, list[Any]],
    values: Iterable[bytes],
) -> None:
    """Write each partition's values to the same partition, until all is acknowledged."""
    topic = os.environ["BENCH_DECISIONS"]
    answers = iter(values)
    acknowledged = [
        await producer.send_batch(batch, topic, partition=tp.partition)
        for tp, records in polled.items()
        for batch in _batches(producer, records, answers)
    ]
    await asyncio.gather(*acknowledged)


def _batches(
    producer: AIOKafkaProducer, records: Sequence[Any], values: Iterable[bytes]
) -> Iterable[BatchBuilder]:
    batch = producer.create_batch()
    for record, value in zip(records, values, strict=False):
        key = record.key
        if batch.append(key=key, value=value, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    yield batch
