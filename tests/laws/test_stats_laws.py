"""What holds for any values and any counts."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sidecar.stats.cells import CategoryCells, CountingTable, Counts, numeric_cells
from sidecar.stats.critical import js_from_psi, ks_critical, psi_critical
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
from sidecar.stats.groups import fold_rare, merge_rare, quantile_groups
from sidecar.stats.segments import Numbers, Segments

numbers = st.floats(-1e9, 1e9) | st.integers(-1_000, 1_000).map(float)
values = st.one_of(numbers, st.just(np.nan), st.sampled_from([np.inf, -np.inf, 1e300]))
count_pairs = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=2, max_size=40
)


@given(st.lists(numbers, min_size=1, max_size=200), st.lists(values, max_size=50))
def test_an_edge_moves_down_by_at_most_a_128th_of_its_distance(
    reference: list[float], seen: list[float]
) -> None:
    cells = numeric_cells(np.array(reference))
    table = CountingTable([cells])
    edges = np.array(cells.edges)
    # One part in a million for the step to float32, and what float32 cannot tell from zero.
    lowest = edges - np.abs(edges - cells.centre) * (1 / 128 + 1e-6) - 1e-37

    for value in [*seen, *cells.edges]:
        if cells.minimum <= value <= cells.maximum:
            found = int(table.cells(np.array([[value]]))[0, 0]) - 1

            assert np.sum(edges <= value) <= found <= np.sum(lowest <= value)


@given(
    st.lists(
        st.integers(-300, 300) | st.integers(1 - 2**53, 2**53 - 1), unique=True, max_size=30
    ),
    st.data(),
)
def test_categories_are_counted_exactly(categories: list[int], data: st.DataObject) -> None:
    near = [number + step for number in categories for step in (-1, 0, 1)]
    seen = data.draw(st.lists(st.sampled_from([*near, 0, None]), max_size=60))
    table = CountingTable([CategoryCells(len(categories), tuple(map(float, categories)))])

    counts = table.count(np.array([[np.nan if at is None else at] for at in seen], np.float64))

    exact = Counter(at if at is None or at in categories else "unseen" for at in seen)
    assert counts.tolist() == [exact[at] for at in (*categories, "unseen", None)]


@given(st.lists(values, max_size=80), st.integers(0, 80))
def test_counts_of_parts_add_up(seen: list[float], cut: int) -> None:
    matrix = np.array(seen, np.float64)[:, None]
    table = CountingTable([numeric_cells(np.array(seen, np.float64))])

    both = table.count(matrix[:cut]) + table.count(matrix[cut:])

    assert both.tolist() == table.count(matrix).tolist()
    assert both.sum() == len(seen)


def one_unit_apart(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """The Wasserstein distance with cells that lie one unit apart."""
    positions = np.arange(segments.size, dtype=np.float64)
    return wasserstein_distance(
        reference, current, segments, positions, np.ones(len(segments.sizes))
    )


OF_GROUPS = (
    population_stability_index,
    jensen_shannon_distance,
    hellinger_distance,
    l_infinity,
    chi_square,
)
OF_ORDERED_CELLS = (kolmogorov_smirnov_distance, one_unit_apart)


@given(count_pairs)
def test_distances_are_within_their_range(pairs: list[tuple[int, int]]) -> None:
    reference, current = np.array(pairs).T
    counts = reference, current, Segments([len(pairs)])

    assert 0 <= population_stability_index(*counts)[0] < np.inf
    assert 0 <= chi_square(*counts)[0] <= (reference.sum() + current.sum()) * (1 + 1e-12)
    assert 0 <= one_unit_apart(*counts)[0] <= len(pairs) - 1
    for distance in (
        jensen_shannon_distance,
        hellinger_distance,
        l_infinity,
        kolmogorov_smirnov_distance,
    ):
        assert 0 <= distance(*counts)[0] <= 1


@given(count_pairs)
def test_distances_but_psi_are_symmetric(pairs: list[tuple[int, int]]) -> None:
    reference, current = np.array(pairs).T
    one = Segments([len(pairs)])

    for distance in (*OF_GROUPS[2:], *OF_ORDERED_CELLS):
        there, back = distance(reference, current, one), distance(current, reference, one)
        assert there.tolist() == pytest.approx(back.tolist(), rel=1e-12, abs=1e-12)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=40), st.integers(1, 50))
def test_equal_shares_are_no_distance(counts: list[int], times: int) -> None:
    reference = np.array(counts)
    pair = reference, reference * times, Segments([len(counts)])

    assert jensen_shannon_distance(*pair)[0] < 1e-7
    assert hellinger_distance(*pair)[0] < 1e-12
    assert l_infinity(*pair)[0] < 1e-12
    assert chi_square(*pair)[0] < 1e-12 * (1 + reference.sum() * times)
    assert kolmogorov_smirnov_distance(*pair)[0] < 1e-12
    assert one_unit_apart(*pair)[0] < 1e-11
    groups = np.count_nonzero(reference)
    chance = 0.0 if groups < 2 else (groups - 1) * (1 + 1 / times) / reference.sum()
    assert population_stability_index(*pair)[0] <= 0.3 * chance


@given(count_pairs, st.randoms(use_true_random=False))
def test_categories_have_no_order(pairs: list[tuple[int, int]], random: Random) -> None:
    reference, current = np.array(pairs).T
    order = random.sample(range(len(pairs)), len(pairs))
    one = Segments([len(pairs)])

    for distance in OF_GROUPS:
        there = distance(reference, current, one)
        mixed = distance(reference[order], current[order], one)
        assert mixed.tolist() == pytest.approx(there.tolist(), rel=1e-9, abs=1e-12)


@given(count_pairs, count_pairs)
def test_subjects_do_not_touch_each_other(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    reference, current = np.array([*one, *other]).T
    parts = [np.array(one).T, np.array(other).T]

    for distance in (*OF_GROUPS, *OF_ORDERED_CELLS):
        together = distance(reference, current, Segments([len(one), len(other)]))
        alone = [float(distance(own, seen, Segments([len(own)]))[0]) for own, seen in parts]
        assert together.tolist() == pytest.approx(alone, rel=1e-9, abs=1e-11)


@given(count_pairs, st.data())
def test_one_event_more_moves_little(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    reference, current = np.array(pairs).T
    more = current.copy()
    more[data.draw(st.integers(0, len(pairs) - 1))] += 1
    one, n = Segments([len(pairs)]), int(current.sum())
    assume(n > 0 and reference.sum() > 0)

    for distance, most in (
        (l_infinity, 1.0),
        (kolmogorov_smirnov_distance, 1.0),
        (one_unit_apart, len(pairs) - 1.0),
    ):
        step = distance(reference, more, one)[0] - distance(reference, current, one)[0]
        assert abs(step) <= most / (n + 1) + 1e-12


@given(st.lists(numbers, min_size=2, max_size=80), st.lists(values, max_size=80), st.data())
def test_two_halves_of_a_window_give_the_distance_of_the_whole(
    reference: list[float], seen: list[float], data: st.DataObject
) -> None:
    cells = numeric_cells(np.array(reference))
    table, one = CountingTable([cells]), Segments([cells.size])
    expected = table.count(np.array(reference)[:, None])
    window = np.array(seen, np.float64)[:, None]
    cut = data.draw(st.integers(0, len(seen)))

    halves = table.count(window[:cut]) + table.count(window[cut:])

    for distance in (*OF_GROUPS, *OF_ORDERED_CELLS):
        whole = distance(expected, table.count(window), one)
        assert distance(expected, halves, one).tolist() == whole.tolist()


@given(st.lists(numbers, min_size=2, max_size=200))
def test_positions_of_cells_ascend_within_the_limits(reference: list[float]) -> None:
    cells = numeric_cells(np.array(reference))
    low, high = np.quantile(reference, [0.001, 0.999]).tolist()

    positions = cell_positions(cells, low, high)

    assert len(positions) == cells.size
    assert np.all(np.diff(positions) >= 0)
    assert (positions[0], positions[-1]) == (low, high)


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=64), st.integers(1, 20))
def test_groups_keep_the_order_of_cells(counts: list[int], most: int) -> None:
    groups = quantile_groups(np.array(counts), most)

    assert groups[0] == 0
    assert set(np.diff(groups).tolist()) <= {0, 1}
    assert groups[-1] < most


def windows_without_drift(shares: NDArray[np.float64], n: int, m: int) -> tuple[float, ...]:
    """Give the share of 4,000 windows that pass each critical value at 1 %."""
    rng = np.random.default_rng(7)
    segments = Segments([len(shares)] * 4_000)
    raw = (
        rng.multinomial(m, shares, 4_000).ravel(),
        rng.multinomial(n, shares, 4_000).ravel(),
        segments,
    )
    reference, current = merge_rare(*raw)
    limit = psi_critical(reference, current, segments, 0.01)
    psi = population_stability_index(reference, current, segments)
    js = jensen_shannon_distance(reference, current, segments)
    folded = *fold_rare(reference, current, segments), segments
    pearson_limit = psi_critical(*folded, 0.01) / (1 / n + 1 / m)
    ks = kolmogorov_smirnov_distance(*raw)
    return (
        float(np.mean(psi > limit)),
        float(np.mean(js > js_from_psi(limit))),
        float(np.mean(chi_square(*folded) > pearson_limit)),
        float(np.mean(ks > ks_critical(*raw, 0.01))),
    )


@pytest.mark.parametrize("m", [2_000, 50_000])
@pytest.mark.parametrize("n", [200, 1_000, 10_000, 100_000])
@pytest.mark.parametrize(
    "shares",
    [
        pytest.param(np.append(np.full(10, 0.1), [0.0, 0.0]), id="ten groups, none missing"),
        pytest.param(np.append(0.9, np.full(9, 0.1 / 9)), id="one group has nine in ten"),
        pytest.param(1 / np.arange(1, 201) / np.sum(1 / np.arange(1, 201)), id="200 of Zipf"),
    ],
)
def test_chance_passes_the_critical_values_about_as_often_as_configured(
    shares: NDArray[np.float64], n: int, m: int
) -> None:
    psi, js, pearson, ks = windows_without_drift(shares, n, m)

    # The standard error of a share of 4,000 windows is 0.0016; thin groups are a little off.
    assert 0.003 < psi < 0.035
    assert 0.003 < js < 0.035
    assert 0.005 < pearson < 0.02
    assert ks < 0.0175
