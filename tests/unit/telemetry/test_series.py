"""Numbers by label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.telemetry.catalogue import BATCH_RECORDS, EVENT_AGE, STAGE_DURATION
from sidecar.telemetry.series import Board, Histogram

Ages = st.lists(st.one_of(st.sampled_from(EVENT_AGE.buckets), st.floats(0, 10_000)))


@given(Ages)
def test_a_column_counts_as_its_values_one_by_one(ages: list[float]) -> None:
    column, single = Histogram(EVENT_AGE, [()]), Histogram(EVENT_AGE, [()])

    column.observe_column(np.array(ages, np.float64), ())
    for age in ages:
        single.observe(age, ())

    *column_counts, column_sum = [sample.value for sample in column.family().samples]
    *single_counts, single_sum = [sample.value for sample in single.family().samples]
    assert column_counts == single_counts
    assert column_sum == pytest.approx(single_sum)


@given(Ages)
def test_each_bucket_holds_all_values_up_to_its_bound(ages: list[float]) -> None:
    histogram = Histogram(EVENT_AGE, [()])

    histogram.observe_column(np.array(ages, np.float64), ())

    buckets = {
        float(sample.labels["le"]): sample.value
        for sample in histogram.family().samples
        if "le" in sample.labels
    }
    assert buckets == {bound: sum(age <= bound for age in ages) for bound in buckets}


def test_a_histogram_takes_no_label_that_was_not_named() -> None:
    board = Board({STAGE_DURATION: [("decode",)], BATCH_RECORDS: [()]})

    with pytest.raises(KeyError):
        board.observe(STAGE_DURATION, 0.1, "decide-on-a-whim")
