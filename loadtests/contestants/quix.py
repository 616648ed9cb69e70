"""Quix Streams, a message at a time: a dict in, a dict out, as its guides show it.

Its checkpoint is a second instead of five, so that it commits as often as the others.
"""

import os
from typing import Any

from quixstreams import Application

from loadtests.contestants.scoring import Singles


def main() -> None:
    """Run until SIGTERM, which the application handles."""
    work = Singles()
    app = Application(
        broker_address=os.environ["BENCH_BROKERS"],
        consumer_group=os.environ["BENCH_GROUP"],
        auto_offset_reset="earliest",
        processing_guarantee="at-least-once",
        commit_interval=1.0,
        auto_create_topics=False,
        producer_extra_config={"acks": "all", "linger.ms": 5},
        loglevel="WARNING",
    )
    events = app.topic(os.environ["BENCH_EVENTS"], value_deserializer="json")
    decisions = app.topic(os.environ["BENCH_DECISIONS"], value_serializer="json")

    def decide(event: dict[str, Any]) -> dict[str, Any]:
        return work.answer(event)

    app.dataframe(events).apply(decide).to_topic(decisions)
    app.run()


if __name__ == "__main__":
    main()
