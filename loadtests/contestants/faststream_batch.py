"""FastStream in batches: a list in, a list out, with the tuned loop's work between.

The producer's batches are a megabyte: with the default of 16 KiB a batch of 500 answers does
not fit into one, and is logged and dropped.
"""

import asyncio
import os

from faststream import FastStream
from faststream.kafka import KafkaBroker

from loadtests.contestants.scoring import Batches

BATCH_RECORDS = 500
work = Batches()
broker = KafkaBroker(
    os.environ["BENCH_BROKERS"], acks="all", max_batch_size=1_000_000, logger=None
)


def as_it_is(message: object) -> bytes:
    """Hand the bytes through: decoding is part of the work."""
    return message.body  # type: ignore[attr-defined, no-any-return]


@broker.subscriber(  # type: ignore[untyped-decorator]
    os.environ["BENCH_EVENTS"],
    group_id=os.environ["BENCH_GROUP"],
    auto_offset_reset="earliest",
    auto_commit_interval_ms=1_000,
    batch=True,
    max_records=BATCH_RECORDS,
    decoder=as_it_is,
)
@broker.publisher(os.environ["BENCH_DECISIONS"], batch=True)  # type: ignore[untyped-decorator]
async def decide(events: list[bytes]) -> tuple[bytes, ...]:
    """Answer a batch."""
    return tuple(work.answer(events, map(str, range(len(events)))))


if __name__ == "__main__":
    asyncio.run(FastStream(broker, logger=None).run())
