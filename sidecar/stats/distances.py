"""How far the counts of a window lie from those of the reference.

Each function takes flat counts of several subjects (`Segments`) and gives one number for each.
A subject without counts on either side is at distance zero: nothing is known.
"""

import numpy as np
from numpy.typing import NDArray

from sidecar.stats.cells import Counts
from sidecar.stats.segments import Numbers, Segments


def population_stability_index(
    reference: Counts, current: Counts, segments: Segments
) -> Numbers:
    """Measure drift as the sum of (p - q) ln(p / q) over groups, in nats.

    An empty group must cost a lot, not infinity, and a small window must not cost because it
    is small: the reference gets half a count in each group, the window is shrunk towards the
    reference by half an event for each group. Groups that are empty on both sides take no part.
    With nothing drifting the mean is then close to (groups - 1)(1/n + 1/m) for n and m counts
    (Yurdakul & Naranjo 2020, J. Risk Model Validation 14(4)); equal shares on both sides give
    a small part of that, not exactly zero.

    Args:
        reference: Flat counts of the reference.
        current: Flat counts of the window.
        segments: Where the groups of each subject stand.

    Returns:
        One index per subject, 0 or more.

    Example:
        >>> one = Segments([2])
        >>> index = population_stability_index(np.array([500, 500]), np.array([600, 400]), one)
        >>> index.round(3).tolist()
        [0.04]
    """
    used = (reference + current) > 0
    half = 0.5 * segments.spread(np.maximum(segments.sum(used), 1))
    p = (reference + 0.5) / (segments.spread(segments.sum(reference)) + half)
    q = (current + half * p) / (segments.spread(segments.sum(current)) + half)
    index: Numbers = segments.sum(np.where(used, (p - q) * np.log(p / q), 0.0))
    return index


def jensen_shannon_distance(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """Measure drift as the square root of the Jensen-Shannon divergence in bits.

    Shares are taken as they are. For small drift it is the square root of the population
    stability index over 8 ln 2 (Lin 1991; Endres & Schindelin 2003 for the metric).

    Args:
        reference: Flat counts of the reference.
        current: Flat counts of the window.
        segments: Where the groups of each subject stand.

    Returns:
        One distance per subject, 0 to 1.

    Example:
        >>> one = Segments([2])
        >>> jensen_shannon_distance(np.array([5, 0]), np.array([0, 7]), one).tolist()
        [1.0]
    """
    p, q = segments.shares(reference), segments.shares(current)
    middle = (p + q) / 2
    divergence = segments.sum(_information(p, middle) + _information(q, middle)) / 2
    known = (segments.sum(reference) > 0) & (segments.sum(current) > 0)
    return np.where(known, np.sqrt(divergence.clip(0.0, 1.0)), 0.0)


def kolmogorov_smirnov_distance(
    reference: Counts, current: Counts, segments: Segments
) -> Numbers:
    """Measure drift as the largest gap between the two distribution functions.

    Over cells the gap is too small by at most the largest share of one cell, so that the test
    on it is conservative.

    Args:
        reference: Flat counts of the reference, cells in order of size; zero for a cell that
            has no place in that order.
        current: Flat counts of the window over the same cells.
        segments: Where the cells of each subject stand.

    Returns:
        One distance per subject, 0 to 1.

    Example:
        >>> one = Segments([3])
        >>> kolmogorov_smirnov_distance(np.array([2, 1, 1]), np.array([1, 1, 2]), one).tolist()
        [0.25]
    """
    step = segments.shares(current) - segments.shares(reference)
    gap = np.cumsum(step)
    # Each subject's steps add up to zero but for rounding, which must not run into the next.
    before = gap[segments.starts] - step[segments.starts]
    largest = segments.max(np.abs(gap - segments.spread(before)))
    known = (segments.sum(reference) > 0) & (segments.sum(current) > 0)
    return np.where(known, largest.clip(0.0, 1.0), 0.0)


def _information(share: Numbers, middle: Numbers) -> NDArray[np.float64]:
    ratio = np.divide(share, middle, out=np.ones_like(share), where=share > 0)
    return share * np.log2(ratio)
