import numpy as np
import pytest

from sidecar.stats.cells import (
    CategoryCells,
    CountingTable,
    NumericCells,
    numeric_cells,
    uniform_cells,
)


def counts_of(cells: NumericCells | CategoryCells, *values: float) -> list[int]:
    return [int(count) for count in CountingTable([cells]).count(np.array([values]).T)]


def test_cells_are_below_then_inner_then_above_then_missing() -> None:
    cells = NumericCells(centre=10.0, edges=(10.0, 20.0), minimum=0.0, maximum=30.0)

    counts = counts_of(cells, -1, 0, 9, 10, 19, 20, 30, 31, np.nan)

    assert counts == [1, 2, 2, 2, 1, 1]


def test_infinities_are_out_of_range() -> None:
    cells = NumericCells(centre=0.0, edges=(), minimum=-1.0, maximum=1.0)

    assert counts_of(cells, -np.inf, 0.0, np.inf, 1e300, -1e300) == [2, 1, 2, 0]


def test_minus_zero_is_zero() -> None:
    cells = NumericCells(centre=0.0, edges=(0.0,), minimum=-1.0, maximum=1.0)

    assert counts_of(cells, -0.0, 0.0) == [0, 0, 2, 0, 0]
    assert counts_of(CategoryCells(1), -0.0, 0.0) == [2, 0, 0]


def test_whole_numbers_are_counted_one_by_one() -> None:
    ages = np.random.default_rng(1).integers(18, 60, 5_000).astype(np.float64)
    cells = numeric_cells(ages)

    counts = CountingTable([cells]).count(ages[:, None])

    assert counts.tolist() == [0, *np.bincount(ages.astype(int), minlength=60)[18:], 0, 0]


def test_quantile_cells_hold_about_equal_shares() -> None:
    values = np.random.default_rng(2).lognormal(0.0, 1.0, 100_000)
    cells = numeric_cells(values)

    shares = CountingTable([cells]).count(values[:, None])[1:-2] / len(values)

    assert len(shares) == 64
    assert shares.min() > 0.7 / 64
    assert shares.max() < 1.3 / 64


def test_the_reference_is_never_out_of_range() -> None:
    values = np.random.default_rng(3).standard_cauchy(10_000)

    counts = CountingTable([numeric_cells(values)]).count(values[:, None])

    assert (counts[0], counts[-2]) == (0, 0)


def test_mostly_zero_columns_get_fewer_cells_and_lose_nothing() -> None:
    rng = np.random.default_rng(4)
    values = np.where(rng.random(10_000) < 0.8, 0.0, rng.exponential(5.0, 10_000))
    cells = numeric_cells(values)

    counts = CountingTable([cells]).count(values[:, None])

    assert len(cells.edges) < 15
    assert counts.sum() == 10_000
    assert counts[1] / 10_000 == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        pytest.param([7.0, 7.0], NumericCells(7.0, (), 7.0, 7.0), id="constant"),
        pytest.param([np.nan, np.inf], NumericCells(0.0, (), 0.0, 0.0), id="nothing finite"),
        pytest.param([], NumericCells(0.0, (), 0.0, 0.0), id="no rows"),
    ],
)
def test_columns_without_spread_get_one_cell(values: list[float], cells: NumericCells) -> None:
    assert numeric_cells(np.array(values)) == cells


def test_edges_that_the_kernel_cannot_tell_apart_are_one() -> None:
    far = 1e6 + np.arange(100) / 1000
    values = np.concatenate((np.zeros(200), far))

    assert len(numeric_cells(values).edges) == 1


def test_probabilities_get_a_hundred_equal_cells() -> None:
    cells = uniform_cells()

    assert (len(cells.edges), cells.edges[0], cells.edges[-1]) == (99, 0.01, 0.99)
    assert counts_of(cells, 0.0, 1.0)[1:-2] == [1, *[0] * 98, 1]


def test_codes_beyond_the_categories_are_unseen() -> None:
    assert counts_of(CategoryCells(3), 0, 2, 2, 3, np.nan) == [1, 0, 2, 1, 1]


def test_booleans_and_coded_categories_are_their_own_numbers() -> None:
    assert counts_of(CategoryCells(2, (7.0, -1.0)), -1, 7, 7, 0, np.nan) == [2, 1, 1, 1]


@pytest.mark.parametrize("code", [255.0, 256.0, 1e9])
def test_a_neighbour_of_a_large_code_is_unseen(code: float) -> None:
    assert counts_of(CategoryCells(1, (code,)), code - 1, code, code, code + 1) == [2, 2, 0]


def test_a_feature_without_categories_has_all_values_unseen() -> None:
    assert counts_of(CategoryCells(0), 0, np.nan) == [1, 1]


def test_more_than_65_535_cells_are_counted() -> None:
    table = CountingTable([CategoryCells(70_000), CategoryCells(2)])

    counts = table.count(np.array([[69_999.0, 1.0], [3.0, np.nan]]))

    assert np.flatnonzero(counts).tolist() == [3, 69_999, 70_003, 70_005]


def test_columns_stand_behind_one_another() -> None:
    table = CountingTable([CategoryCells(2), uniform_cells(2)])

    counts = table.count(np.array([[1.0, 0.2], [0.0, 0.7], [1.0, np.nan]]))

    assert table.slices == (slice(0, 4), slice(4, 9))
    assert counts.tolist() == [1, 2, 0, 0, 0, 1, 1, 0, 1]


def test_cells_may_be_asked_for_some_of_the_columns() -> None:
    table = CountingTable([uniform_cells(2), CategoryCells(300), CategoryCells(2)])
    matrix = np.array([[0.2, 299.0, 1.0], [0.9, 7.0, np.nan]])

    parts = [table.cells(matrix[:, at : at + 1], first=at) for at in range(3)]

    assert np.concatenate(parts, axis=1).tolist() == table.cells(matrix).tolist()


def test_blocks_make_no_difference() -> None:
    matrix = np.random.default_rng(5).random((10_000, 3))
    table = CountingTable([uniform_cells()] * 3)

    parts = sum(table.count(part) for part in np.array_split(matrix, 7))

    assert table.count(matrix).tolist() == np.asarray(parts).tolist()
    assert np.bincount(table.cells(matrix).ravel()).sum() == 30_000


def test_no_rows_count_nothing() -> None:
    table = CountingTable([uniform_cells(2)])

    assert table.count(np.empty((0, 1))).tolist() == [0] * 5
    assert table.cells(np.empty((0, 1))).shape == (0, 1)
