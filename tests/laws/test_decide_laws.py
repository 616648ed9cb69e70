"""Laws of deciding: total, below the threshold never the model, the same however batched."""

from itertools import chain
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.settings import FallbackSettings, RuleSettings
from sidecar.events import DecisionBatch, Reason, ScoreBatch, Source
from sidecar.pipeline.cache import Answer, DecisionCache
from sidecar.pipeline.decide import Decider
from sidecar.pipeline.rules import compile_rules
from tests.event_samples import events, manifest
from tests.strategies import (
    conditions,
    fallbacks,
    feature_maps,
    holds,
    score_batches,
    wire_events,
)

keys = st.sampled_from([b"a", b"b", b"c", None])
event_lists = st.lists(wire_events(gaps=True), max_size=8)


def taken(scores: ScoreBatch, rows: Any) -> ScoreBatch:
    return ScoreBatch(
        scores.label[rows], scores.score[rows], scores.confidence[rows], scores.reason[rows]
    )


def columns(batch: DecisionBatch) -> list[Any]:
    labels = [batch.vocabulary[at] if at >= 0 else None for at in batch.label.tolist()]
    rest = (batch.score, batch.confidence, batch.source, batch.reason, batch.rule)
    return [labels, *(list(map(str, column.tolist())) for column in rest)]


@given(st.data(), fallbacks(), st.floats(0, 1.5))
def test_every_event_gets_one_decision(
    data: st.DataObject, fallback: FallbackSettings, threshold: float
) -> None:
    wire = data.draw(event_lists)
    scores = data.draw(score_batches(len(wire)))

    batch = Decider(manifest(), fallback, threshold).decide(events(*wire), scores)

    assert len(batch) == len(wire)
    for row, each in enumerate(wire):
        source, reason = Source(batch.source[row]), Reason(batch.reason[row])
        answered = scores.reason[row] == Reason.CONFIDENT
        assert -1 <= batch.label[row] < len(batch.vocabulary)
        assert (source is Source.RULE) == (batch.rule[row] >= 0)
        assert (source is Source.UPSTREAM) == (each.get("prediction") is not None)
        assert (source is Source.UPSTREAM) == (reason is Reason.UPSTREAM)
        assert (source is Source.MODEL) == (reason is Reason.CONFIDENT)
        if source is Source.MODEL:
            assert answered
            assert batch.confidence[row] >= threshold
        if answered and scores.confidence[row] >= threshold and source is not Source.UPSTREAM:
            assert source is Source.MODEL


@given(st.data(), fallbacks())
def test_decisions_do_not_depend_on_where_batches_end(
    data: st.DataObject, fallback: FallbackSettings
) -> None:
    wire = data.draw(event_lists)
    scores = data.draw(score_batches(len(wire)))
    of = [data.draw(keys) for _ in wire]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=3)))
    whole = events(*wire, keys=of)

    at_once = Decider(manifest(), fallback, 0.5).decide(whole, scores)
    piecewise = Decider(manifest(), fallback, 0.5)
    pieces = [
        columns(piecewise.decide(whole.take(rows), taken(scores, rows)))
        for rows in np.split(np.arange(len(wire)), cuts)
    ]

    assert columns(at_once) == [list(chain(*column)) for column in zip(*pieces, strict=True)]


@given(conditions, st.lists(feature_maps(gaps=True), max_size=5))
def test_a_rule_on_columns_says_what_it_says_row_by_row(
    when: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    rules = compile_rules([RuleSettings(name="r", when=when, label="x")], manifest())

    matched = rules.first_match(
        events(*({"id": "1", "features": row} for row in rows)).features
    ).tolist()

    assert matched == [0 if holds(when, row) else -1 for row in rows]


@given(
    st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), max_size=6), max_size=6),
    st.integers(1, 6),
)
def test_the_cache_is_bounded_and_gives_nothing_but_the_last_answer(
    batches: list[list[bytes]], max_entries: int
) -> None:
    cache = DecisionCache(max_age_ms=1, max_entries=max_entries)
    last: dict[bytes, Answer] = {}
    for at, batch in enumerate(batches):
        answers: list[Answer] = [(at, float(row), 0) for row in range(len(batch))]
        last |= zip(batch, answers, strict=True)
        cache.update(zip(batch, answers, strict=True), len(batch))

        assert len(cache) <= max_entries
        assert all(cache.get(key, 0) in (None, answer) for key, answer in last.items())
    recent = [key for batch in batches for key in batch][-(max_entries // 2) or None :]
    if max_entries > 1:
        assert all(cache.get(key, 0) == last[key] for key in recent)
