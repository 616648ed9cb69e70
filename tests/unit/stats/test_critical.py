import math

import numpy as np
import pytest
from scipy import stats

from sidecar.stats.critical import js_from_psi, ks_critical, psi_critical, psi_mean
from sidecar.stats.segments import Segments


def test_the_psi_limit_counts_only_groups_in_use() -> None:
    reference = np.array([500, 500, 0, 300, 300, 400])
    current = np.array([50, 50, 0, 30, 30, 40])

    limits = psi_critical(reference, current, Segments([3, 3]), 0.01)

    variance = 1 / 1_000 + 1 / 100
    assert limits.tolist() == pytest.approx(
        [stats.chi2.isf(0.01, 1) * variance, stats.chi2.isf(0.01, 2) * variance]
    )


def test_the_psi_mean_is_that_of_the_chi_square_variable() -> None:
    reference = np.array([500, 500, 0, 300, 300, 400, 100, 0])
    current = np.array([50, 50, 0, 30, 30, 40, 10, 0])

    means = psi_mean(reference, current, Segments([3, 3, 2]))

    variance = 1 / 1_000 + 1 / 100
    assert means.tolist() == pytest.approx([variance, 2 * variance, 0.0])


def test_a_constant_has_a_psi_limit_above_zero() -> None:
    limit = psi_critical(np.array([100, 0]), np.array([100, 0]), Segments([2]), 0.01)

    assert limit.tolist() == pytest.approx([stats.chi2.isf(0.01, 1) * 0.02])


def test_the_ks_limit_is_the_asymptotic_one() -> None:
    limit = ks_critical(np.array([4_000, 6_000]), np.array([500, 500]), Segments([2]), 0.05)

    expected = stats.kstwobign.isf(0.05) * math.sqrt(1 / 10_000 + 1 / 1_000)
    assert limit.tolist() == pytest.approx([expected], rel=1e-3)


def test_without_counts_no_distance_passes_the_limit() -> None:
    counts = np.array([100, 100]), np.array([0, 0]), Segments([2])

    assert psi_mean(*counts).tolist() == [math.inf]
    assert psi_critical(*counts, 0.01).tolist() == [math.inf]
    assert ks_critical(*counts, 0.01).tolist() == [1.0]


def test_customary_psi_limits_as_js_distances() -> None:
    assert js_from_psi(np.array([0.1, 0.25])).round(3).tolist() == [0.134, 0.212]
