"""Reads back what the sidecar wrote, as any consumer of its topics would."""

import threading
from collections import Counter
from datetime import datetime
from typing import NamedTuple, Self

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from sidecar.demo.incidents import INCIDENTS, Incident
from sidecar.events import Decision, Signal

_CODE = "sidecar.error.code"
_WAIT_S = 0.05


class Outcome(NamedTuple):
    """What decisions have in common."""

    source: str
    reason: str
    rule: str | None


class Readback:
    """Follows the output topics from their beginning until the `with` block ends.

    `decisions` and `dead_letters` count what was read, `ids` holds the decisions' ids,
    `codes` the dead letters by code, `during` the outcomes by the incident in whose time the
    event happened, `event_time_ms` is that of the newest event decided, and `signals` has the
    signals.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        decisions: str,
        dead_letters: str,
        signals: str,
        partitions: int,
    ) -> None:
        """Prepare; entering the block reads.

        Args:
            bootstrap_servers: `host:port`, comma separated.
            decisions: Topic of the decisions.
            dead_letters: Topic of the dead letters.
            signals: Topic of the signals.
            partitions: Number of partitions of each.
        """
        self._decisions_topic = decisions
        self._signals_topic = signals
        # No group is joined: the embedded broker knows groups of one member only.
        # It answers an empty fetch only when the wait is over, so the wait is short.
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "readback",
                "fetch.wait.max.ms": 50,
                "log_level": 2,
            }
        )
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in (decisions, dead_letters, signals)
                for partition in range(partitions)
            ]
        )
        self._thread = threading.Thread(target=self._read, name="demo-readback", daemon=True)
        self._stopped = threading.Event()
        self._decoder = msgspec.json.Decoder(Decision)
        self.signals: list[Signal] = []
        self.event_time_ms = 0
        self.decisions = 0
        self.dead_letters = 0
        self.ids: set[str] = set()
        self.codes: Counter[str] = Counter()
        self.during: dict[Incident, Counter[Outcome]] = {
            incident: Counter() for incident in INCIDENTS
        }

    def __enter__(self) -> Self:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading."""
        self._stopped.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._stopped.is_set():
            for message in self._consumer.consume(500, timeout=_WAIT_S):
                if message.error() is None:
                    self._take(message)

    def _take(self, message: Message) -> None:
        if message.topic() == self._decisions_topic:
            self._take_decision(self._decoder.decode(message.value() or b""))
            return
        if message.topic() == self._signals_topic:
            self.signals.append(msgspec.json.decode(message.value() or b"", type=Signal))
            return
        self.dead_letters += 1
        code = dict(message.headers() or []).get(_CODE)
        self.codes[code.decode() if isinstance(code, bytes) else "none"] += 1

    def _take_decision(self, decision: Decision) -> None:
        self.decisions += 1
        self.ids.add(decision.id)
        at_ms = int(datetime.fromisoformat(decision.event_time).timestamp() * 1000)
        self.event_time_ms = max(self.event_time_ms, at_ms)
        for incident in INCIDENTS:
            if incident.on(at_ms):
                outcome = Outcome(decision.source, decision.reason, decision.rule)
                self.during[incident][outcome] += 1
