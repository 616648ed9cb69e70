import numpy as np
import pytest
from scipy import stats

from sidecar.stats.bands import Bands, proportion_bands

TOLERANCE = 0.001


def bands(
    expected: float,
    records: float,
    reference: float = np.inf,
    rate: float = 0.01,
    overdispersion: float = 1.0,
) -> Bands:
    share, current, other = (np.array([value]) for value in (expected, records, reference))
    return proportion_bands(
        share,
        current,
        other,
        tolerance=TOLERANCE,
        rate=rate,
        overdispersion=overdispersion,
    )


@pytest.mark.parametrize("rate", [0.01, 0.01 / 60])
@pytest.mark.parametrize("records", [200, 1_000, 10_000, 100_000])
@pytest.mark.parametrize("expected", [0.0, 0.003, 0.01, 0.1, 0.5, 0.9])
def test_the_ends_are_left_as_rarely_as_asked_for(
    expected: float, records: int, rate: float
) -> None:
    band = bands(expected, records, rate=rate)

    above = stats.binom.sf(
        np.floor(band.upper * records + 1e-9), records, min(1.0, expected + TOLERANCE)
    )
    below = stats.binom.cdf(
        np.ceil(band.lower * records - 1e-9) - 1, records, max(0.0, expected - TOLERANCE)
    )
    assert above.item() <= 1.5 * rate / 2
    assert below.item() <= 1.5 * rate / 2


@pytest.mark.parametrize("expected", [0.01, 0.1, 0.5])
def test_a_large_window_leaves_no_more_than_the_tolerance(expected: float) -> None:
    band = bands(expected, 1e12)

    assert band.lower.item() == pytest.approx(expected - TOLERANCE, abs=1e-5)
    assert band.upper.item() == pytest.approx(expected + TOLERANCE, abs=1e-5)


def test_the_first_record_of_a_kind_is_no_alarm() -> None:
    assert bands(0.0, 200, 50_000, rate=0.001).upper.item() > 1 / 200
    assert bands(0.0, 1_000, 50_000, rate=0.001).upper.item() > 1 / 1_000


def test_the_ends_of_the_scale_are_never_left() -> None:
    none, all_of_them = bands(0.0, 50), bands(1.0, 50)

    assert (none.lower.item(), all_of_them.upper.item()) == (0.0, 1.0)


def test_a_small_reference_and_overdispersion_widen_the_band_alike() -> None:
    plain, small = bands(0.1, 1_000), bands(0.1, 1_000, 1_000)
    dispersed = bands(0.1, 1_000, overdispersion=2.0)

    def width(band: Bands) -> float:
        return float((band.upper - band.lower).item())

    assert width(small) == pytest.approx(width(dispersed), rel=0.01)
    assert width(small) > 1.3 * width(plain)


def test_simulated_windows_leave_their_bands_no_more_often_than_asked_for() -> None:
    rng = np.random.default_rng(7)
    runs, window, reference = 20_000, 1_000, 5_000
    known = rng.binomial(reference, 0.05, runs) / reference
    found = rng.binomial(window, 0.05, runs) / window

    band = proportion_bands(
        known,
        np.full(runs, float(window)),
        np.full(runs, float(reference)),
        tolerance=1e-9,
        rate=0.01,
    )

    left = float(np.mean((found < band.lower) | (found > band.upper)))
    # Three standard errors of a share of 1 % over the runs, and what the reference's own
    # error in the variance adds.
    assert left == pytest.approx(0.01, abs=0.004)
