"""Writes numbered events in an open loop, and keeps the book of what became of each write."""

import json
import random
import threading
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from loadtests import data
from loadtests.faults.clock import now_ms, now_s, pause
from loadtests.faults.history import Ack, Headers, Sent
from loadtests.faults.poison import HUGE, POISONS, Poison

KEYS = 64
"""Different keys. A key has one partition, for good."""
_DISTINCT = 2_000
_TICK_S = 0.02
_FLUSH_S = 60.0
# Of the client: how long a record may wait for a broker that is away. Longer than any outage.
_DELIVERY_MS = 600_000
# What a producer may put on a record: a name twice, no value, bytes that are no text.
_OWN: Headers = (("trace", b"1"), ("trace", b"2"), ("none", None), ("raw", b"\xff\x00"))


class Driver:
    """An open loop: a record leaves when it is due, whatever the sidecars do meanwhile.

    What may be changed while it runs are the rate, the share of poison and the shift of
    timestamps.
    """

    def __init__(
        self, bootstrap: str, topic: str, partitions: int, *, rate: float, rng: random.Random
    ) -> None:
        """Prepare; `start` sends.

        Args:
            bootstrap: Of the brokers, `host:port`, comma separated.
            topic: Where events go.
            partitions: How many of them the keys are dealt out to.
            rate: Records a second.
            rng: Draws poison, and which features an event has.
        """
        self.rate = rate
        self.poison_share = 0.0
        self.shift_ms = 0
        """Added to the timestamp of each record."""
        self.partitions = partitions
        self._topic = topic
        self._rng = rng
        self._features = data.features(data.columns(_DISTINCT))
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,  # its own retries must not look like duplicates
                "linger.ms": 5,
                "message.max.bytes": 20_000_000,
                "message.timeout.ms": _DELIVERY_MS,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
            }
        )
        self._lock = threading.Lock()
        self._book: dict[int, Sent] = {}
        self._seq = 0
        self._running = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driver", daemon=True)

    @property
    def written(self) -> int:
        """Records handed to the client so far."""
        return self._seq

    def start(self) -> None:
        """Begin, or go on after `hold`."""
        self._running.set()
        if not self._thread.is_alive():
            self._thread.start()

    def hold(self) -> None:
        """Send nothing until `start`; what is under way is waited for."""
        self._running.clear()
        self._producer.flush(_FLUSH_S)

    def finish(self) -> list[Sent]:
        """End, wait for the last acknowledgements, and give the book."""
        self._ended.set()
        self._running.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._producer.flush(_FLUSH_S)
        with self._lock:
            return list(self._book.values())

    def burst(self, count: int) -> None:
        """Send so many records at once, and wait for their acknowledgement."""
        for _ in range(count):
            self._send()
            self._producer.poll(0)
        self._producer.flush(_FLUSH_S)

    def send_poison(self, poison: Poison = HUGE) -> None:
        """Send one record of this kind at once."""
        self._send(poison)

    def _run(self) -> None:
        due = now_s()
        while not self._ended.is_set():
            if not self._running.is_set():
                self._producer.poll(0)
                self._running.wait(0.1)
                due = now_s()
                continue
            while due <= now_s() and not self._ended.is_set():
                self._send()
                due += 1.0 / self.rate
            self._producer.poll(0)
            pause(min(_TICK_S, due - now_s()))

    def _send(self, poison: Poison | None = None) -> None:
        with self._lock:
            seq = self._seq
            self._seq += 1
            event = self._event(seq)
            if poison is None and self._rng.random() < self.poison_share:
                poison = POISONS[self._rng.choice(list(POISONS))]
            value = _bytes(event) if poison is None else poison.spoil(event, self._rng)
            codes = None if poison is None else poison.codes
            partition = event["partition"]
            self._book[seq] = Sent(seq, partition, Ack.UNKNOWN, codes=codes)
        try:
            self._producer.produce(
                self._topic,
                value,
                key=b"k%d" % (seq % KEYS),
                partition=partition,
                timestamp=now_ms() + self.shift_ms,
                headers=[("seq", str(seq).encode()), *_OWN],
                on_delivery=lambda error, message: self._delivered(seq, error, message),
            )
        except (BufferError, KafkaException):
            self._note(seq, Ack.FAILED)

    def _event(self, seq: int) -> Mapping[str, Any]:
        return {
            "id": f"e{seq}",
            "seq": seq,
            "partition": seq % KEYS % self.partitions,
            "features": self._features[self._rng.randrange(_DISTINCT)],
        }

    def _delivered(self, seq: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._note(seq, Ack.ACKNOWLEDGED, message.offset())
        elif error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError.REQUEST_TIMED_OUT):
            self._note(seq, Ack.UNKNOWN)
        else:
            self._note(seq, Ack.FAILED)

    def _note(self, seq: int, ack: Ack, offset: int | None = None) -> None:
        with self._lock:
            at = -1 if offset is None else offset
            self._book[seq] = self._book[seq]._replace(ack=ack, offset=at)


def _bytes(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event).encode()
