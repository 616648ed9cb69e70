"""Commits offsets: regularly, when enough has piled up, and when somebody asks.

Two ways, by what the ledger can do. *Loose*: a batch is finished when it is acknowledged, and
its offsets may be committed at any time later. *Atomic*: what was sent becomes visible together
with its offsets, so nothing else may be on its way while that happens, and a batch is finished
only then.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import numpy as np
import structlog

from sidecar.errors import OwnershipLostError, SinkUnavailableError, SourceUnavailableError
from sidecar.events import DecisionBatch, OutboundBatch, RecordBatch, Refusal, Rejection
from sidecar.monitors.alerts import SPEAKER
from sidecar.ports import Ledger, Sink, Source
from sidecar.runtime.offsets import OffsetTracker, Release, Ticket
from sidecar.runtime.state import Changes, StateKeeper
from sidecar.telemetry.metrics import Metrics

_RECORDS = 5_000
# Least time between two commits that many records bring forward: each is three requests and
# what they are answered with, and at 100,000 records a second twenty of them cost 3 % of the
# CPU. A crash repeats no more for it than what came in that time.
_SPACING_S = 0.25


@dataclass(frozen=True, slots=True)
class Outcome:
    """An acknowledged batch."""

    records: RecordBatch
    tickets: Sequence[Ticket]
    decisions: DecisionBatch
    rejections: Sequence[Rejection]
    releases: Sequence[Release] = ()
    """Records of earlier batches that were held, and have their outcome in this one."""
    joined: Mapping[int, int] = field(default_factory=dict)
    """Records that no row stands for, by partition: another row has their outcome."""

    @property
    def count(self) -> int:
        """Count the records, tombstones included."""
        held = sum(len(release.offsets) for release in self.releases)
        return sum(ticket.records for ticket in self.tickets) + held

    @property
    def joined_count(self) -> int:
        """Count the records that no row stands for."""
        return sum(self.joined.values())

    def of(self, tickets: Sequence[Ticket], releases: Sequence[Release] = ()) -> "Outcome":
        """Keep what belongs to these; the rest is another member's by now."""
        partitions = {ticket.partition for ticket in tickets}
        partitions |= {release.partition for release in releases}
        if partitions.issuperset(span.partition for span in self.records.spans):
            return replace(self, tickets=tickets, releases=releases)
        row_is_ours = np.isin(self.records.partitions(), list(partitions))
        kept = np.flatnonzero(row_is_ours[self.decisions.events.rows])
        return Outcome(
            self.records,
            tickets,
            self.decisions.take(kept),
            [rejection for rejection in self.rejections if row_is_ours[rejection.row]],
            releases,
            {p: count for p, count in self.joined.items() if p in partitions},
        )


class LooseLedger:
    """Writes state by the sink, then commits by the source: at least once."""

    atomic = False

    def __init__(self, source: Source, sink: Sink) -> None:
        """Join the two."""
        self._source = source
        self._sink = sink

    async def begin(self, partitions: Collection[int]) -> None:
        """Nothing to get ready."""

    async def commit(
        self, offsets: Mapping[int, int], state: OutboundBatch
    ) -> Sequence[Refusal]:
        """Write state, then commit: what is committed is always stored."""
        refusals: Sequence[Refusal] = ()
        if len(state):
            refusals = await (await self._sink.send(state))
        if offsets:
            await self._source.commit(offsets)
        return refusals

    async def end(self, partitions: Collection[int]) -> None:
        """Nothing to let go of."""


class Committer:
    """Commits what is finished, one commit at a time."""

    spacing_s = _SPACING_S

    def __init__(
        self,
        ledger: Ledger,
        tracker: OffsetTracker,
        keeper: StateKeeper | None,
        metrics: Metrics,
        *,
        interval_s: float,
        records: int = _RECORDS,
    ) -> None:
        """Commit every `interval_s` or `records` while `run` runs and something is finished."""
        self._ledger = ledger
        self._tracker = tracker
        self._keeper = keeper
        self._metrics = metrics
        self._interval_s = interval_s
        self._most_records = records
        self._due = asyncio.Event()
        self._lock = asyncio.Lock()
        self._records = 0
        self._commits: set[asyncio.Task[bool]] = set()
        self._log = structlog.get_logger()
        self.counted: Callable[[Outcome], None] = lambda outcome: None
        """Told of each batch when monitors may count it."""
        self.finished: Callable[[Outcome], None] = lambda outcome: None
        """Told of each batch that is finished."""
        self.release: Callable[[Sequence[Release]], list[Release]] = lambda releases: []
        """Releases held records whose outcome is acknowledged; gives those that still count."""
        self.sink_failed: Callable[[SinkUnavailableError], None] = lambda error: None
        """Told when the sink broke in a commit."""
        self.written: Callable[[], None] = lambda: None
        """Told after each commit."""
        self.progress = asyncio.Condition()
        """Notified whenever something was settled, committed or given up."""

    async def run(self) -> None:
        """Commit until cancelled."""
        spacing_s = min(self.spacing_s, self._interval_s)
        while True:
            await asyncio.sleep(spacing_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s - spacing_s):
                    await self._due.wait()
            self._due.clear()
            await self.commit()

    def hurry(self) -> None:
        """Bring the next commit forward."""
        self._due.set()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Surround each send."""
        yield

    def sent(self) -> None:
        """Note that a batch is on its way to the sink."""

    def settled(self, outcome: Outcome | None) -> None:
        """Note what became of a batch that was on its way; None when it is stale or failed."""
        if outcome is not None and (outcome := self._finish(outcome)) is not None:
            self.counted(outcome)
            self._count(outcome.count)

    def _finish(self, outcome: Outcome) -> Outcome | None:
        """Note that a batch is done, as far as its tickets still count."""
        finished = [ticket for ticket in outcome.tickets if self._tracker.finish(ticket)]
        released = self.release(outcome.releases)
        if not (finished or released):
            return None
        outcome = outcome.of(finished, released)
        self.finished(outcome)
        return outcome

    def _count(self, records: int) -> None:
        """Note records; many of them bring the next commit forward."""
        self._records += records
        if self._records >= self._most_records:
            self._due.set()

    def drop(self) -> None:
        """Give up what is settled and not committed."""

    async def commit(self, partitions: Collection[int] | None = None) -> bool:
        """Commit what is finished, of all partitions or of the named ones.

        Who gives up waiting does not call the commit back: it comes to its own end.

        Returns:
            Whether nothing that is finished stays uncommitted. A failed commit is not an
            error: the next one covers it, or whoever owns the partition reads again.
        """
        task = asyncio.create_task(self._commit(partitions))
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)
        return await asyncio.shield(task)

    async def _commit(self, partitions: Collection[int] | None) -> bool:
        async with self._lock:
            commits = self._tracker.committable(partitions)
            if not commits and not self._has_news():
                return True
            offsets = {commit.partition: commit.offset for commit in commits}
            done = await self._write(offsets)
            if done:
                self._tracker.committed(commits)
        return done

    async def _write(self, offsets: Mapping[int, int]) -> bool:
        self._records = 0
        # Nothing may be counted between the offsets and the state that goes with them.
        changes = Changes() if self._keeper is None else self._keeper.changes(offsets)
        try:
            refusals = await self._ledger.commit(offsets, changes.batch)
        except (OwnershipLostError, SourceUnavailableError, SinkUnavailableError) as error:
            self._metrics.commit_failed()
            self._log.warning("commit_failed", error=str(error))
            if self._keeper is not None:
                self._keeper.not_stored(changes)
            if isinstance(error, SinkUnavailableError):
                self.sink_failed(error)
            return False
        if self._keeper is not None:
            self._keeper.stored(changes, refusals)
        if offsets:
            self._metrics.committed(offsets)
        self.written()
        return True

    def _has_news(self) -> bool:
        """Whether there is something to store although no offset has moved.

        Not between two shares, when the keeper still holds what is given up already, and not
        while the sink is away.
        """
        keeper = self._keeper
        return keeper is not None and keeper.has_news and self._tracker.flows(SPEAKER)


class AtomicCommitter(Committer):
    """Commits all that was sent together with its offsets.

    Sending waits while that happens: a batch that is sent belongs to the transaction that is
    open then, and its offsets must too.
    """

    spacing_s = 0.0  # what is not committed is in flight, and that is bounded

    def __init__(
        self,
        ledger: Ledger,
        tracker: OffsetTracker,
        keeper: StateKeeper | None,
        metrics: Metrics,
        *,
        interval_s: float,
        records: int = _RECORDS,
    ) -> None:
        """Commit every `interval_s`, and when `records` wait for it."""
        super().__init__(
            ledger, tracker, keeper, metrics, interval_s=interval_s, records=records
        )
        self._sending = asyncio.Lock()
        self._on_their_way = 0
        self._waiting: list[Outcome] = []

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Surround each send; waits while a commit is under way."""
        async with self._sending:
            yield

    def sent(self) -> None:
        """Note that a batch is on its way to the sink."""
        self._on_their_way += 1

    def settled(self, outcome: Outcome | None) -> None:
        """Keep the outcome until its transaction is committed."""
        self._on_their_way -= 1
        if outcome is None:
            return
        alive = [ticket for ticket in outcome.tickets if self._tracker.alive((ticket,))]
        if alive:
            outcome = outcome.of(alive)
            self._waiting.append(outcome)
            self.counted(outcome)
            self._count(outcome.count)

    def drop(self) -> None:
        """Give up what is settled and not committed; it is read again."""
        self._waiting.clear()

    async def _commit(self, partitions: Collection[int] | None) -> bool:
        """Commit all that was sent, whatever partitions are named."""
        async with self._lock, self._sending:
            async with self.progress:
                await self.progress.wait_for(lambda: not self._on_their_way)
            waiting, self._waiting = self._waiting, []
            tickets = [ticket for outcome in waiting for ticket in outcome.tickets]
            offsets = self._tracker.after(tickets)
            if (offsets or self._has_news()) and not await self._write(offsets):
                return False
            for outcome in waiting:
                self._finish(outcome)
            self._tracker.committed(self._tracker.committable(offsets))
        async with self.progress:
            self.progress.notify_all()
        return True
