"""Several vectors behind one another in one flat vector, so that one pass treats them all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Segments:
    """Where each vector stands in the flat one.

    Example:
        >>> Segments([2, 3]).sum(np.array([1, 2, 3, 4, 5])).tolist()
        [3, 12]
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        """Lay vectors of these sizes behind one another.

        Args:
            sizes: Length of each vector, at least 1.

        Raises:
            ValueError: A size is below 1; sums over empty vectors would be wrong.
        """
        if min(sizes, default=1) < 1:
            raise ValueError("A segment needs at least one entry")
        self.sizes = np.array(sizes, np.int64)
        self.starts = np.concatenate(([0], np.cumsum(self.sizes)[:-1])) if sizes else self.sizes
        self.size = int(self.sizes.sum())
        """Length of the flat vector."""
        self.slices = tuple(
            slice(int(start), int(start + size))
            for start, size in zip(self.starts, self.sizes, strict=True)
        )
        """Where each vector stands."""

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """Add up each vector.

        Args:
            values: The flat vector.
        """
        return np.add.reduceat(values, self.starts)

    def max(self, values: NDArray[Any]) -> NDArray[Any]:
        """Give the largest entry of each vector.

        Args:
            values: The flat vector.
        """
        return np.maximum.reduceat(values, self.starts)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Repeat one number for each vector over its entries.

        Args:
            values: One number for each vector.

        Returns:
            A flat vector.
        """
        return np.repeat(values, self.sizes)

    def shares(self, counts: NDArray[Any]) -> Numbers:
        """Divide each vector by its sum; a vector of zeros stays so.

        Args:
            counts: The flat vector.
        """
        totals = self.sum(counts)
        shares: Numbers = counts / self.spread(np.where(totals == 0, 1, totals))
        return shares
