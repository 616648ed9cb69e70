"""Counts of durations in cells that grow with them, and quantiles from the counts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sidecar.stats.cells import Counts

_PER_DOUBLING = 4
_DOUBLINGS = 49
"""From a millisecond to 17,800 years, the longest that two times on the wire are apart."""


class AgeCells:
    """Cells of milliseconds, each 19 % longer than the one before; each holds its upper end.

    A limit is an end of its own, so what lies beyond it is counted exactly. The first cell
    holds a millisecond and less, negative ages too; the last one has no end.
    """

    def __init__(self, limits_ms: Sequence[int] = ()) -> None:
        """Lay out the cells.

        Args:
            limits_ms: Ages beyond which shares are asked for, each above 0.
        """
        steps = 2.0 ** (np.arange(_PER_DOUBLING * _DOUBLINGS + 1) / _PER_DOUBLING)
        self._ends = np.union1d(steps, np.asarray(limits_ms, np.float64))
        self.size = len(self._ends) + 1
        """Number of counts."""

    def cells(self, ages_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the cell of each age."""
        return np.searchsorted(self._ends, ages_ms, side="left")

    def beyond(self, counts: Counts, limit_ms: int) -> int:
        """Give how many are older than a limit that the cells were made with."""
        first = int(np.searchsorted(self._ends, limit_ms, side="right"))
        return int(counts[first:].sum())

    def quantile(self, counts: Counts, share: float) -> float:
        """Give the age in milliseconds that this share of the counts does not exceed.

        Args:
            counts: By cell, at least one.
            share: Above 0, at most 1.

        Returns:
            The end of its cell: up to 19 % too much, never too little. The last cell has no
            end, and gives its beginning.

        Example:
            >>> cells = AgeCells([1_000])
            >>> ages = np.array([0, 900, 1_000, 5_000])
            >>> counts = np.bincount(cells.cells(ages), minlength=cells.size)
            >>> cells.quantile(counts, 0.75), cells.beyond(counts, 1_000)
            (1000.0, 1)
        """
        rank = np.ceil(share * counts.sum())
        cell = int(np.searchsorted(np.cumsum(counts), rank))
        return float(self._ends[min(cell, len(self._ends) - 1)])
