"""What is written in an afternoon: `json`, one run of the model and one `send` per record.

Sends are not awaited one by one but before each commit, which every guide says; the producer
gathers them for five milliseconds.
"""

import asyncio
import os
import signal
from contextlib import suppress

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from loadtests.contestants.scoring import Singles

COMMIT_S = 1.0


async def main() -> None:
    """Read, answer and write until SIGTERM."""
    answer, topic = Singles().answer_bytes, os.environ["BENCH_DECISIONS"]
    consumer = AIOKafkaConsumer(
        os.environ["BENCH_EVENTS"],
        bootstrap_servers=os.environ["BENCH_BROKERS"],
        group_id=os.environ["BENCH_GROUP"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["BENCH_BROKERS"], acks="all", linger_ms=5
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)  # type: ignore[union-attr]
    async with consumer, producer:
        sent, committed = [], loop.time()
        async for record in consumer:
            value = answer(record.value)
            sent.append(
                await producer.send(topic, value, record.key, partition=record.partition)
            )
            if loop.time() - committed >= COMMIT_S:
                await asyncio.gather(*sent)
                await consumer.commit()
                sent, committed = [], loop.time()


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        uvloop.run(main())
