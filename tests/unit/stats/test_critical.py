import math

import numpy as np
import pytest
from scipy import stats

from sidecar.stats.critical import (
    chi_square_quantile,
    chi_square_tail,
    js_from_psi,
    ks_critical,
    psi_critical,
)
from sidecar.stats.segments import Segments

DEGREES = range(1, 201)


@pytest.mark.parametrize("rate", [1e-9, 0.001, 0.01, 0.05, 0.5, 0.999])
def test_the_quantile_is_that_of_scipy(rate: float) -> None:
    ours = [chi_square_quantile(rate, degrees) for degrees in DEGREES]

    assert ours == pytest.approx(
        [stats.chi2.isf(rate, degrees) for degrees in DEGREES], rel=1e-9
    )


@pytest.mark.parametrize("ratio", [1e-6, 0.3, 1.0, 2.0, 10.0])
def test_the_tail_is_that_of_scipy(ratio: float) -> None:
    values = [ratio * degrees for degrees in DEGREES]

    ours = [chi_square_tail(value, at) for value, at in zip(values, DEGREES, strict=True)]

    assert ours == pytest.approx(
        np.asarray(stats.chi2.sf(values, DEGREES)), rel=1e-9, abs=1e-300
    )


def test_the_tail_holds_for_thousands_of_degrees() -> None:
    ours = chi_square_tail(10_200.0, 10_000)

    assert ours == pytest.approx(float(stats.chi2.sf(10_200.0, 10_000)), rel=1e-9)


def test_the_tail_at_zero_is_one() -> None:
    assert chi_square_tail(0.0, 3) == 1.0


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_rate_that_is_no_chance_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        chi_square_quantile(rate, 3)


def test_the_psi_limit_counts_only_groups_in_use() -> None:
    reference = np.array([500, 500, 0, 300, 300, 400])
    current = np.array([50, 50, 0, 30, 30, 40])

    limits = psi_critical(reference, current, Segments([3, 3]), 0.01)

    variance = 1 / 1_000 + 1 / 100
    assert limits.tolist() == pytest.approx(
        [stats.chi2.isf(0.01, 1) * variance, stats.chi2.isf(0.01, 2) * variance]
    )


def test_a_constant_has_a_psi_limit_above_zero() -> None:
    limit = psi_critical(np.array([100, 0]), np.array([100, 0]), Segments([2]), 0.01)

    assert limit.tolist() == pytest.approx([stats.chi2.isf(0.01, 1) * 0.02])


def test_the_ks_limit_is_the_asymptotic_one() -> None:
    limit = ks_critical(np.array([4_000, 6_000]), np.array([500, 500]), Segments([2]), 0.05)

    expected = stats.kstwobign.isf(0.05) * math.sqrt(1 / 10_000 + 1 / 1_000)
    assert limit.tolist() == pytest.approx([expected], rel=1e-3)


def test_without_counts_no_distance_passes_the_limit() -> None:
    counts = np.array([100, 100]), np.array([0, 0]), Segments([2])

    assert psi_critical(*counts, 0.01).tolist() == [math.inf]
    assert ks_critical(*counts, 0.01).tolist() == [1.0]


def test_customary_psi_limits_as_js_distances() -> None:
    assert js_from_psi(np.array([0.1, 0.25])).round(3).tolist() == [0.134, 0.212]
