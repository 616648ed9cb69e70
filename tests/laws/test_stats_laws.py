"""What holds for any values and any counts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sidecar.stats.cells import CategoryCells, CountingTable, numeric_cells
from sidecar.stats.critical import js_from_psi, ks_critical, psi_critical
from sidecar.stats.distances import (
    jensen_shannon_distance,
    kolmogorov_smirnov_distance,
    population_stability_index,
)
from sidecar.stats.groups import merge_rare, quantile_groups
from sidecar.stats.segments import Segments

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


@given(count_pairs)
def test_distances_are_within_their_range(pairs: list[tuple[int, int]]) -> None:
    reference, current = np.array(pairs).T
    one = Segments([len(pairs)])

    psi = population_stability_index(reference, current, one)[0]
    js = jensen_shannon_distance(reference, current, one)[0]
    ks = kolmogorov_smirnov_distance(reference, current, one)[0]

    assert 0 <= psi < np.inf
    assert 0 <= ks <= 1
    assert 0 <= js <= 1


@given(count_pairs)
def test_js_and_ks_are_symmetric(pairs: list[tuple[int, int]]) -> None:
    reference, current = np.array(pairs).T
    one = Segments([len(pairs)])

    for distance in (jensen_shannon_distance, kolmogorov_smirnov_distance):
        there, back = distance(reference, current, one), distance(current, reference, one)
        assert there.tolist() == pytest.approx(back.tolist(), abs=1e-12)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=40), st.integers(1, 50))
def test_equal_shares_are_no_distance(counts: list[int], times: int) -> None:
    reference = np.array(counts)
    one = Segments([len(counts)])
    pair = reference, reference * times

    assert jensen_shannon_distance(*pair, one)[0] < 1e-7
    assert kolmogorov_smirnov_distance(*pair, one)[0] < 1e-12
    groups = np.count_nonzero(reference)
    chance = 0.0 if groups < 2 else (groups - 1) * (1 + 1 / times) / reference.sum()
    assert population_stability_index(*pair, one)[0] <= 0.3 * chance


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
    ks = kolmogorov_smirnov_distance(*raw)
    return (
        float(np.mean(psi > limit)),
        float(np.mean(js > js_from_psi(limit))),
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
    psi, js, ks = windows_without_drift(shares, n, m)

    # The standard error of a share of 4,000 windows is 0.0016; thin groups are a little off.
    assert 0.003 < psi < 0.035
    assert 0.003 < js < 0.035
    assert ks < 0.0175
