"""Cells that values are counted in, and the kernel that counts.

A layout cuts the range of one column into cells; counts over the same layout add up, so panes,
partitions and replicas merge by addition. Layouts come from the reference alone.

Numbers are told apart by the upper 16 bits of their float32 distance from the layout's centre
(sign, exponent, seven bits of fraction), which index a table of 65,536 cells: 3 ns per value,
where a binary search takes 25. What it costs: an edge moves down by at most 1/128 of its
distance from the centre. A value equal to an edge still lies above it, a value equal to
`minimum` or `maximum` within them, and whole numbers within 255 of a whole centre are exact.
Reference and window are counted by the same table, so the moved edge is the same for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Matrix = NDArray[np.float64] | NDArray[np.float32]
CellMatrix = NDArray[np.unsignedinteger[Any]]

MOST_CELLS = 64
"""Enough that the Kolmogorov-Smirnov distance over cells is low by less than 0.001."""

_PATTERNS = 1 << 16
_INFINITY = 0x7F80
_BLOCK_ROWS = 4_096
"""Larger blocks spill the cache."""
_EXACT = 255
"""Largest whole number that shares its upper 16 bits with no other whole number."""


@dataclass(frozen=True, slots=True)
class NumericCells:
    """Cells of size: `[edge, next edge)`, with values beyond the reference kept apart.

    In order: below `minimum`, the `len(edges) + 1` cells, above `maximum`, missing.
    """

    centre: float
    """Where the cells are told apart most finely; the median of the reference."""
    edges: tuple[float, ...]
    """Inner edges, ascending."""
    minimum: float
    maximum: float

    @property
    def size(self) -> int:
        """Number of counts."""
        return len(self.edges) + 4


@dataclass(frozen=True, slots=True)
class CategoryCells:
    """One cell for each category, then unseen, then missing."""

    categories_count: int
    values: tuple[float, ...] | None = None
    """The number that stands for each category in a matrix; 0, 1, 2, ... when absent."""

    @property
    def size(self) -> int:
        """Number of counts."""
        return self.categories_count + 2

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The number that stands for each category."""
        if self.values is None:
            return np.arange(self.categories_count, dtype=np.float64)
        return np.asarray(self.values, np.float64)


Layout = NumericCells | CategoryCells


def numeric_cells(values: NDArray[np.float64], most: int = MOST_CELLS) -> NumericCells:
    """Cut the range of the reference into cells of about equal counts.

    Edges are values of the reference (quantiles by the inverse of its distribution function).
    Those that the kernel cannot tell apart are dropped, so whole numbers and columns that are
    mostly zero get fewer cells.

    Args:
        values: The reference; NaN and infinities take no part.
        most: Largest number of cells between the minimum and the maximum.

    Example:
        >>> numeric_cells(np.array([3.0, 1.0, 2.0, 2.0])).edges
        (2.0, 3.0)
    """
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return NumericCells(0.0, (), 0.0, 0.0)
    shares = (0.0, 0.5, 1.0, *(k / most for k in range(1, most)))
    quantiles = np.quantile(finite, shares, method="inverted_cdf")
    low, centre, high = quantiles[:3].tolist()
    ranks, first = np.unique(_ranks(quantiles[3:], centre), return_index=True)
    edges = quantiles[3:][first[ranks > _ranks(low, centre)]]
    return NumericCells(centre, tuple(edges.tolist()), low, high)


def uniform_cells(count: int = 100) -> NumericCells:
    """Cut [0, 1] into equal cells, for probabilities.

    Example:
        >>> uniform_cells(4).edges
        (0.25, 0.5, 0.75)
    """
    return NumericCells(0.5, tuple(k / count for k in range(1, count)), 0.0, 1.0)


class CountingTable:
    """Counts the columns of a matrix, each over its own layout, into one flat vector."""

    def __init__(self, layouts: Sequence[Layout]) -> None:
        """Lay the cells of all columns behind one another.

        Args:
            layouts: One for each column of the matrices to come.
        """
        ends = np.cumsum([layout.size for layout in layouts], dtype=np.int64).tolist()
        starts = [0, *ends][: len(ends)]
        self.size: int = ends[-1] if ends else 0
        """Number of cells of all columns."""
        self.slices = tuple(slice(start, end) for start, end in zip(starts, ends, strict=True))
        """Where the cells of each column stand in the flat vector."""
        self._dtype: type[np.unsignedinteger[Any]] = (
            np.uint16 if self.size < _PATTERNS else np.uint32
        )
        self._centres = np.array([_centre(layout) for layout in layouts], np.float64)
        self._rows = (np.arange(len(layouts)) * _PATTERNS).astype(np.uint32)
        self._table: CellMatrix = np.zeros(len(layouts) * _PATTERNS, self._dtype)
        for column, (layout, start) in enumerate(zip(layouts, starts, strict=True)):
            self._table[column * _PATTERNS :][:_PATTERNS] = _table(layout) + start
        self._searched = [
            (layout, starts[column], column)
            for column, layout in enumerate(layouts)
            if isinstance(layout, CategoryCells) and not _fits_table(layout)
        ]

    def cells(self, matrix: Matrix, first: int = 0) -> CellMatrix:
        """Give the flat cell of each value.

        Args:
            matrix: One row per event, one column per layout; NaN is missing.
            first: Layout of the first column, for a matrix that has only some.

        Returns:
            A matrix of the same shape.
        """
        if len(matrix) <= _BLOCK_ROWS:
            return self._cells(matrix, first)
        cells = np.empty(matrix.shape, self._dtype)
        for start in range(0, len(matrix), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            cells[block] = self._cells(matrix[block], first)
        return cells

    def count(self, matrix: Matrix) -> Counts:
        """Count all values of a matrix.

        Args:
            matrix: One row per event, one column per layout; NaN is missing.

        Returns:
            `size` counts; those of column k stand at `slices[k]`.
        """
        counts = np.zeros(self.size, np.int64)
        for start in range(0, len(matrix), _BLOCK_ROWS):
            block = self._cells(matrix[start : start + _BLOCK_ROWS], 0)
            counts += count_cells(block, self.size)
        return counts

    def _cells(self, block: Matrix, first: int) -> CellMatrix:
        columns = slice(first, first + block.shape[1])
        # Beyond float32 a distance is infinite, which is the right end of the range.
        with np.errstate(over="ignore", invalid="ignore"):
            distance = (block - self._centres[columns]).astype(np.float32, order="C")
        patterns = _patterns(distance)
        patterns += self._rows[columns]
        cells = self._table.take(patterns)
        for layout, start, column in self._searched:
            if columns.start <= column < columns.stop:
                cells[:, column - first] = _search(layout, block[:, column - first]) + start
        return cells


def count_cells(cells: NDArray[Any], size: int) -> Counts:
    """Count how often each flat cell occurs.

    Args:
        cells: Flat cells, in any shape.
        size: Number of cells that there are.

    Returns:
        `size` counts.
    """
    return np.bincount(cells.ravel(), minlength=size)


def _ranks(values: NDArray[np.float64] | float, centre: float) -> NDArray[np.int32]:
    """Give the order of values as far as the table can tell them apart."""
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.asarray(np.subtract(values, centre), np.float32)
    return _pattern_ranks(_patterns(distance))


def _patterns(distance: NDArray[np.float32]) -> NDArray[np.uint32]:
    patterns: NDArray[np.uint32] = distance.view(np.uint32) >> np.uint32(16)
    return patterns


def _pattern_ranks(patterns: NDArray[np.uint32]) -> NDArray[np.int32]:
    size = (patterns & 0x7FFF).astype(np.int32)
    return np.where(patterns & 0x8000, -size, size)


def _centre(layout: Layout) -> float:
    return layout.centre if isinstance(layout, NumericCells) else 0.0


def _table(layout: Layout) -> NDArray[np.int64]:
    """Give the cell of each pattern of upper 16 bits."""
    patterns = np.arange(_PATTERNS, dtype=np.uint32)
    if isinstance(layout, CategoryCells):
        return _category_table(layout, patterns)
    ranks = _pattern_ranks(patterns)
    inner = len(layout.edges) + 1
    edges = _ranks(np.asarray(layout.edges, np.float64), layout.centre)
    cells = np.searchsorted(edges, ranks, side="right") + 1
    cells[ranks < _ranks(layout.minimum, layout.centre)] = 0
    cells[ranks > _ranks(layout.maximum, layout.centre)] = inner + 1
    cells[np.abs(ranks) > _INFINITY] = inner + 2
    return cells


def _category_table(layout: CategoryCells, patterns: NDArray[np.uint32]) -> NDArray[np.int64]:
    cells = np.full(_PATTERNS, layout.categories_count, np.int64)
    cells[(patterns & 0x7FFF) > _INFINITY] = layout.categories_count + 1
    if _fits_table(layout):
        cells[_patterns(layout.numbers.astype(np.float32))] = np.arange(len(layout.numbers))
        cells[0x8000] = cells[0]  # minus zero is zero
    return cells


def _fits_table(layout: CategoryCells) -> bool:
    numbers = layout.numbers
    return bool(np.all((np.abs(numbers) <= _EXACT) & (numbers == np.floor(numbers))))


def _search(layout: CategoryCells, column: NDArray[Any]) -> NDArray[np.int64]:
    """Give the cell of each category by search; exact for any set of numbers."""
    numbers = layout.numbers
    order = np.argsort(numbers, kind="stable")
    place = np.searchsorted(numbers[order], column).clip(max=len(numbers) - 1)
    cells = np.where(numbers[order][place] == column, order[place], layout.categories_count)
    cells[np.isnan(column)] = layout.categories_count + 1
    return cells
