"""Where events come from: how many of them fall into each cell, window by window."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sidecar.stats.cells import CountingTable, Counts, NumericCells, numeric_cells

Chances = NDArray[np.float64]
World = Callable[[np.random.Generator, int, int], Counts]
"""Gives the counts of windows one after another: (chance, windows, records of each)."""

SIMILAR = 20
"""Events of one user."""
WAVE = 0.2
"""Height of the daily wave, in standard deviations."""
_GRID = 100_000
_STEPS = 144
"""In which the wave of a day is cut at least."""
_ASIDE = (0.15, 0.7, 0.15)
"""Chance of an event to lie in the cell below its user's, in it, in the one above."""


class Normal:
    """One feature with a standard normal distribution, in the cells that the product cuts."""

    def __init__(self) -> None:
        """Cut the cells."""
        self._values = ndtri((np.arange(_GRID) + 0.5) / _GRID)
        self.layout: NumericCells = numeric_cells(self._values)
        self._table = CountingTable([self.layout])
        self.chances = self.shifted(0.0)
        """Of each cell while nothing drifts."""

    def shifted(self, shift: float) -> Chances:
        """Give the chance of each cell when the mean moves.

        Args:
            shift: In standard deviations.
        """
        chances: Chances = self._table.count(self._values[:, None] + shift) / _GRID
        return chances


def independent(normal: Normal) -> World:
    """Every event for itself."""

    def draw(rng: np.random.Generator, windows: int, records: int) -> Counts:
        return rng.multinomial(records, normal.chances, size=windows)

    return draw


def clustered(normal: Normal) -> World:
    """Twenty events of each user in one window, in the user's cell or in those beside it."""
    places = len(normal.layout.edges) + 1
    # From each place and step aside to a cell; before the places stands what is below them.
    target = (np.arange(places)[:, None] + (-1, 0, 1)).clip(0, places - 1).ravel() + 1
    into = np.eye(normal.layout.size, dtype=np.int64)[target]

    def draw(rng: np.random.Generator, windows: int, records: int) -> Counts:
        users = rng.multinomial(records // SIMILAR, normal.chances, size=windows)
        events = rng.multinomial(SIMILAR * users[:, 1 : places + 1], _ASIDE)
        counts: Counts = events.reshape(windows, -1) @ into
        return counts

    return draw


def seasonal(normal: Normal, a_day: int) -> World:
    """Every event for itself, around a mean that goes up and down once a day.

    Args:
        normal: The feature.
        a_day: Windows of a day; the wave begins with the first one.
    """
    steps = max(1, _STEPS // a_day)
    times = (np.arange(a_day * steps) + 0.5) / (a_day * steps)
    waves = [normal.shifted(WAVE * np.sin(2 * np.pi * time)) for time in times]
    by_window = np.reshape(waves, (a_day, steps, -1)).mean(axis=1)

    def draw(rng: np.random.Generator, windows: int, records: int) -> Counts:
        return rng.multinomial(records, by_window[np.arange(windows) % a_day])

    return draw
