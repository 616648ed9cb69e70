import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from sidecar.stats.tails import (
    chi_square_quantile,
    chi_square_tail,
    noncentral_quantile,
    noncentral_tail,
)

DEGREES = np.arange(1, 201)
NONCENTRALITIES = [1e-3, 1.0, 100.0, 1e4, 1e5]

degrees = st.integers(1, 200)
noncentralities = st.just(0.0) | st.floats(-3, 5).map(lambda power: 10.0**power)
deviations = st.floats(-8, 40)
"""From the mean, in standard deviations."""


def scipy_tail(value: float, degrees: int, noncentrality: float) -> float:
    if noncentrality == 0:
        return float(stats.chi2.sf(value, degrees))
    return float(stats.ncx2.sf(value, degrees, noncentrality))


@given(degrees, noncentralities, deviations)
def test_the_tail_is_that_of_scipy(degrees: int, noncentrality: float, far: float) -> None:
    mean, deviation = degrees + noncentrality, math.sqrt(2 * degrees + 4 * noncentrality)
    value = max(0.0, mean + far * deviation)
    expected = scipy_tail(value, degrees, noncentrality)
    assume(expected >= 1e-15)

    found = float(noncentral_tail(value, degrees, noncentrality))

    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("noncentrality", NONCENTRALITIES)
def test_the_tail_is_that_of_scipy_for_all_degrees(noncentrality: float) -> None:
    mean = DEGREES + noncentrality
    deviation = np.sqrt(2 * DEGREES + 4 * noncentrality)
    value = np.abs(mean + np.linspace(-6, 12, 73)[:, None] * deviation)
    expected = np.asarray(stats.ncx2.sf(value, DEGREES, noncentrality))
    known = expected >= 1e-15

    found = noncentral_tail(value, DEGREES, noncentrality)

    assert found[known].tolist() == pytest.approx(expected[known].tolist(), rel=1e-9)
    assert np.all(found[~known] < 1.1e-15)


@pytest.mark.parametrize("ratio", [1e-6, 0.3, 1.0, 2.0, 10.0])
def test_the_central_tail_is_that_of_scipy_down_to_the_smallest(ratio: float) -> None:
    expected = np.asarray(stats.chi2.sf(ratio * DEGREES, DEGREES))

    found = chi_square_tail(ratio * DEGREES, DEGREES)

    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-300)


def test_the_tail_holds_for_thousands_of_degrees() -> None:
    values = [9_800.0, 10_200.0, 12_000.0]

    found = chi_square_tail(values, 10_000)

    assert found.tolist() == pytest.approx(
        np.asarray(stats.chi2.sf(values, 10_000)).tolist(), rel=1e-9
    )


@pytest.mark.parametrize("noncentrality", [0.0, 1.0, 1e5])
@pytest.mark.parametrize("degrees", [1, 2, 200])
def test_beyond_all_values_the_tail_is_one_or_nothing(
    degrees: int, noncentrality: float
) -> None:
    values = [-math.inf, -1.0, 0.0, 5e-324, 1e30, 1e308, math.inf, math.nan]

    found = noncentral_tail(values, degrees, noncentrality)

    expected = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, math.nan]
    assert found.tolist() == pytest.approx(expected, rel=1e-9, nan_ok=True)


@given(degrees, noncentralities, deviations, st.floats(1.001, 3.0))
def test_a_larger_value_has_a_smaller_tail(
    degrees: int, noncentrality: float, far: float, times: float
) -> None:
    mean, deviation = degrees + noncentrality, math.sqrt(2 * degrees + 4 * noncentrality)
    value = max(1e-3, mean + far * deviation)

    near, far_out = noncentral_tail([value, value * times], degrees, noncentrality).tolist()

    assert 0 <= far_out <= near * (1 + 1e-9) <= 1 + 1e-9


@given(degrees, noncentralities, noncentralities, deviations)
def test_a_larger_noncentrality_has_a_larger_tail(
    degrees: int, one: float, other: float, far: float
) -> None:
    mean, deviation = degrees + one, math.sqrt(2 * degrees + 4 * one)

    less, more = noncentral_tail(
        max(0.0, mean + far * deviation), degrees, sorted((one, other))
    ).tolist()

    assert less <= more * (1 + 1e-9)


def test_each_subject_has_the_tail_that_it_has_alone() -> None:
    values, degrees, noncentrality = [0.5, 30.0, 9e4], [1, 11, 40], [0.0, 12.0, 9e4]

    together = noncentral_tail(values, degrees, noncentrality)

    alone = [
        float(noncentral_tail(*one)) for one in zip(values, degrees, noncentrality, strict=True)
    ]
    assert together.tolist() == alone


@pytest.mark.parametrize("rate", [1e-15, 1e-9, 0.001, 0.01, 0.05, 0.5, 0.999])
def test_the_central_quantile_is_that_of_scipy(rate: float) -> None:
    found = [chi_square_quantile(rate, degrees) for degrees in DEGREES.tolist()]

    assert found == pytest.approx(np.asarray(stats.chi2.isf(rate, DEGREES)).tolist(), rel=1e-9)


@pytest.mark.parametrize("rate", [1e-15, 1e-9, 0.001, 0.01, 0.05, 0.5, 0.999])
@pytest.mark.parametrize("noncentrality", NONCENTRALITIES)
def test_the_quantile_is_that_of_scipy(noncentrality: float, rate: float) -> None:
    few = DEGREES[::9]  # SciPy searches each one by itself

    found = noncentral_quantile(rate, few, noncentrality)

    expected = np.asarray(stats.ncx2.isf(rate, few, noncentrality))
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-9)


@given(degrees, noncentralities, st.floats(1e-300, 1 - 1e-12))
def test_the_quantile_is_passed_at_the_rate(
    degrees: int, noncentrality: float, rate: float
) -> None:
    value = noncentral_quantile(rate, degrees, noncentrality)

    assert float(noncentral_tail(value, degrees, noncentrality)) == pytest.approx(
        rate, rel=1e-8
    )


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, math.nan])
def test_a_rate_that_is_no_chance_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        chi_square_quantile(rate, 3)
