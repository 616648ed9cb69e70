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
from collections.abc import Awaitable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import structlog

from sidecar.clock import Clock
from sidecar.config.settings import SidecarSettings
from sidecar.errors import (
    OwnershipLostError,
    SinkUnavailableError,
    SourceUnavailableError,
    StalledError,
)
from sidecar.events import DecisionBatch, Decoded, RecordBatch, Refusal, Rejection
from sidecar.ports import Lag, Sink, Source
from sidecar.runtime.deadline import Deadline
from sidecar.runtime.flow import Flow
from sidecar.runtime.health import Health, State, Trouble
from sidecar.runtime.observers import Observers
from sidecar.runtime.offsets import OffsetTracker, Ticket
from sidecar.runtime.reject_gate import RejectGate
from sidecar.runtime.retry import backoff
from sidecar.runtime.stages import Stages, rejected
from sidecar.telemetry.metrics import Metrics

_POLL_S = 0.5
_COMMIT_RECORDS = 5_000
_WATCH_S = 5.0
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
    """Moves records from the source to the sink. Also the source's `PartitionListener`."""

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
        self._jitter = jitter
        self._log = structlog.get_logger()
        self.tracker = OffsetTracker()
        self.flow = Flow(source, self.tracker, settings.limits.in_flight_records)
        self.lag: dict[int, Lag] = {}
        self.last_read_ms: dict[int, int] = {}
        self._gate = RejectGate(settings.limits.dead_letter_share)
        self._decoded: asyncio.Queue[_Batch | None] = asyncio.Queue(1)
        self._sent: asyncio.Queue[_Sent | None] = asyncio.Queue(1)
        self._stopping = asyncio.Event()
        self._sink_broken = asyncio.Event()
        self._commit_due = asyncio.Event()
        self._commit_lock = asyncio.Lock()
        self._settled = asyncio.Condition()
        self._uncommitted = 0
        self._watched: frozenset[int] = frozenset()
        self._last_progress_s = clock.monotonic()
        self._revived = False

    # --- life --------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take nothing new; `run` returns when what is in flight is done."""
        if not self._stopping.is_set():
            self._stopping.set()
            self.flow.hold("draining")

    async def run(self) -> bool:
        """Join and work until `stop`, then drain and commit.

        Returns:
            Whether everything that was read has an acknowledged outcome.

        Raises:
            FatalError: In an exception group; going on would harm.
        """
        if not await self._connect():
            return True
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(task)
                for task in (
                    self._commit_regularly(),
                    self._mend(),
                    self._watch(),
                    self._pulse(),
                )
            ]
            group.create_task(self._read())
            group.create_task(self._decide())
            await group.create_task(self._settle())
            for task in background:
                task.cancel()
        committed = await self._commit()
        return committed and self.tracker.unsettled() == 0

    async def _connect(self) -> bool:
        """Start the sink, then the source; both again and again until they do or `stop`."""
        starts = (("sink", self._sink.start), ("source", self._start_source))
        for part, start in starts:
            for wait_s in backoff(self._jitter):
                try:
                    await self._unless_stopped(start())
                except (SinkUnavailableError, SourceUnavailableError) as error:
                    self._trouble(part, error)
                else:
                    break
                await self._pause(wait_s)
            if self._stopping.is_set():
                return False
            self._well(part)
        return True

    async def _unless_stopped(self, work: Awaitable[None]) -> None:
        """Await something that `stop` may cut short."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            return
        task.result()

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not through `stop`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _start_source(self) -> None:
        await self._source.start(self)

    def _trouble(self, part: str, error: Exception) -> None:
        reason = (
            error.reason if isinstance(error, SinkUnavailableError) else "kafka_unreachable"
        )
        if self._health.report(part, Trouble(reason, str(error), kafka=True)):
            self._log.warning("kafka_unavailable", part=part, reason=reason, error=str(error))

    def _well(self, part: str) -> None:
        if self._health.clear(part):
            self._log.info("kafka_available", part=part)

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
            self._trouble("source", error)
            await self._rejoin()
            return None

    def _begin(self, records: RecordBatch) -> _Batch:
        tickets = self.tracker.begin(records)
        self._metrics.received(len(records), sum(ticket.fresh for ticket in tickets))
        for span in records.spans:
            self.last_read_ms[span.partition] = int(records.timestamps_ms[span.stop - 1])
        self._last_progress_s = self._clock.monotonic()
        self._revived = False
        self.flow.update()
        return _Batch(records, tickets, self._stages.decode(records))

    async def _rejoin(self) -> None:
        """Build the source anew; whoever owns its partitions by then reads on."""
        await self._source.close(_POLL_S * 10)
        self._give_up(self.tracker.partitions)
        for wait_s in backoff(self._jitter):
            if self._stopping.is_set():
                return
            try:
                await self._unless_stopped(self._start_source())
            except SourceUnavailableError as error:
                self._trouble("source", error)
                await self._pause(wait_s)
            else:
                self._well("source")
                return

    # --- second task: score, decide, encode, send --------------------------------------------

    async def _decide(self) -> None:
        while (batch := await self._decoded.get()) is not None:
            if not self.tracker.alive(batch.tickets):
                continue
            decisions = await self._stages.decide(batch.decoded)
            outbound = self._stages.encode(decisions, batch.decoded.rejections)
            try:
                with self._metrics.stage("send"):
                    acknowledged = await self._sink.send(outbound)
            except SinkUnavailableError as error:
                self._sink_failed(batch, error)
                continue
            await self._sent.put(_Sent(batch, decisions, acknowledged))
        await self._sent.put(None)

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
                self._finish(sent, refusals)
            async with self._settled:
                self._settled.notify_all()

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

    def _finish(self, sent: _Sent, refusals: Sequence[Refusal]) -> None:
        batch, decisions = sent.batch, sent.decisions
        finished = [ticket for ticket in batch.tickets if self.tracker.finish(ticket)]
        if not finished:
            return
        records = sum(ticket.records for ticket in finished)
        rejections = [*batch.decoded.rejections, *rejected(refusals)]
        if len(finished) < len(batch.records.spans):
            decisions, rejections = _only(finished, decisions, rejections)
        refused = {refusal.row for refusal in refusals}
        if refused:
            kept = np.isin(decisions.events.rows, list(refused), invert=True)
            decisions = decisions.take(np.flatnonzero(kept))
        self._metrics.settled(
            decisions,
            rejections,
            tombstones=records - len(decisions) - len(rejections),
            now_ms=self._clock.now_ms(),
        )
        with self._metrics.stage("observe"):
            self._observers.settled(decisions, rejections)
        self._count(records, len(rejections))

    def _count(self, records: int, rejections: int) -> None:
        self.flow.update()
        self._uncommitted += records
        if self._uncommitted >= _COMMIT_RECORDS:
            self._commit_due.set()
        if self._gate.count(self._clock.monotonic(), records, rejections):
            self._hold_for_rejects()

    def _hold_for_rejects(self) -> None:
        pause = self._settings.limits.dead_letter_pause
        share = self._settings.limits.dead_letter_share
        message = (
            f"more than {share:.0%} of the records of the last minute were refused; "
            f"paused for {pause}, nothing is lost: see the dead letters for the cause"
        )
        self._health.report("dead_letters", Trouble("dead_letter_share", message))
        self._log.error("intake_paused", reason="dead_letter_share", message=message)
        self._metrics.paused("dead_letter_share", on=True)
        self.flow.hold("dead_letters")
        asyncio.get_running_loop().call_later(pause.seconds, self._release_after_rejects)

    def _release_after_rejects(self) -> None:
        self._gate.reset()
        self._health.clear("dead_letters")
        self._metrics.paused("dead_letter_share", on=False)
        self._log.info("intake_resumed", reason="dead_letter_share")
        self.flow.release("dead_letters")

    # --- the sink's failures -----------------------------------------------------------------

    def _sink_failed(self, batch: _Batch, error: SinkUnavailableError) -> None:
        if not self.tracker.alive(batch.tickets):
            return  # one failure makes all in flight stale; the others only echo it
        self._trouble("sink", error)
        self._metrics.producer_rebuilt(error.reason)
        self._metrics.paused("sink", on=True)
        self.tracker.restart(self.tracker.partitions)
        self.flow.hold("sink")
        self._sink_broken.set()

    async def _mend(self) -> None:
        """Whenever the sink broke: build it anew, then read again what has no outcome."""
        while True:
            await self._sink_broken.wait()
            for wait_s in backoff(self._jitter):
                try:
                    await self._sink.start()
                    positions = self.tracker.restart(self.tracker.partitions)
                    await self._source.rewind(self.tracker.partitions, positions)
                except (SinkUnavailableError, SourceUnavailableError) as error:
                    self._trouble("sink", error)
                    await asyncio.sleep(wait_s)
                else:
                    break
            self._sink_broken.clear()
            self._well("sink")
            self._metrics.paused("sink", on=False)
            self.flow.release("sink")

    # --- commits ------------------------------------------------------------------------------

    async def _commit_regularly(self) -> None:
        interval_s = self._settings.delivery.commit_interval.seconds
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._commit_due.wait()
            self._commit_due.clear()
            await self._commit()

    async def _commit(self, partitions: Collection[int] | None = None) -> bool:
        """Commit what is finished.

        Returns:
            Whether nothing finished is left uncommitted.
        """
        async with self._commit_lock:
            commits = self.tracker.committable(partitions)
            if not commits:
                return True
            self._uncommitted = 0
            try:
                await self._source.commit({c.partition: c.offset for c in commits})
            except (OwnershipLostError, SourceUnavailableError) as error:
                self._metrics.commit_failed()
                self._log.warning("commit_failed", error=str(error))
                return False
            self.tracker.committed(commits)
            self._metrics.committed({c.partition: c.offset for c in commits})
            return True

    # --- partitions come and go --------------------------------------------------------------

    async def assigned(self, partitions: Collection[int]) -> None:
        """Take the partitions of a new assignment; what left for good is dropped."""
        gone = self._watched - frozenset(partitions)
        self._watched = frozenset(partitions)
        if gone:
            self._observers.revoked(gone)
        for partition in gone:
            self.lag.pop(partition, None)
            self.last_read_ms.pop(partition, None)
        self.tracker.assign(partitions)
        self.flow.assigned()
        self._metrics.rebalanced(len(partitions))
        self._log.info("partitions_assigned", partitions=sorted(partitions))

    async def revoked(self, partitions: Collection[int]) -> None:
        """Finish what is in flight of these partitions, commit it, and let go."""
        self._source.pause(partitions)
        budget_s = self._settings.kafka.rebalance_timeout.seconds / 2
        deadline = Deadline(self._clock, budget_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline.left()), self._settled:
                await self._settled.wait_for(lambda: not self.tracker.in_flight(partitions))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(1.0, deadline.left())):
                await self._commit(partitions)
        self._give_up(partitions)
        self._log.info("partitions_revoked", partitions=sorted(partitions))

    def _give_up(self, partitions: Collection[int]) -> None:
        self._metrics.returned(self.tracker.revoke(partitions))
        self._stages.decider.forget()
        self.flow.update()

    # --- watching -----------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Read the lag, and notice a source that gives nothing although there is something."""
        while True:
            self.lag = dict(await self._source.lag())
            waiting = [
                p for p, lag in self.lag.items() if lag.records and p not in self.flow.paused
            ]
            silent_s = self._clock.monotonic() - self._last_progress_s
            if not waiting or self.tracker.in_flight():
                self._last_progress_s = self._clock.monotonic()
            elif silent_s > _STALL_S:
                await self._revive(silent_s)
            await asyncio.sleep(_WATCH_S)

    async def _revive(self, silent_s: float) -> None:
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

    @property
    def joined(self) -> bool:
        """Whether the group gave us our share, be it an empty one."""
        return (
            self._health.phase is not State.STARTING and "source" not in self._health.troubles
        )


def _only(
    finished: Sequence[Ticket], decisions: DecisionBatch, rejections: list[Rejection]
) -> tuple[DecisionBatch, list[Rejection]]:
    """Keep what belongs to the finished partitions; the rest is another member's by now."""
    partitions = {ticket.partition for ticket in finished}
    row_is_ours = np.isin(decisions.events.records.partitions(), list(partitions))
    kept = np.flatnonzero(row_is_ours[decisions.events.rows])
    return decisions.take(kept), [r for r in rejections if row_is_ours[r.row]]
