"""The loop: poll, decode | score, decide, send | acknowledge, observe, commit.

Three tasks joined by queues of one batch, so that a batch is decoded while the one before it is
in the model and the one before that waits for its acknowledgement. Batches stay in order
throughout, which is what keeps the order of each partition.

When the sink fails, everything in flight becomes stale at once, the sink is built anew, and the
source goes back to the first record without an acknowledged outcome. Nothing is skipped; what
was written already is written again with the same decision id.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import structlog

from sidecar.clock import Clock
from sidecar.config.settings import SidecarSettings
from sidecar.errors import SinkUnavailableError, SourceUnavailableError
from sidecar.events import Decoded, RecordBatch, Refusal
from sidecar.monitors.alerts import SPEAKER
from sidecar.ports import Ledger, Sink, Source
from sidecar.runtime.assignment import Assignment
from sidecar.runtime.commits import AtomicCommitter, Committer, LooseLedger, Outcome
from sidecar.runtime.flow import Flow
from sidecar.runtime.health import Health
from sidecar.runtime.joining import Joining
from sidecar.runtime.lookup import Lookup
from sidecar.runtime.observers import Observers
from sidecar.runtime.offsets import OffsetTracker, Release, Ticket
from sidecar.runtime.recovery import Recovery
from sidecar.runtime.rejects import RejectPause
from sidecar.runtime.schemas import SchemaBook
from sidecar.runtime.signals import SignalOutbox
from sidecar.runtime.stages import Stages, rejected
from sidecar.runtime.state import StateKeeper
from sidecar.runtime.watch import Watch
from sidecar.telemetry.metrics import Metrics

T = TypeVar("T", Ticket, Release)

_POLL_S = 0.5
_PAUSE_S = 0.05
# A batch that fills less than this share of the top counts as small: the load is low, and the
# next round may wait for `linger`.
_SMALL_SHARE = 1 / 8


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch between the first task and the second."""

    records: RecordBatch
    tickets: list[Ticket]
    decoded: Decoded
    releases: Sequence[Release] = ()
    joined: Mapping[int, int] = field(default_factory=dict)
    """By partition: records whose outcome is that of another one."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch between the second task and the third."""

    outcome: Outcome
    """What it will be when it is acknowledged."""
    acknowledged: Awaitable[Sequence[Refusal]]


class Worker:
    """Moves records from the source to the sink."""

    def __init__(
        self,
        *,
        source: Source,
        sink: Sink,
        stages: Stages,
        observers: Observers,
        settings: SidecarSettings,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        jitter: random.Random,
        keeper: StateKeeper | None = None,
        ledger: Ledger | None = None,
        schemas: SchemaBook | None = None,
        outbox: SignalOutbox | None = None,
    ) -> None:
        """Join the parts; nothing is connected before `run`.

        Args:
            source: Where records come from.
            sink: Where they go to.
            stages: What becomes of them.
            observers: See what was decided.
            settings: With every name filled in.
            clock: For durations.
            metrics: Count.
            health: Is told what troubles.
            jitter: Spreads retries.
            keeper: Keeps the counts of observers; they live in memory alone without one.
            ledger: How offsets are committed; by the source when absent.
            schemas: Looks up the schemas that records name; no registry is asked without it.
            outbox: Tells what monitors find; nobody is told without it.
        """
        self._source = source
        self._sink = sink
        self._stages = stages
        self._observers = observers
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._log = structlog.get_logger()
        self._stopping = asyncio.Event()
        self.tracker = OffsetTracker()
        self.flow = Flow(source, self.tracker, settings.limits.in_flight_records)
        self._keeper = keeper
        ledger = ledger or LooseLedger(source, sink)
        self._outbox = outbox
        self._committer = _committer(ledger, self.tracker, keeper, metrics, settings)
        self._committer.counted = self._observe
        self._committer.finished = self._finished
        self._committer.sink_failed = self._broke
        if outbox is not None:
            outbox.speak_when(self._speaks)
            self._committer.written = outbox.hurry
        self._lookup = Lookup(
            schemas,
            tracker=self.tracker,
            flow=self.flow,
            health=health,
            metrics=metrics,
            jitter=jitter,
            stopping=self._stopping,
        )
        self._assignment = Assignment(
            source=source,
            tracker=self.tracker,
            flow=self.flow,
            committer=self._committer,
            ledger=ledger,
            keeper=keeper,
            observers=observers,
            stages=stages,
            clock=clock,
            metrics=metrics,
            health=health,
            jitter=jitter,
            # The group waits rebalance_timeout for all of us; half of it leaves room for the
            # commit and for the others.
            revoke_s=settings.kafka.rebalance_timeout.seconds / 2,
            stuck=self._lookup.stuck,
        )
        self._recovery = Recovery(
            source=source,
            sink=sink,
            tracker=self.tracker,
            flow=self.flow,
            health=health,
            metrics=metrics,
            jitter=jitter,
            stopping=self._stopping,
            again=self._assignment.again if ledger.atomic else None,
        )
        self.watch = Watch(
            source=source,
            tracker=self.tracker,
            flow=self.flow,
            recovery=self._recovery,
            assignment=self._assignment,
            keeper=keeper,
            instance_id=settings.kafka.instance_id,
            clock=clock,
            metrics=metrics,
        )
        self._joining = None
        if stages.joiner is not None:
            look_back = settings.input.kserve.look_back
            self._joining = Joining(stages.joiner, stages, self.tracker, source, look_back)
            self._committer.release = self._joining.finish
        self._rejects = RejectPause(settings.limits, self.flow, clock, metrics, health)
        self._early: deque[tuple[RecordBatch, list[Ticket]]] = deque()
        """Read while the batch before waited for its schemas."""
        self._decoded: asyncio.Queue[_Batch | None] = asyncio.Queue(1)
        self._sent: asyncio.Queue[_Sent | None] = asyncio.Queue(1)
        self._left_behind = False

    def _speaks(self) -> bool:
        """Whether this process speaks for all: what it counts is restored and its own."""
        ours = SPEAKER in self.tracker.partitions
        return ours and (self._keeper is None or self._keeper.speaks)

    # --- life --------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take nothing new; `run` returns when what is in flight is done."""
        if not self._stopping.is_set():
            self._stopping.set()
            self.flow.hold("draining")

    async def run(self) -> bool:
        """Join and work until `stop`, then drain and commit.

        Returns:
            Whether everything that was read has an acknowledged and committed outcome, but for
            what a rebalance handed back.

        Raises:
            FatalError: In an exception group; going on would harm.
        """
        keeping = asyncio.create_task(self._keeper.run()) if self._keeper else None
        try:
            if not await self._recovery.connect(self._assignment):
                return True
            committed = await self._work(keeping)
        finally:
            self._assignment.close()
            if keeping is not None:
                keeping.cancel()
                await asyncio.wait((keeping,))
        # What is held waits for a record that may never come; the next start reads it again.
        unfinished = self.tracker.unsettled() - self.tracker.held()
        return committed and not self._left_behind and unfinished == 0

    async def _work(self, keeping: asyncio.Task[None] | None) -> bool:
        """Work until told to stop; give whether all that is finished is committed."""
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(task)
                for task in (
                    self._committer.run(),
                    self._recovery.mend(),
                    self.watch.run(),
                    self.watch.pulse(),
                )
            ]
            if keeping is not None:
                background.append(group.create_task(_ended(keeping)))
            if self._outbox is not None:
                background.append(group.create_task(self._outbox.run()))
            group.create_task(self._read())
            group.create_task(self._decide())
            await group.create_task(self._settle())
            # Before the others are cut short: a commit that is under way must come to its end.
            committed = await self._committer.commit()
            if self._outbox is not None and await self._outbox.flush():
                # That it is told is to be known to whoever speaks next.
                committed = await self._committer.commit() and committed
            for task in background:
                task.cancel()
        return committed

    # --- first task: poll, decode, check -----------------------------------------------------

    async def _read(self) -> None:
        model = self._settings.model
        small = model.max_batch_records * _SMALL_SHARE
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            read = self._early.popleft() if self._early else await self._receive(_POLL_S)
            if read is None:
                continue
            records, tickets = read
            batch = await self._events(records, tickets)
            if batch is None:
                continue
            await self._decoded.put(batch)
            if len(records) < small:
                # A round costs half a millisecond whatever its size, so at low load it is
                # worth waiting for more records than one.
                rest = model.linger.seconds - (self._clock.monotonic() - began)
                await asyncio.sleep(max(0.0, rest))
        await self._decoded.put(None)

    async def _wait(self, seconds: float) -> list[Ticket]:
        """Let a batch wait for its schemas; the client needs its polls meanwhile.

        The flow is held, so nothing should come; what comes all the same is kept in its order.
        """
        await self._assignment.settled()
        began = self._clock.monotonic()
        read = await self._receive(min(seconds, _POLL_S))
        if read is not None:
            self._early.append(read)
            return read[1]
        # A poll amid a rebalance ends at once.
        spent = self._clock.monotonic() - began
        await asyncio.sleep(min(seconds, max(0.0, _PAUSE_S - spent)))
        return []

    async def _receive(self, timeout_s: float) -> tuple[RecordBatch, list[Ticket]] | None:
        """Poll, and note what came as in flight."""
        records = await self._poll(timeout_s)
        return None if records is None else (records, self._begin(records))

    async def _poll(self, timeout_s: float) -> RecordBatch | None:
        try:
            records = await self._source.poll(self._settings.model.max_batch_records, timeout_s)
            if self._joining is not None and records is not None:
                records = await self._joining.looked_back(records)
            return records
        except SourceUnavailableError as error:
            await self._recovery.leave(error)
            undone = bool(self.tracker.unsettled() or self.tracker.committable())
            await self._assignment.give_up(self.tracker.partitions)
            joined = await self._recovery.join(self._assignment)
            # Once we are back, it is read again; but for that there must be time.
            self._left_behind = undone and not joined
            return None

    def _begin(self, records: RecordBatch) -> list[Ticket]:
        tickets = self.tracker.begin(records)
        self._metrics.received(len(records), sum(ticket.fresh for ticket in tickets))
        self.watch.progress(records)
        self.flow.update()
        return tickets

    async def _events(self, records: RecordBatch, tickets: list[Ticket]) -> _Batch | None:
        """Decode what was just begun; None when it became stale before it could be."""
        if self._joining is not None:
            joined = self._joining.join(records, tickets)
            self.flow.update()
            return _Batch(
                joined.records, joined.tickets, joined.decoded, joined.releases, joined.joined
            )
        schemas = await self._lookup.schemas(records, tickets, self._wait)
        if schemas is None:
            return None
        return _Batch(records, tickets, self._stages.decode(records, schemas))

    # --- second task: score, decide, encode, send --------------------------------------------

    async def _decide(self) -> None:
        while (batch := await self._decoded.get()) is not None:
            if self.tracker.alive((*batch.tickets, *batch.releases)):
                await self._answer(batch)
        await self._sent.put(None)

    def _alive(self, parts: Sequence[T]) -> list[T]:
        return [part for part in parts if self.tracker.alive((part,))]

    async def _answer(self, batch: _Batch) -> None:
        decisions = await self._stages.decide(batch.decoded)
        async with self._committer.sending():
            whole = Outcome(
                batch.records,
                batch.tickets,
                decisions,
                batch.decoded.rejections,
                batch.releases,
                batch.joined,
            )
            ours = whole.of(self._alive(batch.tickets), self._alive(batch.releases))
            if not (ours.tickets or ours.releases):
                # It became stale while the model thought. Sent now, it could come before
                # batches that go again; and the cache must not know answers that lie ahead.
                self._stages.decider.forget()
                return
            outbound = self._stages.encode(ours.decisions, ours.rejections)
            try:
                with self._metrics.stage("send"):
                    acknowledged = await self._sink.send(outbound)
            except SinkUnavailableError as error:
                self._sink_failed(ours, error)
                await self._assignment.settled()
            else:
                self._committer.sent()
                await self._sent.put(_Sent(ours, acknowledged))

    # --- third task: acknowledge, observe ----------------------------------------------------

    async def _settle(self) -> None:
        while (sent := await self._sent.get()) is not None:
            outcome: Outcome | None = None
            try:
                refusals = await sent.acknowledged
                if refusals:
                    await self._bury(sent.outcome.records, refusals)
            except SinkUnavailableError as error:
                self._sink_failed(sent.outcome, error)
            else:
                self._recovery.sink_worked()
                outcome = self._without(sent.outcome, refusals)
            self._committer.settled(outcome)
            self.flow.update()
            await self._assignment.settled()

    async def _bury(self, records: RecordBatch, refusals: Sequence[Refusal]) -> None:
        """Write a dead letter for each refused record; a stub where that is refused too."""
        decisions_topic = self._settings.topics.decisions
        decisions = [refusal for refusal in refusals if refusal.topic == decisions_topic]
        letters = [refusal for refusal in refusals if refusal.topic != decisions_topic]
        if decisions:
            letters += await (await self._sink.send(self._stages.refused(records, decisions)))
        if letters:
            last = await (await self._sink.send(self._stages.stubs(records, letters)))
            if last:
                raise SinkUnavailableError("dead_letter_refused", last[0].message)
        self._log.warning("records_refused", records=len(refusals), error=refusals[0].message)

    def _sink_failed(self, outcome: Outcome, error: SinkUnavailableError) -> None:
        # One failure makes all in flight stale; the failures of the others only echo it.
        if self.tracker.alive((*outcome.tickets, *outcome.releases)):
            self._broke(error)

    def _broke(self, error: SinkUnavailableError) -> None:
        self._stages.decider.forget()
        self._committer.drop()
        self._recovery.sink_failed(error)

    def _without(self, outcome: Outcome, refusals: Sequence[Refusal]) -> Outcome:
        """Turn refused decisions into the dead letters that they became."""
        refused = [r for r in refusals if r.topic == self._settings.topics.decisions]
        if not refused:
            return outcome
        rows = [refusal.row for refusal in refused]
        kept = np.isin(outcome.decisions.events.rows, rows, invert=True)
        return replace(
            outcome,
            decisions=outcome.decisions.take(np.flatnonzero(kept)),
            rejections=[*outcome.rejections, *rejected(refused)],
        )

    def _observe(self, outcome: Outcome) -> None:
        with self._metrics.stage("observe"):
            self._observers.settled(outcome.decisions, outcome.rejections)

    def _finished(self, outcome: Outcome) -> None:
        decisions, rejections = outcome.decisions, outcome.rejections
        self._metrics.settled(
            decisions,
            rejections,
            tombstones=outcome.count - len(decisions) - len(rejections) - outcome.joined_count,
            joined=outcome.joined_count,
            now_ms=self._clock.now_ms(),
        )
        self.flow.update()
        self._rejects.count(outcome.count, len(rejections))


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for the end of a task that should have none, and raise what ended it."""
    await asyncio.wait((task,))
    task.result()


def _committer(
    ledger: Ledger,
    tracker: OffsetTracker,
    keeper: StateKeeper | None,
    metrics: Metrics,
    settings: SidecarSettings,
) -> Committer:
    """Build the committer that fits the ledger."""
    delivery, limits = settings.delivery, settings.limits
    if not ledger.atomic:
        interval_s = delivery.commit_interval.seconds
        return Committer(ledger, tracker, keeper, metrics, interval_s=interval_s)
    return AtomicCommitter(
        ledger,
        tracker,
        keeper,
        metrics,
        interval_s=delivery.transaction_interval.seconds,
        # All of it is in flight until then, and a full partition stands still.
        records=max(1, limits.in_flight_records // 2),
    )
