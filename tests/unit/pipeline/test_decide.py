"""Unit: pipeline.decide."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from sidecar.bundle.manifest import Manifest, Task
from sidecar.config.settings import (
    CacheSettings,
    FallbackSettings,
    OutcomeSettings,
    RuleSettings,
)
from sidecar.config.values import Duration
from sidecar.errors import ConfigError
from sidecar.events import DecisionBatch, EventBatch, Reason, ScoreBatch, Source
from sidecar.pipeline.decide import Decider
from tests.event_samples import event, events, features, manifest

REVIEW = OutcomeSettings(label="review")
LARGE = RuleSettings(name="large", when={"amount": {"gt": 100}}, label="refuse")
CACHE = CacheSettings(max_age=Duration(60_000))


class Decided(NamedTuple):
    """One row as people read it."""

    label: str | None
    source: Source
    reason: Reason
    rule: str | None = None


def read(batch: DecisionBatch) -> list[Decided]:
    return [
        Decided(
            batch.vocabulary[label] if label >= 0 else None,
            Source(source),
            Reason(reason),
            batch.rules[rule] if rule >= 0 else None,
        )
        for label, source, reason, rule in zip(
            batch.label.tolist(),
            batch.source.tolist(),
            batch.reason.tolist(),
            batch.rule.tolist(),
            strict=True,
        )
    ]


def scores(
    *confidence: float, reason: Sequence[Reason] | None = None, label: int = 1
) -> ScoreBatch:
    """What the model says: `approve`, this sure of it."""
    count = len(confidence)
    return ScoreBatch(
        label=np.full(count, label, np.int32),
        score=np.array(confidence, np.float64),
        confidence=np.array(confidence, np.float64),
        reason=np.array(reason or [Reason.CONFIDENT] * count, np.uint8),
    )


def decider(threshold: float = 0.8, of: Manifest | None = None, **fallback: Any) -> Decider:
    return Decider(
        of or manifest(), FallbackSettings(**{"default": REVIEW, **fallback}), threshold
    )


def plain(count: int = 1, **batch: Any) -> EventBatch:
    return events(*[event()] * count, **batch)


def test_the_model_answers_at_the_threshold_and_above() -> None:
    decided = decider().decide(plain(3), scores(0.79, 0.8, 1.0))

    assert read(decided) == [
        Decided("review", Source.DEFAULT, Reason.LOW_CONFIDENCE),
        Decided("approve", Source.MODEL, Reason.CONFIDENT),
        Decided("approve", Source.MODEL, Reason.CONFIDENT),
    ]


def test_answer_score_and_confidence_say_what_the_model_said_whoever_decided() -> None:
    reasons = [Reason.CONFIDENT, Reason.CONFIDENT, Reason.MODEL_ERROR]

    decided = decider().decide(plain(3), scores(0.9, 0.6, 0.5, reason=reasons))

    assert decided.answer.tolist() == [1, 1, -1]
    np.testing.assert_array_equal(decided.score, [0.9, 0.6, np.nan])
    np.testing.assert_array_equal(decided.confidence, [0.9, 0.6, np.nan])


@pytest.mark.parametrize(
    "reason",
    [
        Reason.OUT_OF_DISTRIBUTION,
        Reason.MISSING_FEATURE,
        Reason.MODEL_ERROR,
        Reason.MODEL_TIMEOUT,
        Reason.CIRCUIT_OPEN,
    ],
)
def test_the_reason_that_the_model_said_nothing_stays(reason: Reason) -> None:
    decided = decider(threshold=0.0).decide(plain(), scores(1.0, reason=[reason]))

    assert read(decided) == [Decided("review", Source.DEFAULT, reason)]


def test_a_classification_without_confidence_is_never_sure() -> None:
    decided = decider(threshold=0.0).decide(plain(), scores(np.nan))

    assert read(decided) == [Decided("review", Source.DEFAULT, Reason.LOW_CONFIDENCE)]


def test_a_regression_without_confidence_is_sure() -> None:
    of = manifest(task=Task.REGRESSION, labels=())
    said = ScoreBatch(
        np.array([-1], np.int32), np.array([7.5]), np.array([np.nan]), np.zeros(1, np.uint8)
    )

    decided = decider(of=of, default=OutcomeSettings(score=0.0)).decide(plain(), said)

    assert read(decided) == [Decided(None, Source.MODEL, Reason.CONFIDENT)]
    assert decided.score.tolist() == [7.5]


def test_rules_come_before_the_default_in_their_order() -> None:
    rules = [
        LARGE,
        RuleSettings(name="french", when={"country": "FR"}, label="manual", score=0.25),
    ]
    batch = events(features(amount=500.0, country="FR"), features(country="FR"), event())

    decided = decider(rules=rules).decide(batch, scores(0.1, 0.1, 0.1))

    low = Reason.LOW_CONFIDENCE
    assert read(decided) == [
        Decided("refuse", Source.RULE, low, "large"),
        Decided("manual", Source.RULE, low, "french"),
        Decided("review", Source.DEFAULT, low),
    ]
    assert decided.score.tolist() == [0.1, 0.25, 0.1]
    assert decided.vocabulary == ("refuse", "approve", "manual", "review")


def test_a_default_without_label_still_decides() -> None:
    decided = decider(default=OutcomeSettings()).decide(plain(), scores(0.1))

    assert read(decided) == [Decided(None, Source.DEFAULT, Reason.LOW_CONFIDENCE)]


def test_a_rule_that_does_not_fit_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="no feature `nope`"):
        decider(rules=[RuleSettings(name="r", when={"nope": 1}, label="x")])


# --- the cache -------------------------------------------------------------------------------

NOT_SURE, SURE = 0.1, 0.9


def keyed(*keys: bytes | None, **batch: Any) -> EventBatch:
    return plain(len(keys), keys=keys, **batch)


def test_the_last_confident_decision_of_a_key_stands_in() -> None:
    kept = decider(cache=CACHE)
    kept.decide(keyed(b"a", b"b"), scores(SURE, NOT_SURE, label=0))

    decided = kept.decide(keyed(b"a", b"b", None), scores(NOT_SURE, NOT_SURE, NOT_SURE))

    low = Reason.LOW_CONFIDENCE
    assert read(decided) == [
        Decided("refuse", Source.CACHE, low),
        Decided("review", Source.DEFAULT, low),
        Decided("review", Source.DEFAULT, low),
    ]
    assert decided.score.tolist() == [NOT_SURE] * 3


def test_rows_of_one_batch_see_those_before_them_and_none_behind() -> None:
    decided = decider(cache=CACHE).decide(
        keyed(b"a", b"a", b"a"), scores(NOT_SURE, SURE, NOT_SURE)
    )

    assert [row.source for row in read(decided)] == [
        Source.DEFAULT,
        Source.MODEL,
        Source.CACHE,
    ]


def test_rules_come_before_the_cache() -> None:
    kept = decider(cache=CACHE, rules=[LARGE])
    kept.decide(keyed(b"a"), scores(SURE))

    decided = kept.decide(
        events(features(amount=500.0), event(), keys=[b"a", b"a"]), scores(NOT_SURE, NOT_SURE)
    )

    assert [row.source for row in read(decided)] == [Source.RULE, Source.CACHE]


def test_a_decision_older_than_allowed_by_event_time_does_not_stand_in() -> None:
    kept = decider(cache=CACHE)
    kept.decide(keyed(b"a", timestamp_ms=0), scores(SURE))

    sources = [
        read(kept.decide(keyed(b"a", timestamp_ms=at), scores(NOT_SURE)))[0].source
        for at in (60_000, 60_001)
    ]

    assert sources == [Source.CACHE, Source.DEFAULT]


def test_only_the_model_s_own_decisions_are_kept() -> None:
    kept = decider(cache=CACHE, rules=[LARGE])
    upstream = event(prediction={"label": "approve", "confidence": 1.0})
    kept.decide(
        events(upstream, features(amount=500.0), event(), keys=[b"a", b"b", b"c"]),
        scores(SURE, NOT_SURE, NOT_SURE),
    )

    decided = kept.decide(keyed(b"a", b"b", b"c"), scores(NOT_SURE, NOT_SURE, NOT_SURE))

    assert {row.source for row in read(decided)} == {Source.DEFAULT}


def test_a_forgotten_cache_answers_nothing() -> None:
    kept = decider(cache=CACHE)
    kept.decide(keyed(b"a"), scores(SURE))
    kept.forget()

    assert read(kept.decide(keyed(b"a"), scores(NOT_SURE)))[0].source is Source.DEFAULT
    decider().forget()


def test_a_cached_regression_stands_in_with_its_score() -> None:
    kept = decider(of=manifest(task=Task.REGRESSION, labels=()), cache=CACHE)
    kept.decide(keyed(b"a"), ScoreBatch(*_regression(7.5), reason=np.zeros(1, np.uint8)))

    failed = np.array([Reason.MODEL_ERROR], np.uint8)
    decided = kept.decide(keyed(b"a"), ScoreBatch(*_regression(0.0), reason=failed))

    assert read(decided) == [Decided(None, Source.CACHE, Reason.MODEL_ERROR)]
    assert decided.score.tolist() == [7.5]


def _regression(value: float) -> tuple[Any, Any, Any]:
    return np.array([-1], np.int32), np.array([value]), np.array([np.nan])


# --- decided upstream ------------------------------------------------------------------------


def test_a_prediction_that_came_along_is_the_decision() -> None:
    batch = events(
        event(prediction={"label": "approve", "score": 0.3, "confidence": 0.95}),
        event(prediction={"label": "escalate"}),
        event(),
    )
    reasons = [Reason.UPSTREAM, Reason.UPSTREAM, Reason.CONFIDENT]

    decided = decider().decide(batch, scores(0.0, 0.0, 0.9, reason=reasons))

    assert read(decided) == [
        Decided("approve", Source.UPSTREAM, Reason.UPSTREAM),
        Decided("escalate", Source.UPSTREAM, Reason.UPSTREAM),
        Decided("approve", Source.MODEL, Reason.CONFIDENT),
    ]
    np.testing.assert_array_equal(decided.score, [0.3, np.nan, 0.9])
    np.testing.assert_array_equal(decided.confidence, [0.95, np.nan, 0.9])
    assert decided.vocabulary == ("refuse", "approve", "review", "escalate")
    assert decided.answer.tolist() == [1, 3, 1]


def test_a_label_that_only_came_along_is_gone_with_its_batch() -> None:
    kept = decider()
    kept.decide(events(event(prediction={"label": "escalate"})), scores(0.0))

    assert kept.decide(plain(), scores(0.9)).vocabulary == ("refuse", "approve", "review")


@pytest.mark.parametrize(
    ("task", "score", "confidence"),
    [
        (Task.BINARY, 0.2, 0.8),
        (Task.BINARY, 0.7, 0.7),
        (Task.BINARY, 1.5, np.nan),
        (Task.BINARY, None, np.nan),
        (Task.MULTICLASS, 0.2, 0.2),
        (Task.REGRESSION, 0.2, np.nan),
    ],
)
def test_the_confidence_of_a_prediction_that_does_not_name_it(
    task: Task, score: float | None, confidence: float
) -> None:
    batch = events(event(prediction={"label": "approve", "score": score}))

    decided = decider(of=manifest(task=task)).decide(batch, scores(0.0))

    np.testing.assert_array_equal(decided.confidence, [confidence])


def test_no_events_give_no_decisions() -> None:
    for each in (decider(), decider(cache=CACHE, rules=[LARGE])):
        assert read(each.decide(plain(0), scores())) == []
