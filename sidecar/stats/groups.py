"""Merging cells, so that a test has enough counts in each of its groups."""

import numpy as np
from numpy.typing import NDArray

from sidecar.stats.cells import Counts
from sidecar.stats.segments import Segments

FEWEST_EXPECTED = 5
"""Below it the chi-square distribution is a bad guide (Cochran's rule)."""


def quantile_groups(counts: NDArray[np.int64], most: int = 10) -> NDArray[np.int64]:
    """Merge neighbouring cells into groups of about equal counts.

    Args:
        counts: What the reference has in each cell, in order.
        most: Largest number of groups; fewer where one cell holds several groups' share.

    Returns:
        The group of each cell: 0, 1, 2, ...

    Example:
        >>> quantile_groups(np.array([10, 10, 10, 70]), most=5).tolist()
        [0, 0, 1, 2]
    """
    total = max(int(counts.sum()), 1)
    middle = np.cumsum(counts) - counts / 2
    wanted = np.minimum(most * middle // total, most - 1)
    groups: NDArray[np.int64] = np.unique(wanted, return_inverse=True)[1]
    return groups


def merge_rare(reference: Counts, current: Counts, segments: Segments) -> tuple[Counts, Counts]:
    """Merge the groups of each vector that expect fewer than five counts on either side.

    What a group expects goes by both sides together. By the reference alone, groups that chance
    made large there would be kept and then look small in the window: with 200 categories of
    uneven size that turns a rate of 1 % false alarms into 50 %.

    The sum stands where the first rare group was; the other rare ones are left at zero.

    Args:
        reference: Flat counts of the reference.
        current: Flat counts of the window.
        segments: Where each vector stands.

    Returns:
        Both flat vectors, merged.

    Example:
        >>> reference, current = np.array([90, 4, 3, 0]), np.array([80, 5, 0, 1])
        >>> [merged.tolist() for merged in merge_rare(reference, current, Segments([4]))]
        [[90, 7, 0, 0], [80, 6, 0, 0]]
    """
    rare = _rare(reference, current, segments)
    first, found = _first(rare, segments)
    merged = []
    for counts in (reference, current):
        kept = np.where(rare, 0, counts)
        kept[first[found]] = segments.sum(np.where(rare, counts, 0))[found]
        merged.append(kept)
    return merged[0], merged[1]


def fold_rare(reference: Counts, current: Counts, segments: Segments) -> tuple[Counts, Counts]:
    """Add what is still rare after merging to the smallest other group.

    For Pearson's statistic, which bears no rare group: one event where the reference has none
    adds m/n to it, for m and n counts. Distances of shares do not need it, and see a surge of
    something rare better without it.

    Args:
        reference: Flat counts of the reference, as `merge_rare` gives them.
        current: Those of the window.
        segments: Where each vector stands.

    Returns:
        Both flat vectors; unchanged where a vector has no other group.

    Example:
        >>> reference, current = np.array([500, 0, 400]), np.array([50, 1, 40])
        >>> [folded.tolist() for folded in fold_rare(reference, current, Segments([3]))]
        [[500, 0, 400], [50, 0, 41]]
    """
    both = reference + current
    rare = _rare(reference, current, segments) & (both > 0)
    others = np.where((both > 0) & ~rare, both, np.iinfo(np.int64).max)
    smallest = (others == segments.spread(-segments.max(-others))) & (both > 0) & ~rare
    first, found = _first(smallest, segments)
    moved = rare & segments.spread(found)
    folded = []
    for counts in (reference, current):
        kept = np.where(moved, 0, counts)
        kept[first[found]] += segments.sum(np.where(moved, counts, 0))[found]
        folded.append(kept)
    return folded[0], folded[1]


def _rare(reference: Counts, current: Counts, segments: Segments) -> NDArray[np.bool_]:
    """Mark the groups that expect fewer than five counts on the smaller side."""
    n, m = segments.sum(current), segments.sum(reference)
    smaller = np.minimum(n, m) / np.maximum(n + m, 1)
    rare: NDArray[np.bool_] = (reference + current) * segments.spread(smaller) < FEWEST_EXPECTED
    return rare


def _first(
    marked: NDArray[np.bool_], segments: Segments
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give the first marked entry of each vector, and whether there is one."""
    positions = np.where(marked, np.arange(segments.size), segments.size)
    first: NDArray[np.int64] = np.minimum.reduceat(positions, segments.starts)
    return first, first < segments.size
