import numpy as np
import pytest

from sidecar.pipeline.signature import EARLIEST_MS, LATEST_MS
from sidecar.stats.ages import AgeCells


def test_what_is_beyond_the_limit_is_counted_exactly() -> None:
    cells = AgeCells([600_000])
    ages = np.array([-5, 0, 599_999, 600_000, 600_001, 10**12])

    counts = np.bincount(cells.cells(ages), minlength=cells.size)

    assert (counts.sum(), cells.beyond(counts, 600_000)) == (6, 2)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 1.0])
def test_a_quantile_is_never_too_small_and_19_percent_too_large_at_most(share: float) -> None:
    cells = AgeCells()
    ages = np.random.default_rng(3).lognormal(9, 2, 5_000).astype(np.int64) + 1
    exact = np.quantile(ages, share, method="inverted_cdf")

    counts = np.bincount(cells.cells(ages), minlength=cells.size)

    assert exact <= cells.quantile(counts, share) <= exact * 2**0.25


def test_ages_beyond_all_cells_are_longer_than_any_two_times_are_apart() -> None:
    cells = AgeCells()
    counts = np.bincount(cells.cells(np.array([2**62])), minlength=cells.size)

    assert cells.quantile(counts, 0.5) >= LATEST_MS - EARLIEST_MS
