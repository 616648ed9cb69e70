"""What windows of the reference show while nothing drifts: their overdispersion, by length.

The formula for independent events is right for independent events only. With twenty similar
events of each user, or a daily wave, nearly every clean window passes its critical value; the
factor that is measured here, on windows of the same length in time order, brings it back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sidecar.bundle.manifest import (
    ReferenceProfile,
    SubjectDispersions,
    WindowCalibration,
)
from sidecar.bundle.profile import Entry, entries, group_of_cell
from sidecar.bundle.seasonal import SlotCounts
from sidecar.events import Int64Column
from sidecar.stats.cells import CellMatrix, Counts
from sidecar.stats.overdispersion import Overdispersion, overdispersion
from sidecar.stats.seasons import hour_of_week, slot_weights
from sidecar.stats.segments import Numbers, Segments

FEWEST_WINDOWS = 10
"""With 10 windows of ten groups the factor is uncertain by 15 % (one standard deviation)."""
FEWEST_RECORDS = 200
"""Rows below which a window gives no verdict, and says little about others."""

# A window is there as a whole when only its first or last tenth has no rows; and a row that is
# told to the hour stands for all of it.
_SLACK = 10
# Counts that are held at once: 16 MB.
_BLOCK_COUNTS = 2_000_000


@dataclass(frozen=True, slots=True)
class TimedCells:
    """The reference rows that have a time, in its order."""

    times_ms: Int64Column
    cells: CellMatrix
    """One row each: the flat cell in every profile, as `bundle.profile.reference_cells`."""

    @property
    def resolution_ms(self) -> int:
        """The step in which times are told: an hour when all lie on the hour."""
        return int(np.gcd.reduce(self.times_ms - self.times_ms[:1], initial=0))


def calibrate_windows(
    reference: ReferenceProfile,
    timed: TimedCells,
    lengths_ms: Sequence[int],
    slots: SlotCounts | None,
) -> tuple[WindowCalibration, ...]:
    """Compare windows of the reference with the rest of it.

    Windows begin at multiples of their length since 1970, do not overlap, and are left out when
    they have fewer than 200 rows, when the rest has, or when the rows begin or end within them.

    Args:
        reference: All rows.
        timed: Those that have a time.
        lengths_ms: Of the windows.
        slots: All rows by hour of the week; None without a seasonal reference.

    Returns:
        One entry for each length, and as many again against the seasonal reference. A length
        with fewer than ten windows, or shorter than the step in which times are told, is there
        without factors.
    """
    groups = _Groups(reference)
    plain = [_calibration("overall", groups, timed, length, None) for length in lengths_ms]
    if slots is None:
        return tuple(plain)
    by_slot = groups.merged(slots)
    seasonal = [_calibration("seasonal", groups, timed, n, by_slot) for n in lengths_ms]
    return (*plain, *seasonal)


class _Groups:
    """The groups of all profiles behind one another, and how cells are merged into them."""

    def __init__(self, reference: ReferenceProfile) -> None:
        self.entries: tuple[Entry, ...] = entries(reference)
        own = [group_of_cell(entry.profile) for entry in self.entries]
        self.segments = Segments([int(groups[-1]) + 1 for groups in own])
        self.of_cell = np.concatenate(
            [groups + start for groups, start in zip(own, self.segments.starts, strict=True)]
        )
        counts = [np.array(entry.profile.counts, np.int64) for entry in self.entries]
        self.totals = self.merged(np.concatenate(counts)[None])

    def merged(self, cells: Counts) -> Counts:
        """Merge the columns of a table of counts."""
        order = np.argsort(self.of_cell, kind="stable")
        firsts = np.searchsorted(self.of_cell[order], np.arange(self.segments.size))
        return np.add.reduceat(cells[:, order], firsts, axis=1, dtype=np.int64)


def _calibration(
    kind: Literal["overall", "seasonal"],
    groups: _Groups,
    timed: TimedCells,
    length_ms: int,
    by_slot: Counts | None,
) -> WindowCalibration:
    numbers, sizes = _whole_windows(timed, length_ms)
    blocks = _blocks(groups, timed, length_ms, numbers, by_slot)
    found = overdispersion(blocks, groups.segments)
    return WindowCalibration(
        reference=kind,
        length_ms=length_ms,
        windows=found.windows,
        records=int(np.median(sizes)) if len(sizes) else 0,
        subjects=_by_subject(groups, found) if found.windows >= FEWEST_WINDOWS else None,
    )


def _whole_windows(timed: TimedCells, length_ms: int) -> tuple[Int64Column, Int64Column]:
    """Give the numbers of the windows that are there as a whole, and their rows."""
    times = timed.times_ms
    if not len(times) or timed.resolution_ms > length_ms:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    numbers, sizes = np.unique(times // length_ms, return_counts=True)
    slack = length_ms // _SLACK
    begun = numbers * length_ms >= times[0] - slack
    ended = (numbers + 1) * length_ms <= times[-1] + max(slack, timed.resolution_ms)
    kept = begun & ended & (sizes >= FEWEST_RECORDS)
    return numbers[kept], sizes[kept]


def _blocks(
    groups: _Groups,
    timed: TimedCells,
    length_ms: int,
    numbers: Int64Column,
    by_slot: Counts | None,
) -> Iterator[tuple[Counts, Counts]]:
    """Give the counts of the rest and of the windows, some windows at a time."""
    starts = np.searchsorted(timed.times_ms, numbers * length_ms)
    stops = np.searchsorted(timed.times_ms, (numbers + 1) * length_ms)
    step = max(1, _BLOCK_COUNTS // groups.segments.size)
    for first in range(0, len(numbers), step):
        block = slice(first, first + step)
        # Gaps between the windows are left out, whatever is in them.
        sizes = stops[block] - starts[block]
        place = np.repeat(np.arange(len(sizes)), sizes)
        rows = np.arange(len(place)) + np.repeat(
            starts[block] - np.cumsum(sizes) + sizes, sizes
        )
        cells = timed.cells[rows]
        current = _counted(groups, place, len(sizes), cells, np.ones(len(place)))
        if by_slot is None:
            rest = groups.totals - current
        else:
            # A slot counts as far as the window lies in it, and without the window's own rows.
            weights = np.array(
                [
                    slot_weights(n * length_ms, (n + 1) * length_ms)
                    for n in numbers[block].tolist()
                ]
            )
            own = weights[place, hour_of_week(timed.times_ms[rows])]
            rest = weights @ by_slot - _counted(groups, place, len(sizes), cells, own)
        enough = rest[:, groups.segments.slices[0]].sum(axis=1) >= FEWEST_RECORDS
        if enough.any():
            yield np.rint(rest[enough]).astype(np.int64), current[enough].astype(np.int64)


def _counted(
    groups: _Groups, place: Int64Column, windows: int, cells: CellMatrix, weights: Numbers
) -> Numbers:
    """Add up the weights of rows by window and group, one profile after another."""
    size = groups.segments.size
    counts = np.zeros(windows * size)
    for column in cells.T:
        counts += np.bincount(place * size + groups.of_cell[column], weights, windows * size)
    return counts.reshape(windows, size)


def _by_subject(groups: _Groups, found: Overdispersion) -> SubjectDispersions:
    values = found.factors.round(4).tolist()
    named = list(zip(groups.entries, values, strict=True))
    return SubjectDispersions(
        features={e.name: value for e, value in named if e.kind == "feature"},
        score=next(value for e, value in named if e.kind == "score"),
        confidence={e.name: value for e, value in named if e.kind == "confidence"},
        label=next((value for e, value in named if e.kind == "label"), None),
    )
