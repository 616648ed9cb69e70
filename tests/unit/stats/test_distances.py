import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from sidecar.stats.cells import CountingTable, Counts, NumericCells, numeric_cells
from sidecar.stats.critical import js_from_psi, psi_critical, psi_mean
from sidecar.stats.distances import (
    cell_positions,
    chi_square,
    hellinger_distance,
    jensen_shannon_distance,
    kolmogorov_smirnov_distance,
    l_infinity,
    population_stability_index,
    wasserstein_distance,
)
from sidecar.stats.groups import merge_rare
from sidecar.stats.segments import Numbers, Segments

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


def test_hellinger_is_the_textbook_distance() -> None:
    rng = np.random.default_rng(4)
    reference, current = rng.poisson(20, 60), rng.poisson(3, 60)
    segments = Segments([10, 20, 30])

    distances = hellinger_distance(reference, current, segments)

    p, q = segments.shares(reference), segments.shares(current)
    expected = [math.sqrt(1 - float(np.sqrt(p[at] * q[at]).sum())) for at in segments.slices]
    assert distances.tolist() == pytest.approx(expected)


def test_hellinger_goes_with_psi_for_small_drift() -> None:
    reference, current = np.array([500_000] * 4), np.array([510_000, 495_000, 490_000, 505_000])
    one = Segments([4])

    distance = hellinger_distance(reference, current, one)

    expected = np.sqrt(population_stability_index(reference, current, one) / 8)
    assert distance[0] == pytest.approx(expected[0], rel=1e-3)


def test_chi_square_is_that_of_the_contingency_table() -> None:
    rng = np.random.default_rng(5)
    reference, current = rng.poisson(40, 62), rng.poisson(4, 62)
    segments = Segments([2, 10, 20, 30])

    statistics = chi_square(reference, current, segments)

    tables = [np.array([reference[at], current[at]]) for at in segments.slices]
    expected = [
        stats.chi2_contingency(table[:, table.sum(axis=0) > 0], correction=False).statistic
        for table in tables
    ]
    assert statistics.tolist() == pytest.approx(expected)


def test_chi_square_goes_with_psi_for_small_drift() -> None:
    reference, current = np.array([500_000] * 4), np.array([10_200, 9_900, 9_800, 10_100])
    one = Segments([4])

    statistic = chi_square(reference, current, one) * (1 / 2_000_000 + 1 / 40_000)

    index = population_stability_index(reference, current, one)
    assert statistic[0] == pytest.approx(index[0], rel=1e-2)


def test_l_infinity_is_the_largest_difference_of_shares() -> None:
    reference, current = np.array([50, 50, 80, 20]), np.array([4, 6, 9, 1])

    distances = l_infinity(reference, current, Segments([2, 2]))

    assert distances.tolist() == pytest.approx([0.1, 0.1])


def test_excess_psi_is_free_of_the_size_of_the_window() -> None:
    rng = np.random.default_rng(6)
    p, q = np.full(10, 0.1), np.array([0.12, 0.11, *[0.1] * 6, 0.09, 0.08])
    many = Segments([10] * 4_000)
    drift = float(np.sum((p - q) * np.log(p / q)))

    for n in (500, 5_000):
        reference = rng.multinomial(50_000, p, 4_000).ravel()
        for shares, expected in ((p, 0.0), (q, drift)):
            current = rng.multinomial(n, shares, 4_000).ravel()
            counts = reference, current, many
            found = population_stability_index(*counts) - psi_mean(*counts)

            # Four standard errors of the mean, and 2 % of what chance adds for thin groups.
            noise = 4 * float(found.std()) / math.sqrt(4_000) + 0.02 * 9 / n
            assert float(found.mean()) == pytest.approx(expected, abs=noise + 0.02 * expected)


def test_wasserstein_is_that_of_scipy_on_the_positions() -> None:
    rng = np.random.default_rng(7)
    segments = Segments([40, 7, 60])
    reference, current = rng.poisson(9, 107), rng.poisson(5, 107)
    positions = np.concatenate([np.sort(rng.normal(size=size)) for size in segments.sizes])
    deviations = np.array([1.0, 2.0, 0.5])

    distances = wasserstein_distance(reference, current, segments, positions, deviations)

    expected = [
        stats.wasserstein_distance(positions[at], positions[at], reference[at], current[at])
        for at in segments.slices
    ]
    assert distances.tolist() == pytest.approx((np.array(expected) / deviations).tolist())


@pytest.mark.parametrize("shift", [0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("shape", ["normal", "gamma"])
def test_wasserstein_of_a_shift_is_the_shift_in_standard_deviations(
    shape: str, shift: float
) -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(5, 3, 40_000) if shape == "normal" else rng.gamma(4, 2, 40_000)
    cells = numeric_cells(values)
    table, one = CountingTable([cells]), Segments([cells.size])
    low, high = np.quantile(values, [0.001, 0.999])
    moved = values + shift * values.std()

    found = wasserstein_distance(
        table.count(values[:, None]),
        table.count(moved[:, None]),
        one,
        cell_positions(cells, float(low), float(high)),
        np.array([values.std()]),
    )[0]

    exact = stats.wasserstein_distance(values, moved) / values.std()
    assert exact == pytest.approx(shift)
    assert found == pytest.approx(shift, rel=0.06)


def test_wasserstein_does_not_run_on_to_the_next_subject() -> None:
    positions = np.array([0.0, 1.0, 100.0, 101.0])
    counts = np.array([1, 0, 1, 0]), np.array([0, 1, 1, 0])

    found = wasserstein_distance(*counts, Segments([2, 2]), positions, np.array([1.0, 1.0]))

    assert found.tolist() == [1.0, 0.0]


def test_wasserstein_has_no_unit_where_the_reference_does_not_vary() -> None:
    cells = numeric_cells(np.full(10, 3.0))
    positions = cell_positions(cells, 3.0, 3.0)
    counts = np.array([0, 10, 0, 0]), np.array([2, 1, 4, 0])

    found = wasserstein_distance(*counts, Segments([4]), positions, np.array([0.0]))

    assert found.tolist() == [0.0]


def test_positions_lie_within_the_limits_and_ascend() -> None:
    values = np.random.default_rng(9).standard_cauchy(20_000)
    cells = numeric_cells(values)
    low, high = np.quantile(values, [0.001, 0.999]).tolist()

    positions = cell_positions(cells, low, high)

    assert len(positions) == cells.size
    assert (positions[0], positions[-2], positions[-1]) == (low, high, high)
    assert np.all(np.diff(positions) >= 0)


def test_positions_of_edges_beyond_the_limits_are_the_limits() -> None:
    cells = NumericCells(5.0, (1.0, 5.0, 9.0), 0.0, 10.0)

    assert cell_positions(cells, 4.0, 6.0).tolist() == [4.0, 4.0, 4.5, 5.5, 6.0, 6.0, 6.0]


def at_places(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """The Wasserstein distance with cells that lie one unit apart."""
    positions = np.arange(segments.size, dtype=np.float64)
    return wasserstein_distance(
        reference, current, segments, positions, np.ones(len(segments.sizes))
    )


@pytest.mark.parametrize(
    "distance",
    [
        pytest.param(population_stability_index, id="psi"),
        pytest.param(jensen_shannon_distance, id="js"),
        pytest.param(hellinger_distance, id="hellinger"),
        pytest.param(l_infinity, id="l_infinity"),
        pytest.param(chi_square, id="chi_square"),
        pytest.param(kolmogorov_smirnov_distance, id="ks"),
        pytest.param(at_places, id="wasserstein"),
    ],
)
def test_nothing_is_known_without_counts(
    distance: Callable[[Counts, Counts, Segments], Numbers],
) -> None:
    nothing, something = np.array([0, 0]), np.array([4, 9])

    for counts in ((nothing, nothing), (nothing, something), (something, nothing)):
        assert distance(*counts, Segments([2])).tolist() == pytest.approx([0.0], abs=1e-15)


def test_opposite_counts_are_as_far_apart_as_can_be() -> None:
    reference, current = np.array([9, 0]), np.array([0, 4])
    one = Segments([2])

    assert jensen_shannon_distance(reference, current, one).tolist() == [1.0]
    assert hellinger_distance(reference, current, one).tolist() == [1.0]
    assert l_infinity(reference, current, one).tolist() == [1.0]
    assert kolmogorov_smirnov_distance(reference, current, one).tolist() == [1.0]
    assert math.isfinite(population_stability_index(reference, current, one)[0])
