import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from sidecar.stats.cells import CountingTable, numeric_cells
from sidecar.stats.critical import js_from_psi, psi_critical
from sidecar.stats.distances import (
    jensen_shannon_distance,
    kolmogorov_smirnov_distance,
    population_stability_index,
)
from sidecar.stats.groups import merge_rare
from sidecar.stats.segments import Segments

TEN = Segments([12])
"""Ten groups of a number, out of range, missing."""


def test_psi_of_large_counts_is_the_textbook_sum() -> None:
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.3, 0.3, 0.4])
    counts = (p * 10_000_000).astype(np.int64), (q * 10_000_000).astype(np.int64)

    index = population_stability_index(*counts, Segments([3]))

    assert index[0] == pytest.approx(np.sum((p - q) * np.log(p / q)), rel=1e-6)


def test_psi_of_a_shift_is_its_square_in_standard_deviations() -> None:
    edges = stats.norm.ppf(np.arange(1, 10) / 10)
    shares = np.diff(stats.norm.cdf(edges, loc=0.1), prepend=0.0, append=1.0)
    current = np.round(shares * 10_000_000).astype(np.int64)

    index = population_stability_index(np.full(10, 1_000_000), current, Segments([10]))

    assert index[0] == pytest.approx(0.01, rel=0.05)


def test_psi_leaves_groups_out_that_are_empty_on_both_sides() -> None:
    index = population_stability_index(
        np.array([500, 500, 500, 500, 0]), np.array([60, 40, 60, 40, 0]), Segments([2, 3])
    )

    assert index[0] == index[1]


def test_psi_of_a_missing_surge_is_large() -> None:
    reference = np.array([5_000] * 10 + [0, 0])
    current = np.array([50] * 10 + [0, 500])

    index = population_stability_index(reference, current, TEN)

    assert index[0] > 3.0


def test_one_value_out_of_range_in_a_thousand_is_no_drift() -> None:
    reference = np.array([5_000] * 10 + [0, 0])
    current = np.array([99] + [100] * 9 + [1, 0])
    counts = merge_rare(reference, current, TEN)

    index = population_stability_index(*counts, TEN)

    assert index[0] < 0.25 * psi_critical(*counts, TEN, 0.01)[0]


def test_how_far_out_of_range_a_value_lies_makes_no_difference() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=10_000)
    table = CountingTable([numeric_cells(values)])
    window = rng.normal(size=1_000)

    counts = [
        table.count(np.append(window, outlier)[:, None]).tolist() for outlier in (10.0, 1e12)
    ]

    assert counts[0] == counts[1]


def test_js_is_the_distance_of_scipy_in_bits() -> None:
    rng = np.random.default_rng(2)
    reference, current = rng.poisson(20, 60), rng.poisson(3, 60)
    segments = Segments([10, 20, 30])

    distances = jensen_shannon_distance(reference, current, segments)

    assert distances.tolist() == pytest.approx(
        [float(jensenshannon(reference[at], current[at], base=2)) for at in segments.slices]
    )


def test_js_goes_with_psi_for_small_drift() -> None:
    reference, current = np.array([500_000] * 4), np.array([510_000, 495_000, 490_000, 505_000])
    one = Segments([4])

    distance = jensen_shannon_distance(reference, current, one)

    expected = js_from_psi(population_stability_index(reference, current, one))
    assert distance[0] == pytest.approx(expected[0], rel=1e-3)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.25, 0.5, 1.0])
def test_ks_over_cells_is_just_below_that_of_the_values(shift: float) -> None:
    reference = np.random.default_rng(0).normal(0, 1, 10_000)
    current = np.random.default_rng(1).normal(shift, 1, 1_000)
    table = CountingTable([numeric_cells(reference)])
    counts = table.count(reference[:, None])

    found = kolmogorov_smirnov_distance(
        counts, table.count(current[:, None]), Segments([table.size])
    )[0]

    exact = float(stats.ks_2samp(reference, current).statistic)
    assert exact - counts.max() / 10_000 < found <= exact + 1e-12


def test_ks_of_each_subject_is_free_of_the_others() -> None:
    rng = np.random.default_rng(3)
    segments = Segments([40, 7, 60])
    reference, current = rng.poisson(9, 107), rng.poisson(5, 107)

    together = kolmogorov_smirnov_distance(reference, current, segments)

    alone = [
        kolmogorov_smirnov_distance(reference[at], current[at], Segments([at.stop - at.start]))
        for at in segments.slices
    ]
    assert together.tolist() == pytest.approx(np.concatenate(alone).tolist(), abs=1e-15)


@pytest.mark.parametrize(
    "distance",
    [population_stability_index, jensen_shannon_distance, kolmogorov_smirnov_distance],
)
def test_nothing_is_known_without_counts(distance: type) -> None:
    nothing, something = np.array([0, 0]), np.array([4, 4])
    two = Segments([2, 2])

    empty = distance(np.tile(something, 2), np.concatenate((nothing, something)), two)

    assert empty.tolist() == pytest.approx([0.0, 0.0], abs=1e-15)
    assert distance(nothing, nothing, Segments([2])).tolist() == [0.0]


def test_opposite_counts_are_as_far_apart_as_can_be() -> None:
    reference, current = np.array([9, 0]), np.array([0, 4])
    one = Segments([2])

    assert jensen_shannon_distance(reference, current, one).tolist() == [1.0]
    assert kolmogorov_smirnov_distance(reference, current, one).tolist() == [1.0]
    assert math.isfinite(population_stability_index(reference, current, one)[0])
