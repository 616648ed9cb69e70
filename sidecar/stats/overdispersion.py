"""How much further windows lie from their reference than independent events would.

Events that depend on each other (twenty of one user, the hours of a day) make windows differ
more than their counts let expect. The factor is measured on windows in which nothing drifts.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sidecar.stats.cells import Counts
from sidecar.stats.critical import psi_critical, psi_mean
from sidecar.stats.distances import population_stability_index
from sidecar.stats.groups import merge_rare
from sidecar.stats.segments import Numbers, Segments

_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Overdispersion:
    """What clean windows showed, one value per subject."""

    factors: Numbers
    """How many times what independent events give the index is; 1 or more."""
    windows: int


def overdispersion(
    blocks: Iterable[tuple[Counts, Counts]], segments: Segments
) -> Overdispersion:
    """Measure the overdispersion of clean windows.

    For independent events the index is (1/n + 1/m) times a chi-square variable (Yurdakul &
    Naranjo 2020). The factor is the larger of two, and never below 1:

    * the mean of what the windows show over the mean of that variable, as for overdispersed
      counts (McCullagh & Nelder 1989, section 4.5);
    * what one clean window in a hundred exceeds over what that variable exceeds as often:
      events in few clusters have a heavier tail than their mean tells. A further window
      exceeds it at that rate whatever the distribution (Wilks 1941; the plotting position of
      Weibull). Of fewer than 99 windows it is the largest.

    Args:
        blocks: Counts of references and of windows, of shape [windows, groups] both. A window
            is no part of its reference: the two must be independent.
        segments: Where the groups of each subject stand in a row.

    Example:
        >>> rest, windows = np.array([[480, 520], [500, 500]]), np.array([[60, 40], [42, 58]])
        >>> overdispersion([(rest, windows)], Segments([2])).factors.round(1).tolist()
        [3.7]
    """
    found = [_over_chance(reference, current, segments) for reference, current in blocks]
    if not found:
        return Overdispersion(np.ones(len(segments.sizes)), 0)
    over_mean, over_high = (np.concatenate(parts) for parts in zip(*found, strict=True))
    counted = np.isfinite(over_mean)
    totals = np.where(counted, over_mean, 0.0).sum(axis=0)
    means = totals / np.maximum(counted.sum(axis=0), 1)
    high = np.quantile(over_high, 1 - _RATE, axis=0, method="weibull")
    return Overdispersion(np.maximum(np.maximum(means, high), 1.0), len(over_mean))


def _over_chance(
    reference: Counts, current: Counts, segments: Segments
) -> tuple[Numbers, Numbers]:
    """Give the index of each window and subject over its mean, and over its 99 % point."""
    many = Segments(segments.sizes.tolist() * len(current))
    counts = *merge_rare(reference.ravel(), current.ravel(), many), many
    index = population_stability_index(*counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        # One group in use cannot differ: such a window says nothing, its index is zero.
        over_mean = index / psi_mean(*counts)
    shape = len(current), len(segments.sizes)
    over_high: Numbers = index / psi_critical(*counts, _RATE)
    return over_mean.reshape(shape), over_high.reshape(shape)
