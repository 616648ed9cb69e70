"""Rolling windows over event time, as sums of panes that add up.

A pane is a slice of event time of one input partition. Its counts stand for exactly the events
of that partition in that slice that were not late, however the records were cut into batches;
so partitions, and replicas, merge by addition.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.events import Int64Column
from sidecar.stats.cells import Counts, count_cells


@dataclass(slots=True)
class PartitionPanes:
    """The state of one input partition: all that has to be stored to restore it."""

    newest_ms: int | None = None
    """Newest event time of the partition; None before its first event."""
    panes: dict[int, NDArray[np.unsignedinteger[Any]]] = field(default_factory=dict)
    """Counts by start of the pane, in the narrowest type that holds them: a day of minutes with
    1,500 cells takes 2 MB where few events come, 4 MB up to 65,535 in one cell and pane."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one rolling window holds."""

    length_ms: int
    end_ms: int
    """Exclusive; the end of the pane of the newest event. 0 before the first event."""
    counts: Counts

    @property
    def start_ms(self) -> int:
        """Event time of its start, inclusive; 0 before the first event."""
        return self.end_ms - self.length_ms if self.end_ms else 0


class RollingWindows:
    """Counts over several windows that end with the newest event of all partitions.

    An event is late when it lies more than `lateness_ms` behind the newest event before it in
    its own partition, or before the longest window that ends with that one. That depends on the
    order of records in one partition and on nothing else, so a replay finds the same late ones.

    A partition keeps the panes of its own longest window, which bounds memory and is all that
    any window can ask for, also when a partition with newer events is revoked.
    """

    def __init__(
        self, pane_ms: int, lengths_ms: Sequence[int], lateness_ms: int, size: int
    ) -> None:
        """Begin without events.

        Args:
            pane_ms: Slice of event time that is counted together.
            lengths_ms: Lengths of the windows, each a multiple of `pane_ms`.
            lateness_ms: How far behind its partition's newest event one still counts.
            size: Number of cells of each vector of counts.

        Raises:
            ValueError: A length is not a multiple of the pane.
        """
        if any(length <= 0 or length % pane_ms for length in lengths_ms):
            raise ValueError("Each window must be a multiple of the pane")
        self._pane = pane_ms
        self._lengths = tuple(sorted(lengths_ms))
        self._lateness = lateness_ms
        self._size = size
        self._partitions: dict[int, PartitionPanes] = {}
        self._totals = {length: np.zeros(size, np.int64) for length in self._lengths}
        self._end: int | None = None

    @property
    def newest_ms(self) -> int | None:
        """Newest event time of all partitions; None when there is none."""
        times = (part.newest_ms for part in self._partitions.values())
        return max((time for time in times if time is not None), default=None)

    @property
    def partitions(self) -> Mapping[int, PartitionPanes]:
        """The state of each partition, to be stored; not to be changed."""
        return self._partitions

    def windows(self) -> tuple[Window, ...]:
        """Give all windows, shortest first. The counts are copies."""
        return tuple(
            Window(length, self._end or 0, total.copy())
            for length, total in self._totals.items()
        )

    def observe(
        self, partition: int, times_ms: Int64Column, cells: NDArray[np.unsignedinteger[Any]]
    ) -> int:
        """Count events of one partition, in the order of their records.

        Args:
            partition: Input partition of all of them.
            times_ms: Event time of each.
            cells: One row per event: the cells that it counts in.

        Returns:
            How many were late and count nowhere.
        """
        if not len(times_ms):
            return 0
        state = self._partitions.setdefault(partition, PartitionPanes())
        before = int(times_ms[0]) if state.newest_ms is None else state.newest_ms
        newest = np.maximum(np.maximum.accumulate(times_ms), before)
        starts = times_ms - times_ms % self._pane
        oldest = newest - newest % self._pane + self._pane - self._lengths[-1]
        kept = (times_ms >= newest - self._lateness) & (starts >= oldest)
        self._advance(state, int(newest[-1]))
        for start, rows in _by_pane(starts, kept):
            self._add(state, start, count_cells(cells[rows], self._size))
        for start in self._held(state, self._oldest(before), int(oldest[-1])):
            del state.panes[start]
        return int(len(kept) - np.count_nonzero(kept))

    def restore(self, partition: int, state: PartitionPanes) -> None:
        """Take over the state of a partition, in place of what is known of it.

        Args:
            partition: The input partition.
            state: What `partitions` gave, here or in another process with the same pane and
                the same cells.
        """
        self.revoke([partition])
        if state.newest_ms is None:
            return
        own = self._partitions[partition] = PartitionPanes()
        self._advance(own, state.newest_ms)
        for start in self._held(state, self._oldest(state.newest_ms), self._end or 0):
            self._add(own, start, state.panes[start].astype(np.int64))

    def revoke(self, partitions: Collection[int]) -> None:
        """Forget partitions and take their events out of the windows.

        Args:
            partitions: Input partitions; unknown ones are ignored.
        """
        for partition in partitions:
            state = self._partitions.pop(partition, None)
            if state is not None and self._end is not None:
                for length, total in self._totals.items():
                    for start in self._held(state, self._end - length, self._end):
                        total -= state.panes[start]
        self._move_end()

    def _advance(self, state: PartitionPanes, newest_ms: int) -> None:
        state.newest_ms = newest_ms
        if self._end is None or newest_ms >= self._end:
            self._move_end()

    def _add(self, state: PartitionPanes, start: int, counts: Counts) -> None:
        held = state.panes.get(start)
        state.panes[start] = _narrow(counts if held is None else counts + held)
        for length, total in self._totals.items():
            if self._end is not None and start >= self._end - length:
                total += counts

    def _move_end(self) -> None:
        """Let the windows end with the newest event: panes leave behind it and enter before it.

        The end goes back when the partition with the newest event is revoked.
        """
        newest = self.newest_ms
        before, self._end = self._end, None if newest is None else self._pane_end(newest)
        if before is None or self._end is None or before == self._end:
            return
        for length, total in self._totals.items():
            for state in self._partitions.values():
                for start in self._held(state, before - length, self._end - length):
                    total -= state.panes[start]
                for start in self._held(state, self._end - length, before - length):
                    total += state.panes[start]

    def _pane_end(self, time_ms: int) -> int:
        return time_ms - time_ms % self._pane + self._pane

    def _oldest(self, newest_ms: int) -> int:
        """Give the start of the longest window that ends with this event."""
        return self._pane_end(newest_ms) - self._lengths[-1]

    def _held(self, state: PartitionPanes, start: int, stop: int) -> list[int]:
        """Give the panes that the partition has from `start` to before `stop`."""
        steps = range(start, stop, self._pane)
        if len(steps) < len(state.panes):
            return [step for step in steps if step in state.panes]
        return [held for held in state.panes if start <= held < stop]


def _by_pane(
    starts: Int64Column, kept: NDArray[np.bool_]
) -> Iterator[tuple[int, slice | NDArray[np.int64]]]:
    """Give each pane with its rows; nearly always one pane with all rows."""
    if kept.all() and starts[0] == starts[-1] and starts.min() == starts.max():
        yield int(starts[0]), slice(None)
        return
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(starts[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(starts[rows])) + 1
    for part in np.split(rows, cuts) if rows.size else ():
        yield int(starts[part[0]]), part


def _narrow(counts: Counts) -> NDArray[np.unsignedinteger[Any]]:
    """Store counts in the narrowest type that holds them."""
    narrow: NDArray[np.unsignedinteger[Any]] = counts.astype(np.min_scalar_type(counts.max()))
    return narrow
