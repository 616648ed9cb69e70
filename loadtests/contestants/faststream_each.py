"""FastStream, a message at a time: a subscriber that is a publisher, as its guides show it."""

import asyncio
import os
from typing import Any

from faststream import FastStream
from faststream.kafka import KafkaBroker

from loadtests.contestants.scoring import Singles

work = Singles()
broker = KafkaBroker(os.environ["BENCH_BROKERS"], acks="all", logger=None)


@broker.subscriber(  # type: ignore[untyped-decorator]
    os.environ["BENCH_EVENTS"],
    group_id=os.environ["BENCH_GROUP"],
    auto_offset_reset="earliest",
    auto_commit_interval_ms=1_000,
)
@broker.publisher(os.environ["BENCH_DECISIONS"])  # type: ignore[untyped-decorator]
async def decide(event: dict[str, Any]) -> dict[str, Any]:
    """Answer one event."""
    return work.answer(event)


if __name__ == "__main__":
    asyncio.run(FastStream(broker, logger=None).run())
