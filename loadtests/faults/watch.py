"""Watches the group's committed offsets all through a run, from a thread of its own."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from loadtests.faults.clock import now_ms, now_s
from loadtests.faults.history import Sample

_EVERY_S = 0.2
_ANSWER_S = 2.0


class OffsetWatch:
    """Samples every 200 ms; a sample that gets no answer is counted and left out.

    The client asks for offsets that no open transaction can still change, as readers should.
    """

    def __init__(self, bootstrap: str, group: str, topic: str, partitions: int) -> None:
        """Watch these partitions of a topic between entering and leaving the block."""
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "log_level": 0,
        }
        self._topic = topic
        self._partitions = partitions
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="offset-watch", daemon=True)
        self._era: int | None = 0
        self._next_era = 1
        self._highest: dict[int, int] = {}
        self._moves: dict[int, list[float]] = defaultdict(list)
        self.samples: list[Sample] = []
        self.unanswered = 0
        """Samples that no broker answered in time."""

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; what was sampled stays."""
        self._ended.set()
        self._thread.join()

    def partitions_raised(self, partitions: int) -> None:
        """Watch more partitions from here on."""
        self._partitions = partitions

    @contextmanager
    def offsets_moved(self) -> Iterator[None]:
        """Look away while the campaign itself deletes or sets the group's offsets."""
        with self._lock:
            self._era = None
        yield
        with self._lock:
            self._era, self._next_era = self._next_era, self._next_era + 1
            self._highest.clear()

    def moved_after(self, at_s: float) -> float | None:
        """Give the seconds from `at_s` until a later commit was seen in every partition."""
        firsts: list[float] = []
        for partition in range(self._partitions):
            later = [moved_s for moved_s in self._moves[partition] if moved_s > at_s]
            if not later:
                return None
            firsts.append(later[0] - at_s)
        return max(firsts)

    def _run(self) -> None:
        with closing(Consumer(self._config)) as client:
            while not self._ended.wait(_EVERY_S):
                asked = [TopicPartition(self._topic, p) for p in range(self._partitions)]
                with self._lock:
                    era = self._era
                try:
                    answers = client.committed(asked, _ANSWER_S)
                except KafkaException:
                    self.unanswered += 1
                    continue
                self._note(answers, era)

    def _note(self, answers: list[TopicPartition], era: int | None) -> None:
        at_ms = now_ms()
        known = [a for a in answers if a.error is None and a.offset >= 0]
        with self._lock:
            if era is None or era != self._era:  # asked before the offsets were moved
                return
            self.samples += [Sample(at_ms, a.partition, a.offset, era) for a in known]
            for a in known:
                if a.offset > self._highest.get(a.partition, 0):
                    self._moves[a.partition].append(now_s())
            self._highest.update({a.partition: a.offset for a in known})
