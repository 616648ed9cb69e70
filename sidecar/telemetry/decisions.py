"""The last decisions and why they were taken, for people who ask about one event.

Switched on by `http.decisions`. Keys and ids are shown as hashes and feature values not at all,
unless the config names the feature.
"""

import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import count
from secrets import token_bytes
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from sidecar.clock import Clock
from sidecar.events import (
    REASON_NAMES,
    SOURCE_NAMES,
    DecisionBatch,
    RecordBatch,
    Rejection,
    Source,
)
from sidecar.telemetry.timing import Mark, StageTimes

# Rows of a batch that are looked through for one that the model did not decide.
_LOOKED_AT = 256
_OF_MODELS = (Source.MODEL, Source.UPSTREAM)


class StageView(Struct, frozen=True, kw_only=True):
    """One stage of the batch that the event was in."""

    stage: str
    """`decode`, `check`, `score`, `decide`, `encode` or `settle`, which ends when the broker
    acknowledged."""
    began_ms: float
    """Since the batch was read."""
    took_ms: float


class DecisionView(Struct, frozen=True, kw_only=True):
    """What became of one record, and why. What does not apply is null."""

    number: int
    """Rises by one with each that is kept."""
    outcome: Literal["decision", "dead_letter"]
    topic: str
    partition: int
    offset: int
    record_time_ms: int
    """Kafka timestamp of the record, Unix milliseconds."""
    settled_ms: int
    """When its outcome was acknowledged, Unix milliseconds."""
    batch_records: int
    """Records of the batch that it was in."""
    key_hash: str | None = None
    """Of the record's key. The same key has the same hash until the process ends."""
    event_hash: str | None = None
    """Of the event's id, likewise."""
    event_time_ms: int | None = None
    source: str | None = None
    reason: str | None = None
    rule: str | None = None
    """The fallback rule that fired."""
    label: str | None = None
    """What was decided."""
    answer: str | None = None
    """What the model or upstream said, whether it was taken or not."""
    score: float | None = None
    confidence: float | None = None
    threshold: float | None = None
    """Confidence below which the fallback chain answers."""
    flags: tuple[str, ...] = ()
    """Faults that did not stop the decision."""
    features: dict[str, float | str | None] = {}
    """Values of the features that `http.decision_fields` names."""
    rejected_by: str | None = None
    """Stage that refused the record."""
    code: str | None = None
    """Why it became a dead letter."""
    message: str | None = None
    """The same for people; holds no value of the payload."""
    stages: tuple[StageView, ...] = ()


class DecisionsView(Struct, frozen=True, kw_only=True):
    """The last decisions, newest first."""

    enabled: bool
    """Whether `http.decisions` keeps any."""
    kept: int
    """Most that are kept."""
    decisions: tuple[DecisionView, ...] = ()


NO_DECISIONS = DecisionsView(enabled=False, kept=0)


class RecentDecisions:
    """Keeps three rows of each settled batch at most, in a ring: its cost is one per batch."""

    name = "recent_decisions"

    def __init__(
        self,
        clock: Clock,
        *,
        kept: int,
        threshold: float,
        fields: Mapping[str, int],
        times: StageTimes,
    ) -> None:
        """Start empty.

        Args:
            clock: Says when a batch was settled.
            kept: Most rows that are kept.
            threshold: Confidence below which the fallback chain answers.
            fields: Features whose values are shown, with their column.
            times: Has the times of a batch's stages.
        """
        self._clock = clock
        self._threshold = threshold
        self._fields = dict(fields)
        self._times = times
        self._ring: deque[DecisionView] = deque(maxlen=kept)
        self._numbers = count(1)
        # Without it, the hash of a short key could be looked up in a table of all keys.
        self._salt = token_bytes(16)

    def observe(self, decisions: DecisionBatch, rejections: Sequence[Rejection]) -> None:
        """See a batch whose decisions and dead letters are acknowledged."""
        records = decisions.events.records
        stages = _views(self._times.of(records), self._clock.monotonic())
        now_ms = self._clock.now_ms()
        for at in _positions(decisions):
            self._ring.append(self._decision(decisions, at, now_ms, stages))
        if rejections:
            self._ring.append(self._rejection(records, rejections[-1], now_ms, stages))

    def revoked(self, partitions: Collection[int]) -> None:
        """Keep all: what was decided here stays so."""

    def released(self, partitions: Collection[int]) -> None:
        """Keep all, likewise."""

    def view(self) -> DecisionsView:
        """Give what is kept, newest first."""
        return DecisionsView(
            enabled=True, kept=self._ring.maxlen or 0, decisions=tuple(reversed(self._ring))
        )

    def _decision(
        self, decisions: DecisionBatch, at: int, now_ms: int, stages: tuple[StageView, ...]
    ) -> DecisionView:
        events, words = decisions.events, decisions.vocabulary
        row = int(events.rows[at])
        rule = int(decisions.rule[at])
        flags = (("missing_feature", events.missing), ("future_time", events.future))
        return DecisionView(
            **self._record(events.records, row, now_ms, stages),
            outcome="decision",
            event_hash=self._hash(events.ids[at].encode()),
            event_time_ms=int(events.event_time_ms[at]),
            source=SOURCE_NAMES[decisions.source[at]],
            reason=REASON_NAMES[decisions.reason[at]],
            rule=decisions.rules[rule] if rule >= 0 else None,
            label=_word(words, int(decisions.label[at])),
            answer=_word(words, int(decisions.answer[at])),
            score=_number(decisions.score[at]),
            confidence=_number(decisions.confidence[at]),
            threshold=self._threshold,
            flags=tuple(name for name, column in flags if column[at]),
            features=dict(self._values(decisions, at)),
        )

    def _values(
        self, decisions: DecisionBatch, at: int
    ) -> Iterator[tuple[str, float | str | None]]:
        features = decisions.events.features
        for name, column in self._fields.items():
            text = features.text.get(name)
            yield name, _number(features.matrix[at, column]) if text is None else text[at]

    def _rejection(
        self,
        records: RecordBatch,
        rejection: Rejection,
        now_ms: int,
        stages: tuple[StageView, ...],
    ) -> DecisionView:
        return DecisionView(
            **self._record(records, rejection.row, now_ms, stages),
            outcome="dead_letter",
            rejected_by=rejection.stage.value,
            code=rejection.code.value,
            message=rejection.message,
        )

    def _record(
        self, records: RecordBatch, row: int, now_ms: int, stages: tuple[StageView, ...]
    ) -> dict[str, Any]:
        key = records.keys[row]
        partition = next(s.partition for s in records.spans if s.start <= row < s.stop)
        return {
            "number": next(self._numbers),
            "topic": records.topic,
            "partition": partition,
            "offset": int(records.offsets[row]),
            "record_time_ms": int(records.timestamps_ms[row]),
            "settled_ms": now_ms,
            "batch_records": len(records),
            "key_hash": None if key is None else self._hash(key),
            "stages": stages,
        }

    def _hash(self, text: bytes) -> str:
        return blake2b(text, key=self._salt, digest_size=6).hexdigest()


def _views(marks: Sequence[Mark], now_s: float) -> tuple[StageView, ...]:
    """Give the stages of a batch that is acknowledged now."""
    if not marks:
        return ()
    start_s = marks[0].began_s
    return tuple(
        StageView(
            stage=stage,
            began_ms=round((began_s - start_s) * 1000, 3),
            took_ms=round((ended_s - began_s) * 1000, 3),
        )
        for stage, began_s, ended_s in (*marks, Mark("settle", marks[-1].ended_s, now_s))
    )


def _positions(decisions: DecisionBatch) -> list[int]:
    """Choose the last row, and one that the model did not decide where there is one."""
    if not len(decisions):
        return []
    last, first = len(decisions) - 1, max(0, len(decisions) - _LOOKED_AT)
    others = np.flatnonzero(~np.isin(decisions.source[first:], _OF_MODELS))
    return sorted({last, first + int(others[-1])}) if others.size else [last]


def _word(words: Sequence[str], at: int) -> str | None:
    return words[at] if at >= 0 else None


def _number(value: np.float64) -> float | None:
    return None if math.isnan(value) else float(value)
