"""Bands around the share of a reference: what a window's share leaves only when it changed."""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
_standard = NormalDist()


class Bands(NamedTuple):
    """The shares that a window may show, ends included, one pair per share."""

    lower: Shares
    upper: Shares


def proportion_bands(
    expected: Shares,
    records: Shares,
    reference_records: Shares,
    *,
    tolerance: float,
    rate: float,
    overdispersion: Shares | float = 1.0,
) -> Bands:
    """Give the band that each share leaves with a chance of at most `rate`.

    The share may be off by `tolerance` in truth: the upper end is a quantile of the difference
    to the reference at `expected + tolerance`, the lower one at `expected - tolerance`. So a
    share of 0 in the reference does not make the first such record an alarm, and a large
    window does not make one of what is too small to matter. The quantile is that of a normal
    distribution with the skewness of a binomial one (the first term of Cornish and Fisher,
    1938), without which bands of rare things are several times too narrow:

        e - z sqrt(e (1 - e) k) + (z² - 1)/6 (1 - 2 e) φ (1/n - 1/m),  k = φ (1/n + 1/m)

    is the lower end, 0 where a window without any such record is no surprise; the upper one is
    the lower end of the records that are not so.

    Args:
        expected: Share in the reference, 0 to 1.
        records: n, how many records the share of the window is of; at least 1.
        reference_records: m, likewise of the reference; infinite where it is known.
        tolerance: What the share may be off by.
        rate: Chance that a share leaves its band, for both ends together.
        overdispersion: φ, how much larger the variance is than that of independent records.

    Returns:
        The ends, within 0 and 1. A lower end of 0 and an upper one of 1 are never left.

    Example:
        >>> one = np.array([1.0])
        >>> of = proportion_bands(0.1 * one, 1e4 * one, 5e4 * one, tolerance=0.001, rate=0.01)
        >>> of.lower.round(4).item(), of.upper.round(4).item()
        (0.0906, 0.1096)
    """
    z = _standard.inv_cdf(1 - rate / 2)
    current, reference = overdispersion / records, overdispersion / reference_records

    def lower(share: Shares) -> Shares:
        at = np.clip(share - tolerance, 0.0, 1.0)
        spread = np.sqrt(at * (1 - at) * (current + reference))
        skew = (z * z - 1) / 6 * (1 - 2 * at) * (current - reference)
        # Where e n is small the series above does not hold; there the end is 0 anyway.
        none_at_all = (1 - at) ** (1 / current)
        end = np.where(none_at_all < rate / 2, at - z * spread + skew, 0.0)
        return np.clip(end, 0.0, share)

    return Bands(lower(expected), 1 - lower(1 - expected))
