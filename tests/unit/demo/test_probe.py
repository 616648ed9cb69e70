"""Counters out of an exposition."""

from sidecar.demo.probe import Counts, read_counts
from tests.telemetry_samples import busy_metrics


def test_the_counters_of_the_product_are_found_by_name() -> None:
    exposition = busy_metrics().exposition("").write()

    assert read_counts(exposition.decode()) == Counts(
        received=4,
        tombstones=1,
        decisions={"model": 1, "rule": 1},
        rejections={"empty": 1},
        rules={"large-amount": 1},
        model_calls={},
    )


def test_what_settles_a_record_is_a_decision_a_rejection_or_being_a_tombstone() -> None:
    counts = Counts(
        received=13,
        tombstones=1,
        decisions={"model": 7, "rule": 2},
        rejections={"empty": 1, "too_deep": 2},
        rules={},
        model_calls={},
    )

    assert (counts.decided, counts.rejected, counts.settled) == (9, 3, 13)
