"""Sends the stream at the pace of the demo, from a thread of its own."""

import threading
from collections.abc import Sequence
from typing import Self

import numpy as np
from confluent_kafka import KafkaError, Message, Producer

from sidecar.clock import Clock
from sidecar.demo.stream import Outgoing

# The embedded broker answers a fetch with one produced batch per partition, so fewer and
# larger batches keep it ahead of the stream.
_TICK_S = 0.04
_FLUSH_S = 10.0


class Feed:
    """An open loop: each record leaves when it is due, whatever the sidecar does meanwhile.

    `sent` is the number of records handed to the broker's client, `failed` of those that the
    broker did not take, `event_time_ms` the event time of the last one sent; `running` is
    whether more will follow.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        stream: Sequence[Outgoing],
        *,
        seconds: float,
        clock: Clock,
    ) -> None:
        """Prepare; `start` sends.

        Args:
            bootstrap_servers: `host:port`, comma separated.
            topic: Where records go.
            stream: What to send, in order of event time.
            seconds: How long the whole stream takes.
            clock: Says when records are due.
        """
        self._topic = topic
        self._stream = stream
        self._event_times_ms = np.array([record.event_time_ms for record in stream])
        self._seconds = seconds
        self._clock = clock
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "linger.ms": 5, "log_level": 2}
        )
        self._thread = threading.Thread(target=self._send_all, name="demo-feed", daemon=True)
        self._stopped = threading.Event()
        self.sent = 0
        self.failed = 0
        self.event_time_ms = stream[0].event_time_ms

    def __enter__(self) -> Self:
        """Give the feed itself; nothing is sent before `start`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sending."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    @property
    def progress(self) -> float:
        """Share of the records that are sent."""
        return self.sent / len(self._stream)

    @property
    def running(self) -> bool:
        """Whether records are still to come."""
        return self._thread.is_alive()

    def _send_all(self) -> None:
        first, last = self._event_times_ms[0], self._event_times_ms[-1]
        speed = (last - first) / self._seconds
        began_s = self._clock.monotonic()
        while self.sent < len(self._stream) and not self._stopped.wait(_TICK_S):
            now_ms = first + (self._clock.monotonic() - began_s) * speed
            self._send_until(int(np.searchsorted(self._event_times_ms, now_ms, "right")))
        self.failed += self._producer.flush(_FLUSH_S)

    def _send_until(self, end: int) -> None:
        for record in self._stream[self.sent : end]:
            self.event_time_ms = record.event_time_ms
            self._producer.produce(
                self._topic, record.value, record.key, on_delivery=self._delivered
            )
            self.sent += 1
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self.failed += error is not None
