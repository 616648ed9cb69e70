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
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from sidecar.clock import Clock
from sidecar.config.settings import SidecarSettings
from sidecar.errors import SinkUnavailableError, SourceUnavailableError, StalledError
from sidecar.events import DecisionBatch, Decoded, RecordBatch, Refusal, Rejection
from sidecar.ports import Lag, Sink, Source
from sidecar.runtime.assignment import Assignment
from sidecar.runtime.commits import Committer
from sidecar.runtime.flow import Flow
from sidecar.runtime.health import Health, Trouble
from sidecar.runtime.observers import Observers
from sidecar.runtime.offsets import OffsetTracker, Ticket
from sidecar.runtime.recovery import Recovery
from sidecar.runtime.reject_gate import RejectGate
from sidecar.runtime.stages import Stages, rejected
from sidecar.telemetry.metrics import Metrics

_POLL_S = 0.5
_WATCH_S = 2.0
_STALL_S = 120.0
# A batch that fills less than this share of the top counts as small: the load is low, and the
# next round may wait for `linger`.
_SMALL_SHARE = 1 / 8


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch between the first task and the second."""

    records: RecordBatch
    tickets: list[Ticket]
    decoded: Decoded


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch between the second task and the third."""

    batch: _Batch
    decisions: DecisionBatch
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
    ) -> None:
        """Join the parts; nothing is connected before `run`."""
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
        self.lag: dict[int, Lag] = {}
        self.last_read: dict[int, tuple[int, int]] = {}
        """By partition: the offset after the last record read, and that record's timestamp."""
        self._committer = Committer(
            source, self.tracker, metrics, settings.delivery.commit_interval.seconds
        )
        self._assignment = Assignment(
            source=source,
            tracker=self.tracker,
            flow=self.flow,
            committer=self._committer,
            observers=observers,
            stages=stages,
            clock=clock,
            metrics=metrics,
            # The group waits rebalance_timeout for all of us; half of it leaves room for the
            # commit and for the others.
            revoke_s=settings.kafka.rebalance_timeout.seconds / 2,
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
        )
        self._gate = RejectGate(settings.limits.dead_letter_share)
        self._decoded: asyncio.Queue[_Batch | None] = asyncio.Queue(1)
        self._sent: asyncio.Queue[_Sent | None] = asyncio.Queue(1)
        self._last_progress_s = clock.monotonic()
        self._revived = False
        self._left_behind = False
        self._resume: asyncio.TimerHandle | None = None

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
        if not await self._recovery.connect(self._assignment):
            return True
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(task)
                for task in (
                    self._committer.run(),
                    self._recovery.mend(),
                    self._watch(),
                    self._pulse(),
                )
            ]
            group.create_task(self._read())
            group.create_task(self._decide())
            await group.create_task(self._settle())
            for task in background:
                task.cancel()
        committed = await self._committer.commit()
        return committed and not self._left_behind and self.tracker.unsettled() == 0

    # --- first task: poll, decode, check -----------------------------------------------------

    async def _read(self) -> None:
        model = self._settings.model
        small = model.max_batch_records * _SMALL_SHARE
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            records = await self._poll(model.max_batch_records)
            if records is None:
                continue
            await self._decoded.put(self._begin(records))
            if len(records) < small:
                # A round costs half a millisecond whatever its size, so at low load it is
                # worth waiting for more records than one.
                rest = model.linger.seconds - (self._clock.monotonic() - began)
                await asyncio.sleep(max(0.0, rest))
        await self._decoded.put(None)

    async def _poll(self, max_records: int) -> RecordBatch | None:
        try:
            return await self._source.poll(max_records, _POLL_S)
        except SourceUnavailableError as error:
            await self._recovery.leave(error)
            undone = bool(self.tracker.unsettled() or self.tracker.committable())
            await self._assignment.give_up(self.tracker.partitions)
            joined = await self._recovery.join(self._assignment)
            # Once we are back, it is read again; but for that there must be time.
            self._left_behind = undone and not joined
            return None

    def _begin(self, records: RecordBatch) -> _Batch:
        tickets = self.tracker.begin(records)
        self._metrics.received(len(records), sum(ticket.fresh for ticket in tickets))
        for span in records.spans:
            last = span.stop - 1
            self.last_read[span.partition] = (
                int(records.offsets[last]) + 1,
                # One that cannot be read has no timestamp: -1.
                int(records.timestamps_ms[span.start : span.stop].max()),
            )
        self._last_progress_s = self._clock.monotonic()
        self._revived = False
        self.flow.update()
        return _Batch(records, tickets, self._stages.decode(records))

    # --- second task: score, decide, encode, send --------------------------------------------

    async def _decide(self) -> None:
        while (batch := await self._decoded.get()) is not None:
            if self.tracker.alive(batch.tickets):
                await self._answer(batch)
        await self._sent.put(None)

    async def _answer(self, batch: _Batch) -> None:
        decisions = await self._stages.decide(batch.decoded)
        if not self.tracker.alive(batch.tickets):
            # It became stale while the model thought. Sent now, it could come before batches
            # that go again; and the cache must not know answers that lie ahead.
            self._stages.decider.forget()
            return
        outbound = self._stages.encode(decisions, batch.decoded.rejections)
        try:
            with self._metrics.stage("send"):
                acknowledged = await self._sink.send(outbound)
        except SinkUnavailableError as error:
            self._sink_failed(batch, error)
            await self._assignment.settled()
        else:
            await self._sent.put(_Sent(batch, decisions, acknowledged))

    # --- third task: acknowledge, observe ----------------------------------------------------

    async def _settle(self) -> None:
        while (sent := await self._sent.get()) is not None:
            try:
                refusals = await sent.acknowledged
                if refusals:
                    await self._bury(sent.batch.records, refusals)
            except SinkUnavailableError as error:
                self._sink_failed(sent.batch, error)
            else:
                self._recovery.sink_worked()
                self._finish(sent, refusals)
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

    def _sink_failed(self, batch: _Batch, error: SinkUnavailableError) -> None:
        # One failure makes all in flight stale; the failures of the others only echo it.
        if self.tracker.alive(batch.tickets):
            self._stages.decider.forget()
            self._recovery.sink_failed(error)

    def _finish(self, sent: _Sent, refusals: Sequence[Refusal]) -> None:
        batch, decisions = sent.batch, sent.decisions
        finished = [ticket for ticket in batch.tickets if self.tracker.finish(ticket)]
        if not finished:
            return
        records = sum(ticket.records for ticket in finished)
        rejections = list(batch.decoded.rejections)
        refused = [r for r in refusals if r.topic == self._settings.topics.decisions]
        if refused:
            rows = [refusal.row for refusal in refused]
            kept = np.isin(decisions.events.rows, rows, invert=True)
            decisions = decisions.take(np.flatnonzero(kept))
            rejections += rejected(refused)
        if len(finished) < len(batch.records.spans):
            decisions, rejections = _only(finished, decisions, rejections)
        self._metrics.settled(
            decisions,
            rejections,
            tombstones=records - len(decisions) - len(rejections),
            now_ms=self._clock.now_ms(),
        )
        with self._metrics.stage("observe"):
            self._observers.settled(decisions, rejections)
        self._committer.count(records)
        self.flow.update()
        if self._gate.count(self._clock.monotonic(), records, len(rejections)):
            self._hold_for_rejects()

    # --- too many dead letters ---------------------------------------------------------------

    def _hold_for_rejects(self) -> None:
        limits = self._settings.limits
        message = (
            f"more than {limits.dead_letter_share:.0%} of the records of the last minute were "
            f"refused; paused for {limits.dead_letter_pause}, nothing is lost: "
            "the dead letters say why"
        )
        self._health.report("dead_letters", Trouble("dead_letter_share", message, kafka=True))
        self._log.error("intake_paused", reason="dead_letter_share", message=message)
        self._metrics.paused("dead_letter_share", on=True)
        self.flow.hold("dead_letters")
        if self._resume is not None:  # what was in flight may trip the gate once more
            self._resume.cancel()
        self._resume = asyncio.get_running_loop().call_later(
            limits.dead_letter_pause.seconds, self._release_after_rejects
        )

    def _release_after_rejects(self) -> None:
        self._gate.reset()
        self._health.clear("dead_letters")
        self._metrics.paused("dead_letter_share", on=False)
        self._log.info("intake_resumed", reason="dead_letter_share")
        self.flow.release("dead_letters")

    # --- watching ----------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Read the lag, and notice a source that gives nothing although there is something."""
        while True:
            await self._ask_for_lag()
            self.last_read = {p: at for p, at in self.last_read.items() if p in self.lag}
            flowing = self.tracker.partitions - self.flow.paused
            waiting = [p for p, lag in self.lag.items() if lag.records and p in flowing]
            silent_s = self._clock.monotonic() - self._last_progress_s
            if not waiting or self.tracker.in_flight():
                self._last_progress_s = self._clock.monotonic()
            elif silent_s > _STALL_S:
                await self._revive(silent_s)
            await asyncio.sleep(_WATCH_S)

    async def _ask_for_lag(self) -> None:
        """Read the lag; brokers are asked even when nothing flows, so silence is noticed."""
        try:
            self.lag = dict(await self._source.lag())
        except SourceUnavailableError as error:
            self._recovery.silent(error)
            # Of brokers that answer nobody, no record can be expected either.
            self._last_progress_s = self._clock.monotonic()
        else:
            self._recovery.answered()

    async def _revive(self, silent_s: float) -> None:
        """Close a silent source, so that the next poll builds it anew; once, then give up."""
        if self._revived:
            raise StalledError(f"no record for {silent_s:.0f} s although some are waiting")
        self._log.error("source_stalled", silent_s=round(silent_s))
        self._revived = True
        self._last_progress_s = self._clock.monotonic()
        await self._source.close(_POLL_S * 10)

    async def _pulse(self) -> None:
        """Measure by how much the event loop is late."""
        loop, every_s = asyncio.get_running_loop(), 0.5
        while True:
            due = loop.time() + every_s
            await asyncio.sleep(every_s)
            self._metrics.loop_lag(max(0.0, loop.time() - due))


def _only(
    finished: Sequence[Ticket], decisions: DecisionBatch, rejections: list[Rejection]
) -> tuple[DecisionBatch, list[Rejection]]:
    """Keep what belongs to the finished partitions; the rest is another member's by now."""
    partitions = [ticket.partition for ticket in finished]
    row_is_ours = np.isin(decisions.events.records.partitions(), partitions)
    kept = np.flatnonzero(row_is_ours[decisions.events.rows])
    return decisions.take(kept), [r for r in rejections if row_is_ours[r.row]]
