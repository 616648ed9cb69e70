"""What a distance passes by chance alone, for this many counts on both sides."""

import math
from functools import lru_cache

import numpy as np

from sidecar.stats.cells import Counts
from sidecar.stats.segments import Numbers, Segments

_BITS = 8 * math.log(2)
"""Population stability index over squared Jensen-Shannon distance in bits, for small drift."""


def psi_critical(
    reference: Counts, current: Counts, segments: Segments, rate: float
) -> Numbers:
    """Give the population stability index that chance passes at `rate`.

    With nothing drifting the index is (1/n + 1/m) times a chi-square variable with one degree
    of freedom less than groups in use (Yurdakul & Naranjo 2020).

    Args:
        reference: Flat counts of the reference.
        current: Flat counts of the window.
        segments: Where the groups of each subject stand.
        rate: Chance of passing it, above 0 and below 1.

    Returns:
        One value per subject, infinite where one side has no counts.

    Example:
        >>> reference, current = np.array([500, 500]), np.array([600, 400])
        >>> psi_critical(reference, current, Segments([2]), 0.01).round(4).tolist()
        [0.0133]
    """
    groups = segments.sum((reference + current) > 0)
    # One group in use can never differ; one degree of freedom keeps the value above zero.
    quantiles = [chi_square_quantile(rate, max(1, used - 1)) for used in groups.tolist()]
    return np.array(quantiles) * _variance(reference, current, segments)


def js_from_psi(index: Numbers) -> Numbers:
    """Give the Jensen-Shannon distance (base 2) that goes with a small stability index.

    Args:
        index: Population stability index, in nats.

    Example:
        >>> js_from_psi(np.array([0.1])).round(3).tolist()
        [0.134]
    """
    return np.sqrt(index / _BITS)


def ks_critical(reference: Counts, current: Counts, segments: Segments, rate: float) -> Numbers:
    """Give the Kolmogorov-Smirnov distance that chance passes at `rate`.

    The asymptotic two-sample value (Smirnov 1948), which is conservative over cells.

    Args:
        reference: Flat counts of the reference.
        current: Flat counts of the window.
        segments: Where the cells of each subject stand.
        rate: Chance of passing it, above 0 and below 1.

    Returns:
        One value per subject, at most 1, which no distance passes.

    Example:
        >>> reference, current = np.array([500, 500]), np.array([600, 400])
        >>> ks_critical(reference, current, Segments([2]), 0.05).round(4).tolist()
        [0.0607]
    """
    factor = math.sqrt(-math.log(rate / 2) / 2)
    return np.minimum(factor * np.sqrt(_variance(reference, current, segments)), 1.0)


def chi_square_tail(value: float, degrees: int) -> float:
    """Give the chance that a chi-square variable is larger than `value`.

    For whole degrees of freedom the incomplete gamma function is a finite sum (Abramowitz &
    Stegun 26.4.4 and 26.4.5). Relative error below 1e-10 for up to 10,000 degrees.

    Args:
        value: 0 or more.
        degrees: Degrees of freedom, at least 1.

    Example:
        >>> round(chi_square_tail(3.841459, 1), 6)
        0.05
    """
    half = value / 2
    if half <= 0:
        return 1.0
    odd = degrees % 2
    log_half = math.log(half)
    terms = (k + odd / 2 for k in range(degrees // 2))
    # As logarithms: exp(-half) alone is zero from 1,500 degrees on.
    total = math.fsum(math.exp(k * log_half - half - math.lgamma(k + 1)) for k in terms)
    return min(1.0, total + (math.erfc(math.sqrt(half)) if odd else 0.0))


@lru_cache(maxsize=4_096)
def chi_square_quantile(rate: float, degrees: int) -> float:
    """Give the value that a chi-square variable passes with chance `rate`.

    Found by halving until no float lies between; some 60 evaluations of the tail, once for
    each pair of arguments.

    Args:
        rate: Chance of being larger, above 0 and below 1.
        degrees: Degrees of freedom, at least 1.

    Raises:
        ValueError: The chance is not between 0 and 1.

    Example:
        >>> round(chi_square_quantile(0.01, 9), 4)
        21.666
    """
    if not 0 < rate < 1:
        raise ValueError(f"Expected a chance between 0 and 1, got {rate}")
    low, high = 0.0, float(degrees)
    while chi_square_tail(high, degrees) > rate:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if chi_square_tail(middle, degrees) > rate else (low, middle)
    return high


def _variance(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """Give 1/n + 1/m of each subject, infinite where one of them is zero."""
    with np.errstate(divide="ignore"):
        return 1.0 / segments.sum(reference) + 1.0 / segments.sum(current)
