"""What windows are compared with: the cells, groups and bins of every subject that is watched.

A subject is a feature, the score, the confidence or the label. Its cells are counted; groups of
cells are what the population stability index and the Jensen-Shannon distance see; bins of cells
are what pictures show. The last two bins of each subject are what lies outside the reference
(out of range or unseen) and what is missing. A number out of range has a bin and no group of
its own: the outer groups are open, so a single code beyond the reference is no drift. All
subjects stand behind one another in flat vectors (`Segments`), so that one pass compares them
all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.manifest import NumericProfile, Profile, ReferenceProfile
from sidecar.bundle.profile import entries, group_of_cell, layout
from sidecar.bundle.seasonal import SlotCounts
from sidecar.errors import ConfigError, Finding
from sidecar.monitors.bins import category_bins, numeric_bins
from sidecar.monitors.snapshot import ReferenceKind, Subject
from sidecar.stats.cells import Counts, Layout, NumericCells
from sidecar.stats.distances import cell_positions
from sidecar.stats.seasons import slot_weights
from sidecar.stats.segments import Numbers, Segments

Positions = NDArray[np.int64]

# Every window of a config, at the end of the last pane and at that of the one before.
_MOST_KNOWN = 32


@dataclass(frozen=True, slots=True)
class Watched:
    """One subject and how its counts are merged."""

    name: str
    subject: Subject
    layout: Layout
    counts: Counts
    """Of the reference, by cell."""
    columns: slice
    """Its cells among those of all profiles, as `bundle.seasonal` counts them."""
    ordered: bool
    """Whether the cells but the last have an order, so that distribution functions exist."""
    positions: Numbers
    """Where the values of each cell are taken to be; zeros without an order."""
    deviation: float
    """Standard deviation of the reference; 0 without an order."""
    group_of_cell: Positions
    bin_of_cell: Positions
    bins: tuple[str, ...]


def watched_subjects(
    profile: ReferenceProfile, features: Sequence[str], measure: str
) -> tuple[Watched, ...]:
    """Give what is watched: the features, then score, confidence and label where there are any.

    Args:
        profile: The reference.
        features: Names of the features to watch, in order.
        measure: The confidence measure that events are decided by.
    """
    found: dict[tuple[str, str], tuple[Profile, int]] = {}
    start = 0
    for kind, name, own in entries(profile):
        found[kind, name] = own, start
        start += len(own.counts)
    wanted: list[tuple[Subject, str]] = [
        *(("feature", name) for name in features),
        ("score", "score"),
        ("confidence", measure),
        ("label", "label"),
    ]
    return tuple(
        _watched(name if kind == "feature" else kind, kind, *found[kind, name])
        for kind, name in wanted
        if (kind, name) in found
    )


def chosen_slots(
    choice: Literal["auto", "overall", "seasonal"], slots: SlotCounts | None
) -> SlotCounts | None:
    """Give the counts by hour of the week when windows are compared with those.

    Args:
        choice: `monitors.reference`.
        slots: Of the bundle; None when it has none.

    Raises:
        ConfigError: They are wanted and not there.
    """
    if choice == "seasonal" and slots is None:
        mend = "build it with `--seasonal hour-of-week`, or write `auto`"
        finding = Finding("$.monitors.reference", "the bundle has no seasonal reference", mend)
        raise ConfigError("monitors.reference", [finding])
    return None if choice == "overall" else slots


def compared_kind(
    choice: Literal["auto", "overall", "seasonal"], slots: SlotCounts | None
) -> ReferenceKind:
    """Say what windows are compared with.

    Args:
        choice: `monitors.reference`.
        slots: Of the bundle; None when it has none.
    """
    return "overall" if choice == "overall" or slots is None else "seasonal"


@dataclass(frozen=True, slots=True)
class Expected:
    """What one window is compared with, over all subjects."""

    groups: Counts
    """Counts of the reference by group."""
    ordered: Counts
    """By cell; zero where a cell has no place in an order."""
    pictures: list[tuple[float, ...]]
    """Share of each bin, by subject."""


class Stack:
    """The flat vectors of some windows behind one another, each with all subjects.

    One pass over them compares all windows: at this size a call costs more than its numbers.
    """

    def __init__(self, subjects: Sequence[Watched], windows: int = 1) -> None:
        """Lay the subjects behind one another, so many times."""
        many = [*subjects] * windows
        self.cells = Segments([len(one.group_of_cell) for one in many])
        self.groups = Segments([int(one.group_of_cell[-1]) + 1 for one in many])
        self.bins = Segments([len(one.bins) for one in many])
        self._group_of_cell = _flat([one.group_of_cell for one in many], self.groups)
        self._bin_of_cell = _flat([one.bin_of_cell for one in many], self.bins)
        self.positions = np.concatenate([one.positions for one in many])
        """Where the values of each cell are taken to be; zeros without an order."""
        self.deviations = np.array([one.deviation for one in many])
        """Standard deviation of each subject; 0 without an order."""
        placed = np.repeat([one.ordered for one in many], self.cells.sizes)
        placed[self.cells.starts + self.cells.sizes - 1] = False  # missing has no place
        self._placed = placed

    def to_groups(self, cell_counts: Counts) -> Counts:
        """Merge cells into groups.

        Args:
            cell_counts: Flat counts by cell.
        """
        return _merge(self._group_of_cell, cell_counts, self.groups.size)

    def to_ordered(self, cell_counts: Counts) -> Counts:
        """Leave out the cells that have no place in an order.

        Args:
            cell_counts: Flat counts by cell.
        """
        return np.where(self._placed, cell_counts, 0)

    def to_pictures(self, cell_counts: Counts) -> list[tuple[float, ...]]:
        """Give the share of each bin, by subject.

        Args:
            cell_counts: Flat counts by cell.
        """
        bins = _merge(self._bin_of_cell, cell_counts, self.bins.size)
        shares = self.bins.shares(bins).tolist()
        return [tuple(shares[where]) for where in self.bins.slices]


class Reference:
    """The counts of the reference over all subjects."""

    def __init__(self, subjects: Sequence[Watched], slots: SlotCounts | None = None) -> None:
        """Lay the subjects behind one another.

        Args:
            subjects: What is watched, at least one.
            slots: Counts of all profiles by hour of the week, to compare each window with its
                own hours; None to compare it with all rows.
        """
        self.subjects = tuple(subjects)
        self._stacks = {1: Stack(self.subjects)}
        self._overall = self._expected(np.concatenate([one.counts for one in subjects]))
        own = [slots[:, one.columns] for one in subjects] if slots is not None else []
        self._slots = np.concatenate(own, axis=1) if own else None
        self._known: dict[tuple[int, int], Expected] = {}
        self.missing_ratios = [picture[-1] for picture in self._overall.pictures]
        """Missing share of each subject in all of the reference."""

    @property
    def kind(self) -> ReferenceKind:
        """What windows are compared with."""
        return "overall" if self._slots is None else "seasonal"

    def stack(self, windows: int = 1) -> Stack:
        """Give the layout of so many windows behind one another."""
        if windows not in self._stacks:
            self._stacks[windows] = Stack(self.subjects, windows)
        return self._stacks[windows]

    def at(self, start_ms: int, end_ms: int) -> Expected:
        """Give what a window is compared with.

        Of a seasonal reference it is the sum of the hours of the week that the window lies in,
        each weighted by how long it does, in whole counts.

        Args:
            start_ms: Event time, inclusive.
            end_ms: Exclusive; not after the start when there is no event yet.
        """
        if self._slots is None or end_ms <= start_ms:
            return self._overall
        if (start_ms, end_ms) not in self._known:
            weights = slot_weights(start_ms, end_ms)
            used = np.flatnonzero(weights)
            counts = np.rint(weights[used] @ self._slots[used]).astype(np.int64)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[start_ms, end_ms] = self._expected(counts)
        return self._known[start_ms, end_ms]

    def _expected(self, cell_counts: Counts) -> Expected:
        stack = self.stack()
        return Expected(
            groups=stack.to_groups(cell_counts),
            ordered=stack.to_ordered(cell_counts),
            pictures=stack.to_pictures(cell_counts),
        )


def _watched(name: str, subject: Subject, profile: Profile, start: int) -> Watched:
    groups = group_of_cell(profile)
    bins, bin_of_cell = _bins(profile, groups)
    cells = layout(profile)
    positions, deviation = np.zeros(cells.size), 0.0
    if isinstance(profile, NumericProfile) and isinstance(cells, NumericCells):
        positions, deviation = cell_positions(cells, profile.low, profile.high), profile.sd
    return Watched(
        name=name,
        subject=subject,
        layout=cells,
        counts=np.array(profile.counts, np.int64),
        columns=slice(start, start + len(profile.counts)),
        ordered=isinstance(profile, NumericProfile),
        positions=positions,
        deviation=deviation,
        group_of_cell=groups,
        bin_of_cell=bin_of_cell,
        bins=bins,
    )


def _bins(profile: Profile, groups: Positions) -> tuple[tuple[str, ...], Positions]:
    """Give the names of the bins and the bin of each cell."""
    if not isinstance(profile, NumericProfile):
        return category_bins(profile.categories, profile.counts)
    inner = groups[1:-2]
    edges = tuple(profile.edges[at] for at in np.flatnonzero(np.diff(inner)))
    bins = numeric_bins(edges, profile.minimum, profile.maximum)
    outside, missing = len(bins) - 2, len(bins) - 1
    return bins, np.concatenate(([outside], inner, [outside, missing]))


def _flat(positions: Sequence[Positions], into: Segments) -> Positions:
    """Lay the positions of each subject behind one another."""
    return np.concatenate(
        [own + start for own, start in zip(positions, into.starts, strict=True)]
    )


def _merge(target: Positions, counts: NDArray[Any], size: int) -> Counts:
    merged: Counts = np.bincount(target, weights=counts, minlength=size).astype(np.int64)
    return merged
