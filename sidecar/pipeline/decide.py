"""From scores to decisions. Total: every event gets one, whatever the model did.

The model answers where it is sure enough. Everything else goes down the fallback chain: the
rules in order, then the cache of the last confident decision for that key, then the default.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from sidecar.bundle.manifest import Manifest, Task
from sidecar.config.settings import FallbackSettings, OutcomeSettings
from sidecar.events import (
    BoolColumn,
    DecisionBatch,
    EventBatch,
    Int64Column,
    Reason,
    ScoreBatch,
    Source,
    UpstreamPrediction,
)
from sidecar.pipeline.cache import Answer, DecisionCache
from sidecar.pipeline.rules import compile_rules


class _Outcome(NamedTuple):
    """What a rule or the default answers, as it stands in the columns."""

    label: int
    score: float | None


class Decider:
    """Decides batches, one after another: the cache remembers the ones before."""

    def __init__(
        self, manifest: Manifest, fallback: FallbackSettings, threshold: float
    ) -> None:
        """Compile the rules and number the labels.

        Args:
            manifest: Task, labels and signature of the model.
            fallback: Rules, cache and default.
            threshold: Confidence below which the model may not answer.

        Raises:
            ConfigError: A rule does not fit the signature.
        """
        outcomes = (*fallback.rules, fallback.default)
        labels = (*manifest.model.labels, *(o.label for o in outcomes if o.label is not None))
        self._vocabulary = tuple(dict.fromkeys(labels))
        self._task = manifest.model.task
        self._threshold = threshold
        self._rules = compile_rules(fallback.rules, manifest)
        self._rule_names = tuple(rule.name for rule in fallback.rules)
        self._rule_outcomes = [self._outcome(rule) for rule in fallback.rules]
        self._default = self._outcome(fallback.default)
        cache = fallback.cache
        self._cache = DecisionCache(cache.max_age.ms, cache.max_entries) if cache else None

    def decide(self, events: EventBatch, scores: ScoreBatch) -> DecisionBatch:
        """Decide every event.

        Args:
            events: The events.
            scores: What the model said about each, or why it said nothing.

        Returns:
            The decisions. Below the threshold the source is never the model. Where something
            else decided, score and confidence still say what the model said, if it did.
        """
        answered = scores.reason == Reason.CONFIDENT
        sure = answered & self._sure(scores)
        batch = DecisionBatch(
            events=events,
            label=np.where(sure, scores.label, np.int32(-1)),
            answer=np.where(answered, scores.label, np.int32(-1)),
            score=np.where(answered, scores.score, np.nan),
            confidence=np.where(answered, scores.confidence, np.nan),
            source=np.full(len(events), Source.MODEL, np.uint8),
            reason=np.where(answered & ~sure, np.uint8(Reason.LOW_CONFIDENCE), scores.reason),
            rule=np.full(len(events), -1, np.int32),
            vocabulary=self._vocabulary_of(events.upstream),
            rules=self._rule_names,
            shadow=(
                None
                if events.upstream is None
                else np.where(scores.reason == Reason.UPSTREAM, scores.label, np.int32(-1))
            ),
        )
        decided = sure | self._take_upstream(batch)
        self._fall_back(batch, np.flatnonzero(~decided))
        return batch

    def forget(self) -> None:
        """Empty the cache: its partitions may have gone on elsewhere meanwhile."""
        if self._cache is not None:
            self._cache.clear()

    def _outcome(self, outcome: OutcomeSettings) -> _Outcome:
        label = -1 if outcome.label is None else self._vocabulary.index(outcome.label)
        return _Outcome(label, outcome.score)

    def _sure(self, scores: ScoreBatch) -> BoolColumn:
        """Where the model may answer. A classification without a confidence is never sure."""
        sure: BoolColumn = scores.confidence >= self._threshold
        if self._task is Task.REGRESSION:
            sure = sure | np.isnan(scores.confidence)
        return sure

    # --- decided upstream --------------------------------------------------------------------

    def _vocabulary_of(
        self, upstream: Sequence[UpstreamPrediction | None] | None
    ) -> tuple[str, ...]:
        said = (p.label for p in upstream or () if p is not None and p.label is not None)
        return tuple(dict.fromkeys((*self._vocabulary, *said)))

    def _take_upstream(self, batch: DecisionBatch) -> BoolColumn:
        """Copy the predictions that came along into the columns, and say where they are."""
        came = np.zeros(len(batch), np.bool_)
        if batch.events.upstream is None:
            return came
        codes: dict[str | None, int] = {label: at for at, label in enumerate(batch.vocabulary)}
        # Predictions arrive as objects, one per event, so here they become columns.
        for row, prediction in enumerate(batch.events.upstream):
            if prediction is not None:
                came[row] = True
                batch.label[row] = batch.answer[row] = codes.get(prediction.label, -1)
                batch.score[row] = _or_nan(prediction.score)
                batch.confidence[row] = self._confidence_of(prediction)
        batch.source[came] = Source.UPSTREAM
        batch.reason[came] = Reason.UPSTREAM
        return came

    def _confidence_of(self, prediction: UpstreamPrediction) -> float:
        score = _or_nan(prediction.score)
        if prediction.confidence is not None:
            return prediction.confidence
        if self._task is Task.REGRESSION or not 0 <= score <= 1:
            return np.nan
        return max(score, 1 - score) if self._task is Task.BINARY else score

    # --- the fallback chain ------------------------------------------------------------------

    def _fall_back(self, batch: DecisionBatch, rows: Int64Column) -> None:
        if rows.size:
            rule = self._rules.first_match(batch.events.features.take(rows))
            for index in np.unique(rule[rule >= 0]).tolist():
                matched = rows[rule == index]
                batch.rule[matched] = index
                self._answer(batch, matched, Source.RULE, self._rule_outcomes[index])
            rows = rows[rule < 0]
        if self._cache is not None:
            rows = self._recall(self._cache, batch, rows)
        self._answer(batch, rows, Source.DEFAULT, self._default)

    def _answer(
        self, batch: DecisionBatch, rows: Int64Column, source: Source, outcome: _Outcome
    ) -> None:
        batch.source[rows] = source
        batch.label[rows] = outcome.label
        if outcome.score is not None:
            batch.score[rows] = outcome.score

    def _recall(
        self, cache: DecisionCache, batch: DecisionBatch, rows: Int64Column
    ) -> Int64Column:
        """Answer rows from the cache and keep the model's answers in it; give the rows left.

        A row sees the answers before it and none behind it, so that the decisions do not
        depend on where one batch ends and the next begins.
        """
        of_model = batch.source == Source.MODEL
        of_model[rows] = False
        kept = np.flatnonzero(of_model)
        keys = batch.events.records.keys
        if len(batch) < len(keys):
            keys = [keys[row] for row in batch.events.rows.tolist()]
        answers = zip([keys[row] for row in kept.tolist()], _answers(batch, kept), strict=True)
        times_ms = batch.events.event_time_ms[rows].tolist()
        found: list[Answer | None] = []
        done = 0
        before = np.searchsorted(kept, rows).tolist()
        for row, stop, time_ms in zip(rows.tolist(), before, times_ms, strict=True):
            if stop > done:
                cache.update(answers, stop - done)
                done = stop
            found.append(cache.get(keys[row], time_ms))
        cache.update(answers, kept.size - done)
        known = np.array([answer is not None for answer in found], np.bool_)
        recalled = rows[known]
        batch.source[recalled] = Source.CACHE
        batch.label[recalled] = [answer[0] for answer in found if answer is not None]
        if self._task is Task.REGRESSION:
            batch.score[recalled] = [answer[1] for answer in found if answer is not None]
        return rows[~known]


def _answers(batch: DecisionBatch, rows: Int64Column) -> Iterable[Answer]:
    columns = batch.label, batch.score, batch.events.event_time_ms
    return zip(*(column[rows].tolist() for column in columns), strict=True)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
