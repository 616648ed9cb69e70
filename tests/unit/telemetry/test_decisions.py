"""The last decisions: which are kept, and what of them is shown."""

from dataclasses import replace

import msgspec
import numpy as np

from sidecar.events import DecisionBatch, Features, Reason, RecordBatch, Source
from sidecar.telemetry.decisions import RecentDecisions
from sidecar.telemetry.timing import StageTimes
from tests.telemetry_samples import ManualClock, decided, records, refused

MODEL = (Source.MODEL, Reason.CONFIDENT)
RULE = (Source.RULE, Reason.LOW_CONFIDENCE)


def recent(kept: int = 10, fields: dict[str, int] | None = None) -> RecentDecisions:
    clock = ManualClock()
    return RecentDecisions(
        clock, kept=kept, threshold=0.8, fields=fields or {}, times=StageTimes(clock)
    )


def secret_batch(count: int = 3) -> RecordBatch:
    return replace(records(count), keys=[b"customer-4711"] * count)


def answered(batch: RecordBatch) -> DecisionBatch:
    made = decided(batch, [0, 1], [MODEL, RULE], [-1, 0])
    features = Features(np.array([[1.5, 0.0], [812.5, 1.0]]), {"country": ["DE", "FR"]})
    return replace(made, events=replace(made.events, features=features, ids=["e-1", "e-2"]))


def test_a_batch_leaves_its_last_decision_one_of_the_fallback_and_one_dead_letter() -> None:
    kept = recent()
    batch = records(1_000)
    answers = [RULE] * 400 + [MODEL] * 599

    kept.observe(decided(batch, list(range(999)), answers), [refused(999)])

    # The rule stood further back than is looked.
    found = kept.view().decisions
    assert [(each.offset, each.outcome) for each in found] == [
        (999, "dead_letter"),
        (998, "decision"),
    ]

    kept.observe(decided(batch, list(range(999)), answers[::-1]), [])
    newest = kept.view().decisions[0]
    assert (newest.offset, newest.source, newest.reason) == (998, "rule", "low_confidence")


def test_the_fallback_decision_that_is_kept_is_the_one_that_fell_back() -> None:
    kept = recent()
    batch = records(6)

    kept.observe(decided(batch, list(range(6)), [MODEL, RULE, MODEL, MODEL, MODEL, MODEL]), [])

    found = {each.offset: each.source for each in kept.view().decisions}
    assert found == {5: "model", 1: "rule"}


def test_the_ring_is_bounded_and_newest_first() -> None:
    kept = recent(kept=4)

    for _ in range(20):
        kept.observe(decided(records(1), [0], [MODEL]), [])

    assert [each.number for each in kept.view().decisions] == [20, 19, 18, 17]


def test_keys_ids_and_features_are_not_shown() -> None:
    kept = recent()

    batch = secret_batch()
    kept.observe(answered(batch), [refused(2)])

    text = msgspec.json.encode(kept.view()).decode()
    assert not [word for word in ("4711", "e-1", "e-2", "812.5", "FR") if word in text]
    letter, decision = kept.view().decisions
    assert letter.key_hash == decision.key_hash
    assert len(decision.key_hash or "") == len(decision.event_hash or "") == 12


def test_the_same_key_has_another_hash_in_another_process() -> None:
    one, other = recent(), recent()
    for each in (one, other):
        each.observe(answered(secret_batch()), [])

    assert one.view().decisions[0].key_hash != other.view().decisions[0].key_hash


def test_features_that_the_config_names_are_shown() -> None:
    kept = recent(fields={"amount": 0, "country": 1})

    kept.observe(answered(secret_batch()), [])

    assert kept.view().decisions[0].features == {"amount": 812.5, "country": "FR"}


def test_a_decision_says_why() -> None:
    kept = recent()

    kept.observe(answered(secret_batch()), [])

    newest = kept.view().decisions[0]
    assert (newest.rule, newest.label, newest.threshold) == ("large-amount", "yes", 0.8)


def test_a_batch_of_dead_letters_alone_leaves_one() -> None:
    kept = recent()

    kept.observe(decided(records(2), [], []), [refused(0), refused(1)])

    (only,) = kept.view().decisions
    assert (only.code, only.rejected_by, only.offset) == ("empty", "decode", 1)
