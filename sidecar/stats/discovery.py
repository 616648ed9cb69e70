"""Deciding over many tests at once."""

import numpy as np
from numpy.typing import NDArray

from sidecar.stats.segments import Numbers


def benjamini_hochberg(p: Numbers, rate: float) -> NDArray[np.bool_]:
    """Mark the tests that are rejected with an expected share of false ones of at most `rate`.

    The step-up procedure (Benjamini & Hochberg 1995): of m tests the k with the smallest
    p-values are rejected, for the largest k whose k-th p-value is at most k/m times the rate.

    Args:
        p: One p-value for each test; NaN is no test: it is not rejected and does not count.
        rate: Share of false rejections among all rejections, 0 to 1.

    Returns:
        A mask of the same length.

    Example:
        >>> benjamini_hochberg(np.array([0.02, 0.6, 0.03, np.nan]), 0.05).tolist()
        [True, False, True, False]
    """
    ranked = np.sort(p)  # NaN last
    tests = int(np.count_nonzero(~np.isnan(p)))
    passed = np.flatnonzero(ranked[:tests] <= rate * np.arange(1, tests + 1) / max(tests, 1))
    if not passed.size:
        return np.zeros(len(p), np.bool_)
    mask: NDArray[np.bool_] = p <= ranked[passed[-1]]
    return mask
