"""`python -m loadtests.latency.probe`: when each decision can be read, by another client.

It reads the decisions as a user's program would, committed ones alone, and knows from the id
of the event when that was due.
"""

import argparse
import gc
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition

from loadtests.latency.figures import EDGES_MS, Latency, Times, latency, number_of
from sidecar.clock import SystemClock

_POLL_S = 0.1


def arrivals(brokers: str, topic: str, partitions: int, events: int, until_s: float) -> Times:
    """Give when the first decision of each event was seen; NaN when none was until the end."""
    clock = SystemClock()
    arrived = np.full(events, np.nan)
    left = events
    gc.disable()  # a collection would make decisions late
    for value in _values(brokers, topic, partitions, until_s):
        now = clock.monotonic()
        number = number_of(value)
        if number is not None and number < events and np.isnan(arrived[number]):
            arrived[number] = now
            left -= 1
            if not left:
                break
    return arrived


def _values(brokers: str, topic: str, partitions: int, until_s: float) -> Iterator[bytes]:
    clock = SystemClock()
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "probe",
            "enable.auto.commit": False,
            "fetch.min.bytes": 1,
            "log_level": 0,
        }
    )
    with closing(consumer):
        consumer.assign([TopicPartition(topic, at, 0) for at in range(partitions)])
        while clock.monotonic() < until_s:
            message = consumer.poll(_POLL_S)
            if message is not None and message.error() is None:
                yield message.value() or b""


def shown(found: Latency) -> str:
    """Give the percentiles and the histogram as text."""
    top = max([*found.histogram, 1])
    lines = [
        f"{found.events:,} events, {found.missing:,} missing: p50 {found.p50_ms:.1f} ms, "
        f"p90 {found.p90_ms:.1f}, p99 {found.p99_ms:.1f}, max {found.max_ms:.1f}"
    ]
    for at, count in enumerate(found.histogram):
        if count:
            lines.append(
                f"{EDGES_MS[at]:9.1f} to {EDGES_MS[at + 1]:8.1f} ms {count:9,} "
                + "#" * max(1, round(40 * count / top))
            )
    return "\n".join(lines)


def main() -> int:
    """Read as the arguments say, and write and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--brokers", "--topic"):
        parser.add_argument(name, required=True)
    for name in ("--partitions", "--events", "--warm"):
        parser.add_argument(name, type=int, required=True)
    for name in ("--start", "--rate", "--until"):
        parser.add_argument(name, type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    arrived = arrivals(asked.brokers, asked.topic, asked.partitions, asked.events, asked.until)
    found = latency(arrived, asked.start, asked.rate, asked.warm)
    asked.out.write_bytes(msgspec.json.encode(found))
    print(shown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
