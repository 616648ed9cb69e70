"""What windows are compared with: the cells, groups and bins of every subject that is watched.

A subject is a feature, the score, the confidence or the label. Its cells are counted; groups of
cells are what the population stability index and the Jensen-Shannon distance see; bins of
groups are what pictures show. The last two groups and bins of each subject are what lies
outside the reference (out of range or unseen) and what is missing. All subjects stand behind
one another in flat vectors (`Segments`), so that one pass compares them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.manifest import CategoryProfile, NumericProfile, Profile, ReferenceProfile
from sidecar.bundle.profile import layout
from sidecar.monitors.bins import category_bins, numeric_bins
from sidecar.monitors.snapshot import Subject
from sidecar.stats.cells import Counts, Layout
from sidecar.stats.groups import quantile_groups
from sidecar.stats.segments import Segments

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Watched:
    """One subject and how its counts are merged."""

    name: str
    subject: Subject
    layout: Layout
    counts: Counts
    """Of the reference, by cell."""
    ordered: bool
    """Whether the cells but the last have an order, so that distribution functions exist."""
    group_of_cell: Positions
    bin_of_group: Positions
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
    wanted: list[tuple[str, Subject, Profile | None]] = [
        *((name, "feature", profile.features[name]) for name in features),
        ("score", "score", profile.score),
        ("confidence", "confidence", profile.confidence.get(measure)),
        ("label", "label", profile.label),
    ]
    return tuple(_watched(name, kind, found) for name, kind, found in wanted if found)


class Reference:
    """The counts of the reference over all subjects, as flat vectors."""

    def __init__(self, subjects: Sequence[Watched]) -> None:
        """Lay the subjects behind one another.

        Args:
            subjects: What is watched, at least one.
        """
        self.subjects = tuple(subjects)
        self.cells = Segments([len(one.group_of_cell) for one in subjects])
        self.groups = Segments([len(one.bin_of_group) for one in subjects])
        self.bins = Segments([len(one.bins) for one in subjects])
        self._group_of_cell = _flat([one.group_of_cell for one in subjects], self.groups)
        self._bin_of_group = _flat([one.bin_of_group for one in subjects], self.bins)
        ordered = np.repeat([one.ordered for one in subjects], self.cells.sizes)
        ordered[self.cells.starts + self.cells.sizes - 1] = False  # missing has no place
        self._ordered = ordered

        counts = np.concatenate([one.counts for one in subjects])
        self.group_counts = self.to_groups(counts)
        """Of the reference, by group."""
        self.ordered_counts = self.to_ordered(counts)
        """Of the reference, by cell; zero where a cell has no place in an order."""
        self.missing_ratios = self.last_shares(self.group_counts, back=1)
        """Missing share of each subject in the reference."""
        self.pictures = self.to_pictures(self.group_counts)
        """Share of each bin in the reference, by subject."""

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
        return np.where(self._ordered, cell_counts, 0)

    def last_shares(self, group_counts: Counts, back: int) -> list[float]:
        """Give the share that one of the last groups has in each subject.

        Args:
            group_counts: Flat counts by group.
            back: 1 for what is missing, 2 for what is outside the reference.
        """
        shares = self.groups.shares(group_counts)
        return [float(share) for share in shares[self.groups.starts + self.groups.sizes - back]]

    def to_pictures(self, group_counts: Counts) -> list[tuple[float, ...]]:
        """Give the share of each bin, by subject.

        Args:
            group_counts: Flat counts by group.
        """
        bins = _merge(self._bin_of_group, group_counts, self.bins.size)
        shares = self.bins.shares(bins).tolist()
        return [tuple(shares[where]) for where in self.bins.slices]


def _watched(name: str, subject: Subject, profile: Profile) -> Watched:
    group_of_cell, bin_of_group, bins = (
        _numeric_groups(profile)
        if isinstance(profile, NumericProfile)
        else _category_groups(profile)
    )
    return Watched(
        name=name,
        subject=subject,
        layout=layout(profile),
        counts=np.array(profile.counts, np.int64),
        ordered=isinstance(profile, NumericProfile),
        group_of_cell=group_of_cell,
        bin_of_group=bin_of_group,
        bins=bins,
    )


def _numeric_groups(profile: NumericProfile) -> tuple[Positions, Positions, tuple[str, ...]]:
    inner = quantile_groups(np.array(profile.counts[1:-2], np.int64))
    outside = int(inner[-1]) + 1
    group_of_cell = np.concatenate(([outside], inner, [outside, outside + 1]))
    edges = tuple(profile.edges[at] for at in np.flatnonzero(np.diff(inner)))
    bins = numeric_bins(edges, profile.minimum, profile.maximum)
    return group_of_cell, np.arange(len(bins)), bins


def _category_groups(
    profile: CategoryProfile,
) -> tuple[Positions, Positions, tuple[str, ...]]:
    bins, bin_of_group = category_bins(profile.categories, profile.counts)
    return np.arange(len(profile.counts)), bin_of_group, bins


def _flat(positions: Sequence[Positions], into: Segments) -> Positions:
    """Lay the positions of each subject behind one another."""
    return np.concatenate(
        [own + start for own, start in zip(positions, into.starts, strict=True)]
    )


def _merge(target: Positions, counts: NDArray[Any], size: int) -> Counts:
    merged: Counts = np.bincount(target, weights=counts, minlength=size).astype(np.int64)
    return merged
