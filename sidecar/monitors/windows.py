"""Rolling windows over event time, as sums of panes that add up.

A pane is a slice of event time of one input partition. Its counts stand for exactly the events
of that partition in that slice that were not late, however the records were cut into batches;
so partitions, and replicas, merge by addition.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sidecar.events import Int64Column, Span
from sidecar.stats.cells import Counts, count_cells

PaneCounts = NDArray[np.unsignedinteger[Any]]
"""The counts of one pane, in the narrowest type that holds them."""


class AheadPane(NamedTuple):
    """A pane that was stored later than the rest of its partition."""

    next: int
    """The first input offset that it does not count."""
    counts: PaneCounts


@dataclass(slots=True)
class PartitionPanes:
    """The state of one input partition: all that has to be stored to restore it."""

    newest_ms: int | None = None
    """Newest event time of the partition; None before its first event."""
    panes: dict[int, PaneCounts] = field(default_factory=dict)
    """Counts by start of the pane: a day of minutes with 1,500 cells takes 2 MB where few
    events come, 4 MB up to 65,535 in one cell and pane."""
    next: int = 0
    """The first input offset that is not counted; what lies before it is passed over."""
    ahead: dict[int, AheadPane] = field(default_factory=dict)
    """Panes that count further than `next`. Each joins the others with its first event that
    comes again, and passes over those that it counts already."""
    changed: set[int] = field(default_factory=set)
    """Panes that changed or left since they were last stored."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one rolling window holds."""

    length_ms: int
    """As configured; one that grew reaches further back."""
    start_ms: int
    """Event time of its start, inclusive; 0 before the first event."""
    end_ms: int
    """Exclusive; the end of the pane of the newest event. 0 before the first event."""
    counts: Counts
    records: int = 0
    """Events in it."""


class RollingWindows:
    """Counts over several windows that end with the newest event of all partitions.

    An event is late when it lies more than `lateness_ms` behind the newest event before it in
    its own partition, or before the longest window that ends with that one. That depends on the
    order of records in one partition and on nothing else, so a replay finds the same late ones.

    A partition keeps the panes of its own longest window, which bounds memory and is all that
    any window can ask for, also when a partition with newer events is revoked.

    A window that holds too few events grows backwards by whole panes until it has enough, at
    most to the longest one.
    """

    def __init__(
        self,
        pane_ms: int,
        lengths_ms: Sequence[int],
        lateness_ms: int,
        size: int,
        *,
        tally: slice = slice(0, 0),
        min_records: int = 0,
    ) -> None:
        """Begin without events.

        Args:
            pane_ms: Slice of event time that is counted together.
            lengths_ms: Lengths of the windows, each a multiple of `pane_ms`.
            lateness_ms: How far behind its partition's newest event one still counts.
            size: Number of cells of each vector of counts.
            tally: The cells that add up to the number of events.
            min_records: Events that a window grows for; 0 lets none grow.

        Raises:
            ValueError: A length is not a multiple of the pane.
        """
        if any(length <= 0 or length % pane_ms for length in lengths_ms):
            raise ValueError("Each window must be a multiple of the pane")
        self._pane = pane_ms
        self._lengths = tuple(sorted(lengths_ms))
        self._lateness = lateness_ms
        self._size = size
        self._tally = tally
        self._min_records = min_records
        self.turning: Callable[[], None] = lambda: None
        """Called whenever the windows are about to end with a later pane, as they are then. It
        may read and change nothing."""
        self._partitions: dict[int, PartitionPanes] = {}
        self._totals = {length: np.zeros(size, np.int64) for length in self._lengths}
        self._end: int | None = None

    @property
    def size(self) -> int:
        """Number of cells of each vector of counts."""
        return self._size

    @property
    def newest_ms(self) -> int | None:
        """Newest event time of all partitions; None when there is none."""
        times = (part.newest_ms for part in self._partitions.values())
        return max((time for time in times if time is not None), default=None)

    @property
    def end_ms(self) -> int:
        """Where all windows end, exclusive; 0 before the first event."""
        return self._end or 0

    @property
    def partitions(self) -> Mapping[int, PartitionPanes]:
        """The state of each partition, to be stored; not to be changed."""
        return self._partitions

    def windows(self) -> tuple[Window, ...]:
        """Give all windows, shortest first, grown where they must. The counts are copies."""
        return tuple(
            replace(window, records=int(self.records(window.counts)))
            for window in self._windows()
        )

    def _windows(self) -> Iterator[Window]:
        end = self._end or 0
        found: list[Window] = []
        for length, total in reversed(self._totals.items()):
            start = end - length if end else 0
            if found and not self._enough(total):
                longer = self._totals[found[-1].length_ms]
                if self._enough(longer):
                    found.append(self._grown(Window(length, start, end, total.copy())))
                else:
                    # Up to there it is too few as well, so it grows into the same.
                    found.append(replace(found[-1], length_ms=length))
            else:
                found.append(Window(length, start, end, total.copy()))
        return reversed(found)

    def _enough(self, counts: Counts) -> bool:
        return int(self.records(counts)) >= self._min_records

    def records(self, counts: Counts) -> Int64Column:
        """Give how many events are in counts.

        Args:
            counts: One vector, or one in each row.
        """
        events: Int64Column = counts[..., self._tally].sum(axis=-1)
        return events

    def _grown(self, window: Window) -> Window:
        """Add panes before a window until it holds enough; there must be so many.

        Panes without events cost next to nothing, and the others are no more than the events
        that are needed.
        """
        counts, start = window.counts, window.start_ms
        while not self._enough(counts):
            held: list[PaneCounts] = []
            while not held:
                start -= self._pane
                parts = self._partitions.values()
                held = [part.panes[start] for part in parts if start in part.panes]
            for pane in held:
                counts += pane
        return replace(window, start_ms=start, counts=counts)

    @property
    def oldest_ms(self) -> int | None:
        """Start of the oldest pane of all partitions; None when there is none."""
        return min((s for part in self._partitions.values() for s in part.panes), default=None)

    def in_row(self, length_ms: int, count: int) -> Counts:
        """Count the newest windows that do not overlap.

        Args:
            length_ms: Of each, a multiple of the pane.
            count: How many.

        Returns:
            One row each, the oldest first, as far back as panes are kept; without events all
            zero.
        """
        rows = np.zeros((count, self._size), np.int64)
        begin = self.end_ms - count * length_ms
        for state in self._partitions.values():
            for start in self._held(state, begin, self.end_ms):
                rows[(start - begin) // length_ms] += state.panes[start]
        return rows

    def in_turn(self, spans: Iterable[Span], times_ms: Int64Column) -> Iterator[Span]:
        """Cut a batch so that its events come pane by pane, whatever partition they are of.

        What one batch holds of several panes then meets the same windows as in many batches.
        An event belongs to the pane that the newest event of all partitions has reached, as far
        as its own partition says so.

        Args:
            spans: The rows of each partition.
            times_ms: Event time of each row.

        Returns:
            The spans, or parts of them, in the order in which `observe` is to see them.
        """
        spans = list(spans)
        floor = None if self._end is None else self._end - self._pane
        if floor is not None and times_ms.max(initial=floor) < floor + self._pane:
            yield from spans
            return
        parts: list[tuple[int, Span]] = []
        for span in spans:
            newest = np.maximum.accumulate(times_ms[span.start : span.stop])
            panes = newest - newest % self._pane
            if floor is not None:
                np.maximum(panes, floor, out=panes)
            cuts = [0, *(np.flatnonzero(np.diff(panes)) + 1).tolist(), len(panes)]
            parts += [
                (
                    int(panes[start]),
                    Span(span.partition, span.start + start, span.start + stop),
                )
                for start, stop in pairwise(cuts)
            ]
        for _, part in sorted(parts, key=lambda pane_and_part: pane_and_part[0]):
            yield part

    def observe(
        self,
        partition: int,
        offsets: Int64Column,
        times_ms: Int64Column,
        cells: NDArray[np.unsignedinteger[Any]],
    ) -> int:
        """Count events of one partition, in the order of their records.

        An offset counts once: what lies before the first uncounted one is passed over.

        Args:
            partition: Input partition of all of them.
            offsets: Input offset of each, rising.
            times_ms: Event time of each.
            cells: One row per event: the cells that it counts in.

        Returns:
            How many were late and count nowhere.
        """
        state = self._partitions.get(partition)
        counted = 0 if state is None else int(np.searchsorted(offsets, state.next))
        if counted == len(offsets):
            return 0
        if state is None:
            state = self._partitions[partition] = PartitionPanes()
        if counted:
            offsets, times_ms, cells = offsets[counted:], times_ms[counted:], cells[counted:]
        before = int(times_ms[0]) if state.newest_ms is None else state.newest_ms
        first, last = int(times_ms.min()), int(times_ms.max())
        newest = max(before, last)
        self._advance(state, newest)
        begin = first - first % self._pane
        in_time = first >= newest - self._lateness and begin >= self._oldest(newest)
        if in_time and last < begin + self._pane and not state.ahead:
            late = 0  # nearly always, so it costs little where batches are small
            self._add(state, begin, count_cells(cells, self._size))
        else:
            late = self._spread(state, before, offsets, times_ms, cells)
        self._drop(state, self._oldest(before), self._oldest(newest))
        state.next = int(offsets[-1]) + 1
        return late

    def _spread(
        self,
        state: PartitionPanes,
        before_ms: int,
        offsets: Int64Column,
        times_ms: Int64Column,
        cells: NDArray[np.unsignedinteger[Any]],
    ) -> int:
        """Count events of several panes, or some that are late; give how many these are."""
        newest = np.maximum(np.maximum.accumulate(times_ms), before_ms)
        starts = times_ms - times_ms % self._pane
        oldest = newest - newest % self._pane + self._pane - self._lengths[-1]
        kept = (times_ms >= newest - self._lateness) & (starts >= oldest)
        late = len(kept) - int(np.count_nonzero(kept))
        if state.ahead:
            kept &= ~self._counted_ahead(state, offsets, starts, kept)
        for start, rows in _by_pane(starts, kept):
            self._add(state, start, count_cells(cells[rows], self._size))
        return late

    def _counted_ahead(
        self,
        state: PartitionPanes,
        offsets: Int64Column,
        starts: Int64Column,
        kept: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Mark events that a pane which is ahead counts already; the first one brings it in."""
        counted = np.zeros(len(starts), np.bool_)
        for start, ahead in list(state.ahead.items()):
            again = kept & (starts == start) & (offsets < ahead.next)
            caught_up = offsets[-1] >= ahead.next - 1
            if start not in state.panes and (caught_up or again.any()):
                self._add(state, start, ahead.counts.astype(np.int64))
            if caught_up:
                del state.ahead[start]
            counted |= again
        return counted

    # --- storing -----------------------------------------------------------------------------

    def take_changes(self, partition: int) -> tuple[dict[int, PaneCounts], set[int]]:
        """Give what changed since the last call, and take it for stored.

        Args:
            partition: The input partition.

        Returns:
            The panes to store, by start; and the starts of those that left.
        """
        state = self._partitions.get(partition)
        if state is None:
            return {}, set()
        changed, state.changed = state.changed, set()
        panes = {start: state.panes[start] for start in changed if start in state.panes}
        return panes, changed - panes.keys()

    def note_changed(self, partition: int, starts: Collection[int] | None = None) -> None:
        """Let the next `take_changes` give panes again.

        Args:
            partition: The input partition.
            starts: Of the panes, there or not; all that are there when None.
        """
        state = self._partitions.setdefault(partition, PartitionPanes())
        state.changed.update(state.panes if starts is None else starts)

    def restore(self, partition: int, state: PartitionPanes) -> None:
        """Take over the state of a partition, in place of what is known of it.

        Args:
            partition: The input partition.
            state: What `partitions` gave, here or in another process with the same pane and
                the same cells.
        """
        self.revoke([partition])
        own = self._partitions[partition] = PartitionPanes(next=state.next)
        if state.newest_ms is None:
            return
        self._advance(own, state.newest_ms)
        for start in self._held(state, self._oldest(state.newest_ms), self._end or 0):
            self._add(own, start, state.panes[start].astype(np.int64))
        own.changed.clear()
        self.park(partition, state.ahead)

    def park(self, partition: int, panes: Mapping[int, AheadPane]) -> None:
        """Keep panes that count further than the rest of their partition.

        Args:
            partition: The input partition; it begins anew when nothing is known of it.
            panes: By start. One that stands there already, as it was before, gives way.
        """
        state = self._partitions.setdefault(partition, PartitionPanes())
        for start in panes.keys() & state.panes.keys():
            self._replace(state, start, np.zeros(self._size, np.int64))
            del state.panes[start]
        state.ahead.update(panes)

    def follow(
        self,
        partition: int,
        newest_ms: int | None,
        next_offset: int,
        panes: Mapping[int, PaneCounts],
    ) -> None:
        """Take what another process counted since the last call.

        Args:
            partition: An input partition that is not ours.
            newest_ms: Its newest event time.
            next_offset: The first input offset that it has not counted.
            panes: Those that changed, whole; they take the place of what is known.
        """
        state = self._partitions.setdefault(partition, PartitionPanes())
        state.next = next_offset
        if newest_ms is None:
            return
        self._advance(state, newest_ms)
        oldest = self._oldest(newest_ms)
        for start, counts in panes.items():
            if start >= oldest:
                self._replace(state, start, counts.astype(np.int64))
                state.panes[start] = counts
        for start in [start for start in state.panes if start < oldest]:
            del state.panes[start]

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

    # --- totals ------------------------------------------------------------------------------

    def _advance(self, state: PartitionPanes, newest_ms: int) -> None:
        if self._end is not None and newest_ms >= self._end:
            self.turning()
        state.newest_ms = newest_ms
        if self._end is None or newest_ms >= self._end:
            self._move_end()

    def _add(self, state: PartitionPanes, start: int, counts: Counts) -> None:
        held = state.panes.get(start)
        state.panes[start] = _narrow(counts if held is None else counts + held)
        state.changed.add(start)
        self._count(start, counts)

    def _replace(self, state: PartitionPanes, start: int, counts: Counts) -> None:
        held = state.panes.get(start)
        self._count(start, counts if held is None else counts - held)

    def _count(self, start: int, difference: Counts) -> None:
        """Add to the windows that a pane stands in; it never lies behind their end."""
        for length, total in self._totals.items():
            if self._end is not None and start >= self._end - length:
                total += difference

    def _drop(self, state: PartitionPanes, start: int, stop: int) -> None:
        """Forget panes that no window can ask for any more."""
        for gone in self._held(state, start, stop):
            del state.panes[gone]
            state.changed.add(gone)
        for gone in [at for at in state.ahead if at < stop]:
            del state.ahead[gone]

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
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Give each pane with its rows."""
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(starts[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(starts[rows])) + 1
    for part in np.split(rows, cuts) if rows.size else ():
        yield int(starts[part[0]]), part


def _narrow(counts: Counts) -> NDArray[np.unsignedinteger[Any]]:
    """Store counts in the narrowest type that holds them."""
    narrow: NDArray[np.unsignedinteger[Any]] = counts.astype(np.min_scalar_type(counts.max()))
    return narrow
