"""How far the counts of a window lie from those of the reference.

Each function takes flat counts of several subjects (`Segments`) and gives one number for each.
A subject without counts on one of the sides is at distance zero: nothing is known.
"""

import numpy as np
from numpy.typing import NDArray

from sidecar.stats.cells import Counts, NumericCells
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
    index = segments.sum(np.where(used, (p - q) * np.log(p / q), 0.0))
    return np.where(_known(reference, current, segments), index, 0.0)


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
    distance = np.sqrt(divergence.clip(0.0, 1.0))
    return np.where(_known(reference, current, segments), distance, 0.0)


def hellinger_distance(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """Measure drift as the Hellinger distance, sqrt(1 - sum of sqrt(p q)).

    Shares are taken as they are. For small drift it is the square root of an eighth of the
    population stability index (Hellinger 1909; Le Cam 1986 for its use).

    Args:
        reference: Flat counts of the reference.
        current: Flat counts of the window.
        segments: Where the groups of each subject stand.

    Returns:
        One distance per subject, 0 to 1.

    Example:
        >>> one = Segments([2])
        >>> hellinger_distance(np.array([5, 0]), np.array([0, 7]), one).tolist()
        [1.0]
    """
    roots = np.sqrt(segments.shares(reference)) - np.sqrt(segments.shares(current))
    # The same as above, and zero for equal shares whatever their roots round to.
    distance = np.sqrt((segments.sum(roots**2) / 2).clip(0.0, 1.0))
    return np.where(_known(reference, current, segments), distance, 0.0)


def l_infinity(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """Measure drift as the largest difference between the shares of one group.

    Args:
        reference: Flat counts of the reference.
        current: Flat counts of the window.
        segments: Where the groups of each subject stand.

    Returns:
        One distance per subject, 0 to 1.

    Example:
        >>> l_infinity(np.array([2, 1, 1]), np.array([1, 1, 2]), Segments([3])).tolist()
        [0.25]
    """
    largest = segments.max(np.abs(segments.shares(current) - segments.shares(reference)))
    return np.where(_known(reference, current, segments), largest, 0.0)


def chi_square(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """Give Pearson's statistic of the test that both sides have one distribution.

    Of the table of two rows, without correction: both sides are samples (Pearson 1911). With
    nothing drifting it is a chi-square variable with one degree of freedom less than groups in
    use, and (1/n + 1/m) times it is close to the population stability index. It grows with the
    counts: a test statistic, not a distance.

    Args:
        reference: Flat counts of the reference.
        current: Flat counts of the window.
        segments: Where the groups of each subject stand.

    Returns:
        One number per subject, 0 or more.

    Example:
        >>> chi_square(np.array([10, 10]), np.array([30, 10]), Segments([2])).round(2).tolist()
        [3.75]
    """
    m, n = segments.sum(reference), segments.sum(current)
    ratio = segments.spread(np.sqrt(n / np.maximum(m, 1)))
    both = np.maximum(reference + current, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = segments.sum((reference * ratio - current / ratio) ** 2 / both)
    return np.where(_known(reference, current, segments), statistic, 0.0)


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
    largest = segments.max(_gaps(reference, current, segments))
    return np.where(_known(reference, current, segments), largest.clip(0.0, 1.0), 0.0)


def wasserstein_distance(
    reference: Counts,
    current: Counts,
    segments: Segments,
    positions: Numbers,
    deviations: Numbers,
) -> Numbers:
    """Measure drift as the mean way that values have to move, in standard deviations.

    The area between the two distribution functions (Vallender 1974), with every value of a
    cell at the cell's position: the sum of the gap behind each cell times the way to the next.

    Args:
        reference: Flat counts of the reference, cells in order of size; zero for a cell that
            has no place in that order.
        current: Flat counts of the window over the same cells.
        segments: Where the cells of each subject stand.
        positions: Where the values of each cell are taken to be, ascending in each subject;
            see `cell_positions`.
        deviations: Standard deviation of the reference, by subject.

    Returns:
        One distance per subject, 0 or more; 0 where the reference does not vary, for then
        there is no unit.

    Example:
        >>> counts = np.array([2, 1, 1]), np.array([1, 1, 2])
        >>> at, sd = np.array([0.0, 1.0, 4.0]), np.array([2.0])
        >>> wasserstein_distance(*counts, Segments([3]), at, sd).tolist()
        [0.5]
    """
    ways = np.diff(positions, append=positions[-1:])
    ways[segments.starts + segments.sizes - 1] = 0.0  # not on to the next subject
    area = segments.sum(_gaps(reference, current, segments) * ways)
    known = _known(reference, current, segments) & (deviations > 0)
    distance: Numbers = np.divide(area, deviations, out=np.zeros_like(area), where=known)
    return distance


def cell_positions(cells: NumericCells, low: float, high: float) -> Numbers:
    """Give where the values of each cell are taken to be: in its middle, within limits.

    Nothing is further out than the limits, so that what lies far away counts as out there and
    not by how far: one event moves the distance by at most (high - low) / n.

    Args:
        cells: The layout.
        low: Lower limit: the point that 0.1 % of the reference lie below.
        high: Upper limit: the point that 99.9 % of the reference lie below.

    Returns:
        One position for each count of the layout, ascending; the last one, of what is missing,
        has no meaning and repeats the one before.

    Example:
        >>> cell_positions(NumericCells(2.0, (1.0, 4.0), -9.0, 99.0), -1.0, 7.0).tolist()
        [-1.0, 0.0, 2.5, 5.5, 7.0, 7.0]
    """
    bounds = np.clip((low, *cells.edges, high), low, high)
    middles = bounds[:-1] + np.diff(bounds) / 2
    return np.concatenate(([low], middles, [high, high]))


def _known(reference: Counts, current: Counts, segments: Segments) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = (segments.sum(reference) > 0) & (segments.sum(current) > 0)
    return known


def _gaps(reference: Counts, current: Counts, segments: Segments) -> Numbers:
    """Give the gap between the distribution functions behind each cell."""
    step = segments.shares(current) - segments.shares(reference)
    gap = np.cumsum(step)
    # Each subject's steps add up to zero but for rounding, which must not run into the next.
    before = gap[segments.starts] - step[segments.starts]
    gaps: Numbers = np.abs(gap - segments.spread(before))
    return gaps


def _information(share: Numbers, middle: Numbers) -> NDArray[np.float64]:
    ratio = np.divide(share, middle, out=np.ones_like(share), where=share > 0)
    return share * np.log2(ratio)
