"""`python -m loadtests.latency.generator`: events at a fixed rate, each at its due time.

The load is open: nothing that the system does slows it down. An event that comes late because
this process was late is sent at once, and how late it was is reported.
"""

import argparse
import gc
import sys
import time
from itertools import count
from pathlib import Path

import msgspec
from confluent_kafka import Producer

from loadtests import data
from loadtests.latency.figures import Sent, lateness_ms
from sidecar.clock import SystemClock

_FLUSH_S = 30.0
_LONGEST_SLEEP_S = 0.02


class Generator:
    """Sends, and notes how late it was and what the broker did not take."""

    def __init__(self, brokers: str, topic: str, partitions: int) -> None:
        """Connect when first used."""
        # A millisecond lets events of the same moment share a request, at any rate.
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "acks": "all",
                "linger.ms": 1,
                "queue.buffering.max.messages": 1_000_000,
                "delivery.report.only.error": True,
                "log_level": 0,
            }
        )
        self._topic, self._partitions = topic, partitions
        self._clock = SystemClock()
        self._failed = 0

    def send(self, start_s: float, rate: float, events: int, warm: int) -> Sent:
        """Send all events and wait for their acknowledgements.

        Args:
            start_s: When the first is due, by the clock that does not stand still.
            rate: Events per second.
            events: How many.
            warm: How many of the first ones do not count for lateness.
        """
        now_ms = self._clock.now_ms()
        source = data.records(events, first_ms=now_ms, rate=rate)
        late_s: list[float] = []
        gc.disable()  # a collection would make events late
        for number, (key, value) in zip(count(), source, strict=False):
            late = self._wait(start_s + number / rate)
            self._produce(number, key, value)
            if number >= warm:
                late_s.append(late)
        unsent = self._producer.flush(_FLUSH_S)
        p99, most = lateness_ms(late_s)
        return Sent(events, self._failed + unsent, p99, most)

    def _wait(self, due_s: float) -> float:
        """Wait until an event is due, and give by how much that is past."""
        while (ahead := due_s - self._clock.monotonic()) > 0:
            self._producer.poll(0)
            time.sleep(min(ahead, _LONGEST_SLEEP_S))
        return -ahead

    def _produce(self, number: int, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value,
                    key,
                    partition=number % self._partitions,
                    on_delivery=self._refused,
                )
                break
            except BufferError:
                self._producer.poll(0.01)

    def _refused(self, _error: object, _message: object) -> None:
        self._failed += 1


def main() -> int:
    """Send as the arguments say, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--brokers", "--topic"):
        parser.add_argument(name, required=True)
    for name in ("--partitions", "--events", "--warm"):
        parser.add_argument(name, type=int, required=True)
    for name in ("--start", "--rate"):
        parser.add_argument(name, type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    generator = Generator(asked.brokers, asked.topic, asked.partitions)
    sent = generator.send(asked.start, asked.rate, asked.events, asked.warm)
    asked.out.write_bytes(msgspec.json.encode(sent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
