"""Joins each request of KServe's payload log with its response to one event.

A batch of records goes in, and those that have an outcome come out: a response with its request
is an event where the response stands, a request that found its response is *joined*, and what
waited too long is refused. The rest waits, and comes out with a later batch. Time is that of
the records' timestamps, in each partition for itself, and moves with each record, so neither
the ends of batches nor the wall clock decide anything.

What waits stays in memory until its outcome is acknowledged (`settled`), because going back
does not read it again (`returned`).
"""

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sidecar.bundle.manifest import Manifest
from sidecar.config.settings import InputSettings, LimitSettings
from sidecar.events import (
    Decoded,
    RecordBatch,
    RejectCode,
    Stage,
    UpstreamPrediction,
)
from sidecar.pipeline.columns import FeatureColumns
from sidecar.pipeline.decode import UNREADABLE
from sidecar.pipeline.kserve import Logged, LogReader
from sidecar.pipeline.outcomes import Outcomes, Place, Record, record_of
from sidecar.pipeline.refusal import RefusedError

# There is a handful of batches on the way at most; going back leads to the first of them.
_MOST_BATCHES = 64

Offsets = Mapping[int, Sequence[int]]
"""Offsets by partition."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What comes of a batch, and of what waited before it."""

    records: RecordBatch
    """Those that have an outcome of their own, from this batch and from earlier ones."""
    decoded: Decoded
    """Their outcome; rows are those of `records`."""
    joined: Mapping[int, int]
    """Requests that found their response, by partition: no row stands for them."""
    waiting: Offsets
    """Records of this batch that wait from here on, rising."""
    ended: Offsets
    """Records of earlier batches that have their outcome in this one: rows, or joined."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A record that was read and has no acknowledged outcome."""

    record: Record
    logged: Logged
    waits: bool = False
    """Whether it has no outcome at all."""
    kept: bool = False
    """Whether it came with an earlier batch."""

    @property
    def place(self) -> Place:
        return self.record.place

    @property
    def is_request(self) -> bool:
        return not isinstance(self.logged.content, UpstreamPrediction)

    @property
    def key(self) -> tuple[bool, str]:
        return self.is_request, self.logged.id


class Joiner:
    """The records that wait, and how they find each other."""

    def __init__(
        self, manifest: Manifest, settings: InputSettings, limits: LimitSettings
    ) -> None:
        """Wait for nothing yet.

        Args:
            manifest: The signature and the labels.
            settings: How long and how many may wait.
            limits: Largest and deepest value.
        """
        self._reader = LogReader(manifest, settings, limits)
        self._columns = FeatureColumns(manifest.features)
        self._max_wait_ms = settings.kserve.max_wait.ms
        self._max_pending = settings.kserve.max_pending
        self._kept: dict[int, dict[int, _Entry]] = {}
        """What came with earlier batches and is not settled, by partition and offset."""
        self._fresh: list[_Entry] = []
        """What came with this batch and waits."""
        self._waiting: dict[Place, _Entry] = {}
        self._sought: dict[tuple[bool, str], deque[_Entry]] = {}
        """What waits, by kind and id; equal ids wait in line."""
        self._lines: dict[int, deque[_Entry]] = {}
        """What waits, by partition in the order of the log, and some that waits no more."""
        self._past: dict[int, dict[tuple[bool, str], _Entry]] = {}
        """What lies before the place where reading began, by partition: it has its outcome."""
        self._newest_ms: dict[int, int] = {}
        self._marks: dict[int, deque[tuple[int, int | None]]] = {}
        """By partition: where the last batches began, and the time before each."""

    @property
    def pending(self) -> int:
        """How many records wait."""
        return len(self._waiting)

    def join(self, records: RecordBatch) -> Joined:
        """Take a batch.

        Args:
            records: One poll slice.

        Returns:
            What has an outcome; each record of the batch is in it, joined, or waits.
        """
        out = Outcomes(records.topic)
        unreadable = set(records.unreadable)
        for span in records.spans:
            self._mark(span.partition, int(records.offsets[span.start]))
            for row in range(span.start, span.stop):
                record = record_of(records, row, span)
                self._move_time(record)
                self._expire(span.partition, out)
                if row in unreadable:
                    out.refuse(record, *UNREADABLE, unreadable=True)
                elif (entry := self._read(record, out)) is not None:
                    self._offer(entry, out)
        return self._result(out)

    def flush(self, topic: str) -> Joined:
        """Give up all that waits: no more records come.

        Args:
            topic: Where the records are from.
        """
        out = Outcomes(topic)
        for entry in list(self._waiting.values()):
            self._give_up(entry, "the input ended", out)
        return self._result(out)

    def recall(self, records: RecordBatch) -> None:
        """Look at records that have their outcome, but whose partner may still come.

        Args:
            records: They lie before the place where reading began.
        """
        nowhere = Outcomes(records.topic)
        for span in records.spans:
            for row in range(span.start, span.stop):
                record = record_of(records, row, span)
                self._move_time(record)
                if (entry := self._read(record, nowhere)) is not None:
                    # The bytes are not needed any more, and may be many.
                    entry.record = record._replace(key=None, value=None, headers=())
                    past = self._past.setdefault(span.partition, {})
                    past.pop(entry.key, None)  # the newest is the last one
                    past[entry.key] = entry

    # --- what the runtime knows --------------------------------------------------------------

    def settled(self, partition: int, offsets: Collection[int]) -> None:
        """Forget records of earlier batches whose outcome is acknowledged."""
        for offset in offsets:
            del self._kept[partition][offset]

    def returned(self, partition: int, position: int) -> None:
        """Take back what was on its way, because all from `position` on is read again."""
        self._move_time_back(partition, position)
        kept = self._kept.get(partition, {})
        for offset, entry in list(kept.items()):
            self._stop_waiting(entry)
            if offset >= position:
                del kept[offset]
        self._lines.pop(partition, None)
        for entry in kept.values():
            self._wait(entry)

    def forget(self, partition: int) -> None:
        """Drop all of a partition: another member reads it again."""
        for entry in self._kept.pop(partition, {}).values():
            self._stop_waiting(entry)
        self._lines.pop(partition, None)
        self._past.pop(partition, None)
        self._newest_ms.pop(partition, None)
        self._marks.pop(partition, None)

    # --- finding each other ------------------------------------------------------------------

    def _read(self, record: Record, out: Outcomes) -> _Entry | None:
        """Read one record; None when it has its outcome already."""
        if record.value is None:
            out.pass_over(record)
            return None
        try:
            return _Entry(record, self._reader.read(record.value, record.headers))
        except RefusedError as refused:
            out.refuse(record, Stage.DECODE, refused.code, refused.message, refused.path)
            return None

    def _offer(self, entry: _Entry, out: Outcomes) -> None:
        """Join a record with the one that waits for it, or let it wait."""
        wanted = (not entry.is_request, entry.logged.id)
        if partners := self._sought.get(wanted):
            partner = partners[0]
            self._end(partner, out)
            request, response = (entry, partner) if entry.is_request else (partner, entry)
            out.joined[request.place.partition] += 1
            out.decide(response.record, response.logged, request.logged)
        elif (past := self._recent(wanted)) is None:
            self._fresh.append(entry)
            self._wait(entry)
            if len(self._waiting) > self._max_pending:
                first = next(iter(self._waiting.values()))
                self._give_up(first, f"more than {self._max_pending} records wait", out)
        elif entry.is_request:
            out.joined[entry.place.partition] += 1  # its decision was written before
        else:
            out.decide(entry.record, entry.logged, past.logged)

    def _wait(self, entry: _Entry) -> None:
        entry.waits = True
        self._waiting[entry.place] = entry
        self._sought.setdefault(entry.key, deque()).append(entry)
        self._lines.setdefault(entry.place.partition, deque()).append(entry)

    def _stop_waiting(self, entry: _Entry) -> None:
        if not entry.waits:
            return
        entry.waits = False
        del self._waiting[entry.place]
        self._sought[entry.key].remove(entry)
        if not self._sought[entry.key]:
            del self._sought[entry.key]

    def _end(self, entry: _Entry, out: Outcomes) -> None:
        """Take a record out of waiting: its outcome goes out with this batch."""
        self._stop_waiting(entry)
        if entry.kept:
            out.ended.setdefault(entry.place.partition, []).append(entry.place.offset)

    def _give_up(self, entry: _Entry, why: str, out: Outcomes) -> None:
        self._end(entry, out)
        code = RejectCode.NO_RESPONSE if entry.is_request else RejectCode.NO_REQUEST
        other = "response" if entry.is_request else "request"
        out.refuse(entry.record, Stage.DECODE, code, f"its {other} did not come: {why}")

    # --- time --------------------------------------------------------------------------------

    def _move_time(self, record: Record) -> None:
        partition, now_ms = record.place.partition, record.timestamp_ms
        self._newest_ms[partition] = max(now_ms, self._newest_ms.get(partition, now_ms))

    def _mark(self, partition: int, offset: int) -> None:
        marks = self._marks.setdefault(partition, deque(maxlen=_MOST_BATCHES))
        marks.append((offset, self._newest_ms.get(partition)))

    def _move_time_back(self, partition: int, position: int) -> None:
        """Let it be as late as it was when reading had come to this offset."""
        marks = self._marks.get(partition, deque())
        while marks and marks[-1][0] >= position:
            _, before_ms = marks.pop()
            if before_ms is None:
                self._newest_ms.pop(partition, None)
            else:
                self._newest_ms[partition] = before_ms

    def _expire(self, partition: int, out: Outcomes) -> None:
        """Give up what waits too long."""
        line = self._lines.get(partition, deque())
        while line and (not line[0].waits or self._is_late(line[0])):
            first = line.popleft()
            if first.waits:
                self._give_up(first, f"{self._max_wait_ms / 1000:g} s went by", out)
        if partition in self._past and self._is_late(_last(self._past[partition])):
            del self._past[partition]

    def _is_late(self, entry: _Entry) -> bool:
        timestamp_ms = entry.record.timestamp_ms
        newest_ms = self._newest_ms.get(entry.place.partition, timestamp_ms)
        return timestamp_ms < newest_ms - self._max_wait_ms

    def _recent(self, wanted: tuple[bool, str]) -> _Entry | None:
        found = (past[wanted] for past in self._past.values() if wanted in past)
        return next((entry for entry in found if not self._is_late(entry)), None)

    # --- what comes out ----------------------------------------------------------------------

    def _result(self, out: Outcomes) -> Joined:
        waiting: dict[int, list[int]] = {}
        for entry in self._fresh:
            if entry.waits:
                entry.kept = True
                partition, offset = entry.place
                self._kept.setdefault(partition, {})[offset] = entry
                waiting.setdefault(partition, []).append(offset)
        self._fresh = []
        records, decoded = out.batch(self._columns)
        return Joined(records, decoded, Counter(out.joined), waiting, out.ended)


def _last(entries: dict[tuple[bool, str], _Entry]) -> _Entry:
    return entries[next(reversed(entries))]
