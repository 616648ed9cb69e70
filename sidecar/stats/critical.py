"""What a distance passes by chance alone, for this many counts on both sides."""

import math

import numpy as np

from sidecar.stats.cells import Counts
from sidecar.stats.segments import Numbers, Segments
from sidecar.stats.tails import chi_square_quantile

_BITS = 8 * math.log(2)
"""Population stability index over squared Jensen-Shannon distance in bits, for small drift."""


def psi_mean(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """Give the population stability index that chance gives on average.

    With nothing drifting the index is (1/n + 1/m) times a chi-square variable with one degree
    of freedom less than groups in use (Yurdakul & Naranjo 2020), whose mean is its degrees.

    Args:
        reference: Flat counts of the reference.
        current: Flat counts of the window.
        segments: Where the groups of each subject stand.

    Returns:
        One value per subject, infinite where one side has no counts.

    Example:
        >>> psi_mean(np.array([500, 500]), np.array([600, 400]), Segments([2])).tolist()
        [0.002]
    """
    degrees = np.maximum(segments.sum((reference + current) > 0) - 1.0, 0.0)
    with np.errstate(invalid="ignore"):
        mean: Numbers = degrees * _variance(reference, current, segments)
    return np.nan_to_num(mean, nan=np.inf, posinf=np.inf)


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


def _variance(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """Give 1/n + 1/m of each subject, infinite where one of them is zero."""
    with np.errstate(divide="ignore"):
        return 1.0 / segments.sum(reference) + 1.0 / segments.sum(current)
