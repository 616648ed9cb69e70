"""Which offsets may be committed: bookkeeping per partition, no I/O, no clock.

A record is *in flight* from `begin` to `finish`. What may be committed is the offset below
which all is finished, however the batches end. Each assignment of a partition, and each rewind
of it, is an *epoch*; tickets of an older epoch are stale and finish nothing.

To go back takes two steps: `halt` makes all in flight stale, `restart` says where to read from.
What a source hands out between the two, out of a buffer say, gets no ticket. And the first
record after them must not lie behind the first one that is owed: to finish it would commit past
the others.

A record may be *held*: it waits for another one, and its ticket is finished without it. It
stays in flight, and nothing past it may be committed, until it is released with its outcome.
Going back does not read again what is held and lies below the finished offset: it is in memory.
"""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sidecar.errors import OffsetOrderError
from sidecar.events import Int64Column, RecordBatch


class Commit(NamedTuple):
    """What may be committed of one partition: the next offset to read."""

    partition: int
    offset: int
    assignment: int
    """A later assignment of the same partition must not take it for its own."""


class Ticket(NamedTuple):
    """One span of records on its way through the pipeline."""

    partition: int
    epoch: int
    sequence: int
    """Counts the tickets of an epoch."""
    records: int
    fresh: int
    """Records that this assignment had not seen before; the others are read again."""


class Release(NamedTuple):
    """Held records of one partition whose outcome is on its way."""

    partition: int
    epoch: int
    offsets: tuple[int, ...]


class Standing(NamedTuple):
    """Where one assigned partition stands."""

    assignment: int
    epoch: int
    position: int | None
    """Offset below which all is finished or held; None before the first record."""


@dataclass(slots=True)
class _Pending:
    """A ticket that is not settled."""

    first: int
    stop: int
    """The offset after its last record."""
    records: int
    finished: bool = False


@dataclass(slots=True)
class _Part:
    """The state of one assigned partition."""

    assignment: int
    epoch: int
    position: int | None = None
    """Offset below which all is finished; None before the first record."""
    last: int = -1
    """Highest offset begun in this epoch."""
    seen: int = -1
    """Highest offset begun in this assignment."""
    first_sequence: int = 0
    pending: deque[_Pending] = field(default_factory=deque)
    """The tickets of this epoch that are not settled."""
    halted: bool = False
    """Whether what is read gets no ticket, since reading goes back first."""
    owed: int | None = None
    """The first record that was read and has to be read again; None when there is none."""
    in_flight: int = 0
    unsettled: int = 0
    """Records read for the first time in this assignment and not finished."""
    held: dict[int, None] = field(default_factory=dict)
    """Offsets that are held, the lowest first: a later one is always higher."""
    leaving: int = 0
    """How many of them have their outcome on its way."""
    committed: int | None = None
    moved: bool = False
    """Whether anything is finished; before that the position is only where we began."""

    @property
    def committable(self) -> int | None:
        """The offset below which nothing is unfinished or held."""
        lowest = next(iter(self.held), None)
        if self.position is None or lowest is None:
            return self.position
        return min(self.position, lowest)


class OffsetTracker:
    """In-flight records and committable offsets of the assigned partitions."""

    def __init__(self) -> None:
        """Start without partitions."""
        self._parts: dict[int, _Part] = {}
        self._epochs = 0

    @property
    def partitions(self) -> frozenset[int]:
        """The assigned partitions."""
        return frozenset(self._parts)

    def flows(self, partition: int) -> bool:
        """Whether a partition is assigned, and not halted until it is read again."""
        part = self._parts.get(partition)
        return part is not None and not part.halted

    def assign(self, partitions: Iterable[int]) -> None:
        """Take over partitions; what was known of them is forgotten."""
        for partition in partitions:
            self._epochs += 1
            self._parts[partition] = _Part(self._epochs, self._epochs)

    def revoke(self, partitions: Iterable[int]) -> int:
        """Give partitions up.

        Returns:
            Records that were read for the first time and are not finished: another member
            reads them again.
        """
        return sum(
            part.unsettled
            for partition in partitions
            if (part := self._parts.pop(partition, None)) is not None
        )

    def halt(self, partitions: Collection[int]) -> None:
        """Make everything in flight stale; what is read from now on gets no ticket."""
        for part in self._owned(partitions):
            self._epochs += 1
            part.epoch = self._epochs
            part.halted = True
            if part.pending:
                part.owed = part.pending[0].first
            part.pending.clear()
            part.first_sequence = 0
            part.last = -1 if part.position is None else part.position - 1
            part.held = {offset: None for offset in part.held if offset <= part.last}
            part.leaving = 0
            part.in_flight = len(part.held)

    def restart(self, partitions: Collection[int]) -> dict[int, int]:
        """Begin a new epoch, in which everything unfinished is read again.

        Returns:
            Where to read from. A partition of which nothing was read is not named: its source
            stands where it began.
        """
        self.halt(partitions)
        for part in self._owned(partitions):
            part.halted = False
        return {p: at for p, at in self.positions().items() if p in partitions}

    def _owned(self, partitions: Collection[int]) -> list[_Part]:
        return [self._parts[p] for p in partitions if p in self._parts]

    def begin(self, records: RecordBatch) -> list[Ticket]:
        """Note that a batch is on its way; partitions that are not ours get no ticket.

        Raises:
            OffsetOrderError: The records do not rise within their partition, or pass over
                some that have to be read again.
        """
        tickets = []
        for span in records.spans:
            part = self._parts.get(span.partition)
            if part is None:
                continue
            offsets = records.offsets[span.start : span.stop]
            if part.position is None:
                part.position = int(offsets[0])
            if part.halted:
                part.owed = int(offsets[0]) if part.owed is None else part.owed
            else:
                tickets.append(self._begin(part, span.partition, offsets))
        return tickets

    def _begin(self, part: _Part, partition: int, offsets: Int64Column) -> Ticket:
        first, last, count = int(offsets[0]), int(offsets[-1]), len(offsets)
        owes = "" if part.owed is None else f", and owes {part.owed}"
        if first <= part.last or (part.owed is not None and first > part.owed):
            raise OffsetOrderError(
                f"partition {partition} gave offset {first} after {part.last}{owes}; "
                "the process ends and begins again at the committed offset"
            )
        part.owed = None
        fresh = count - int(np.searchsorted(offsets, part.seen, side="right"))
        sequence = part.first_sequence + len(part.pending)
        part.pending.append(_Pending(first, last + 1, count))
        part.in_flight += count
        part.unsettled += fresh
        part.last = last
        part.seen = max(part.seen, last)
        return Ticket(partition, part.epoch, sequence, count, fresh)

    def alive(self, tickets: Iterable[Ticket | Release]) -> bool:
        """Tell whether any of the tickets still counts."""
        return any(self._current(ticket) is not None for ticket in tickets)

    def after(self, tickets: Iterable[Ticket]) -> dict[int, int]:
        """Give the offset behind the last of these tickets, by partition; stale ones are none.

        Args:
            tickets: Of each partition all from the first unfinished one on, in order.
        """
        stops: dict[int, int] = {}
        for ticket in tickets:
            if (part := self._current(ticket)) is not None:
                stops[ticket.partition] = part.pending[
                    ticket.sequence - part.first_sequence
                ].stop
        return stops

    def finish(self, ticket: Ticket) -> bool:
        """Note that every record of a ticket is acknowledged.

        Returns:
            False when the ticket is stale; then nothing changed.
        """
        part = self._current(ticket)
        if part is None:
            return False
        pending = part.pending[ticket.sequence - part.first_sequence]
        pending.finished = True
        part.in_flight -= pending.records
        part.unsettled -= pending.records
        while part.pending and part.pending[0].finished:
            part.position = part.pending.popleft().stop
            part.first_sequence += 1
            part.moved = True
        return True

    def hold(self, ticket: Ticket, offsets: Collection[int]) -> Ticket:
        """Keep records of a ticket back: they are finished by `release`, not with the ticket.

        Args:
            ticket: The newest one of its partition, just begun.
            offsets: Some of its records, rising.

        Returns:
            The ticket for the rest.
        """
        part = self._parts[ticket.partition]
        part.pending[ticket.sequence - part.first_sequence].records -= len(offsets)
        part.held.update(dict.fromkeys(offsets))
        return ticket._replace(records=ticket.records - len(offsets))

    def let_go(self, partition: int, offsets: Collection[int]) -> Release:
        """Note that the outcome of held records is on its way.

        Args:
            partition: An assigned one.
            offsets: Held, and not let go before in this epoch.
        """
        part = self._parts[partition]
        part.leaving += len(offsets)
        return Release(partition, part.epoch, tuple(offsets))

    def release(self, release: Release) -> bool:
        """Note that the outcome of held records is acknowledged.

        Returns:
            False when it is stale; then nothing changed.
        """
        part = self._current(release)
        if part is None:
            return False
        for offset in release.offsets:
            del part.held[offset]
        part.leaving -= len(release.offsets)
        part.in_flight -= len(release.offsets)
        part.unsettled -= len(release.offsets)
        return True

    def standings(self) -> dict[int, Standing]:
        """Give where each assigned partition stands."""
        return {
            partition: Standing(part.assignment, part.epoch, part.position)
            for partition, part in self._parts.items()
        }

    def moving(self, partitions: Collection[int] | None = None) -> bool:
        """Tell whether any outcome is on its way, of all partitions or of the named ones.

        What is held and not let go may wait for long, and nothing that happens here ends it.
        """
        wanted = self._parts if partitions is None else partitions
        parts = [self._parts[p] for p in wanted if p in self._parts]
        return any(part.pending or part.leaving for part in parts)

    def held(self) -> int:
        """Count the held records."""
        return sum(len(part.held) for part in self._parts.values())

    def _current(self, ticket: Ticket | Release) -> _Part | None:
        part = self._parts.get(ticket.partition)
        return part if part is not None and part.epoch == ticket.epoch else None

    def in_flight(self, partitions: Collection[int] | None = None) -> int:
        """Count the unfinished records, of all partitions or of the named ones."""
        wanted = self._parts if partitions is None else partitions
        return sum(self._parts[p].in_flight for p in wanted if p in self._parts)

    def unsettled(self, partitions: Collection[int] | None = None) -> int:
        """Count the records that were read and have no outcome yet, rewound ones included."""
        wanted = self._parts if partitions is None else partitions
        return sum(self._parts[p].unsettled for p in wanted if p in self._parts)

    def committable(self, partitions: Collection[int] | None = None) -> list[Commit]:
        """Give what may be committed and is not yet."""
        return [
            Commit(partition, offset, part.assignment)
            for partition, part in self._parts.items()
            if (partitions is None or partition in partitions)
            and (offset := part.committable) is not None
            and offset != part.committed
            and part.moved
        ]

    def committed(self, commits: Iterable[Commit]) -> None:
        """Note what was committed; what an older assignment committed is passed over.

        Raises:
            OffsetOrderError: An offset is below an earlier one or past what is finished.
        """
        for partition, offset, assignment in commits:
            part = self._parts.get(partition)
            if part is None or part.assignment != assignment:
                continue
            finished = part.committable
            if finished is None or offset > finished or offset < (part.committed or 0):
                raise OffsetOrderError(
                    f"partition {partition}: committed {offset} after {part.committed}, "
                    f"finished below {finished}"
                )
            part.committed = offset

    def positions(self) -> dict[int, int]:
        """Give the offset below which all is finished or held, where it is known."""
        return {
            p: part.position for p, part in self._parts.items() if part.position is not None
        }
