"""Keeps the joiner in step with the offsets: what waits is held, what left is forgotten."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sidecar.events import Decoded, RecordBatch, Span
from sidecar.pipeline.join import Joiner
from sidecar.ports import Source
from sidecar.runtime.offsets import OffsetTracker, Release, Standing, Ticket
from sidecar.runtime.stages import Stages


class Settling(NamedTuple):
    """What goes on of a batch, and what it settles."""

    records: RecordBatch
    decoded: Decoded
    tickets: list[Ticket]
    """Without the records that wait."""
    releases: Sequence[Release] = ()
    """Records of earlier batches."""
    joined: Mapping[int, int] = {}
    """Requests that no row stands for, by partition."""


class Joining:
    """Joins requests and responses on their way from the source to the pipeline."""

    def __init__(
        self,
        joiner: Joiner,
        stages: Stages,
        tracker: OffsetTracker,
        source: Source,
        look_back: int,
    ) -> None:
        """Look back `look_back` records whenever a partition comes."""
        self._joiner = joiner
        self._stages = stages
        self._tracker = tracker
        self._source = source
        self._look_back = look_back
        self._known: dict[int, Standing] = {}
        self._floors: dict[int, int] = {}
        """By partition: where reading began. What lies before has its outcome."""

    async def looked_back(self, records: RecordBatch) -> RecordBatch | None:
        """Take out what has its outcome already, and go back for it where a partition is new.

        A response may stand behind the committed offset and its request before it. So what lies
        before is read once more, for what it says alone.

        Returns:
            The records that count; None when there are none.

        Raises:
            SourceUnavailableError: The source is closed.
        """
        self._catch_up()
        back: dict[int, int] = {}
        for span in records.spans:
            first = int(records.offsets[span.start])
            if span.partition in self._known and span.partition not in self._floors:
                self._floors[span.partition] = first
                if (start := max(0, first - self._look_back)) < first:
                    back[span.partition] = start
        if back:
            await self._source.rewind(back.keys(), back)
        lengths = [span.stop - span.start for span in records.spans]
        floors = [self._floors.get(span.partition, 0) for span in records.spans]
        coming = np.repeat([span.partition not in back for span in records.spans], lengths)
        past = records.offsets < np.repeat(np.array(floors, np.int64), lengths)
        if recalled := np.flatnonzero(past & coming).tolist():
            self._joiner.recall(_rows(records, recalled))
        counting = np.flatnonzero(coming & ~past).tolist()
        return _rows(records, counting) if counting else None

    def join(self, records: RecordBatch, tickets: list[Ticket]) -> Settling:
        """Join a batch that was just begun.

        Args:
            records: The batch.
            tickets: Its tickets; records of other partitions are not ours, or come again.
        """
        self._catch_up()
        ours = np.isin(records.partitions(), [ticket.partition for ticket in tickets])
        if not np.all(ours):
            records = _rows(records, np.flatnonzero(ours).tolist())
        joined = self._stages.join(self._joiner, records)
        tickets = [
            self._tracker.hold(ticket, waiting)
            if (waiting := joined.waiting.get(ticket.partition))
            else ticket
            for ticket in tickets
        ]
        releases = [self._tracker.let_go(p, offsets) for p, offsets in joined.ended.items()]
        return Settling(joined.records, joined.decoded, tickets, releases, joined.joined)

    def finish(self, releases: Collection[Release]) -> list[Release]:
        """Release what has its outcome; give what was not stale."""
        released = [release for release in releases if self._tracker.release(release)]
        for release in released:
            self._joiner.settled(release.partition, release.offsets)
        return released

    def _catch_up(self) -> None:
        """Follow partitions that left, came anew, or went back."""
        standings = self._tracker.standings()
        for partition, known in self._known.items():
            standing = standings.get(partition)
            if standing is None or standing.assignment != known.assignment:
                self._joiner.forget(partition)
                self._floors.pop(partition, None)
            elif standing.epoch != known.epoch:
                self._joiner.returned(partition, standing.position or 0)
        self._known = standings


def _rows(records: RecordBatch, rows: Sequence[int]) -> RecordBatch:
    """Give some rows of a batch as a batch, in their order."""
    if len(rows) == len(records):
        return records
    unreadable = set(records.unreadable)
    ends = [0, *np.searchsorted(rows, [span.stop for span in records.spans]).tolist()]
    return RecordBatch(
        topic=records.topic,
        spans=tuple(
            Span(span.partition, start, stop)
            for span, start, stop in zip(records.spans, ends[:-1], ends[1:], strict=True)
            if stop > start
        ),
        offsets=records.offsets[rows],
        timestamps_ms=records.timestamps_ms[rows],
        keys=[records.keys[row] for row in rows],
        values=[records.values[row] for row in rows],
        headers=[records.headers[row] for row in rows],
        unreadable=tuple(at for at, row in enumerate(rows) if row in unreadable),
    )
