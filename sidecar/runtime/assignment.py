"""What happens when partitions come and go."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial

import structlog

from sidecar.clock import Clock
from sidecar.errors import SinkUnavailableError, SourceUnavailableError
from sidecar.ports import Ledger, Place, Source
from sidecar.runtime.commits import Committer
from sidecar.runtime.deadline import Deadline
from sidecar.runtime.flow import Flow
from sidecar.runtime.health import Health, Trouble
from sidecar.runtime.observers import Observers
from sidecar.runtime.offsets import OffsetTracker
from sidecar.runtime.retry import backoff
from sidecar.runtime.stages import Stages
from sidecar.runtime.state import StateKeeper
from sidecar.telemetry.metrics import Metrics

_END_S = 5.0
# What is finished and not committed is decided once more by the next owner: worth some seconds,
# and not the patience of the whole group.
_COMMIT_S = 5.0
_COMMIT_AGAIN_S = 0.5
# The client's part for the group can fall silent while its other parts work; then only a new
# client helps.
_SILENT_TRIES = 3
_SILENT_S = 20.0
# A group that gives somebody the same share this often within so long is not at rest. Ordinary
# members that come and go change the share, or do it more slowly.
_CHURN_TURNS = 5
CHURN_S = 20.0
# After so long without an assignment it is at rest again.
_PEACE_S = 6.0


class Assignment:
    """The source's `PartitionListener`.

    The group hands all partitions back before it hands the new share out, also those that stay.
    So what belongs to a partition is dropped when the new share is known, not when the old one
    is taken away.

    Partitions whose state is kept, or whose writers must be fenced, come paused and are got
    ready in the background: a listener that takes its time is put out of its group.
    """

    def __init__(
        self,
        *,
        source: Source,
        tracker: OffsetTracker,
        flow: Flow,
        committer: Committer,
        ledger: Ledger,
        keeper: StateKeeper | None,
        observers: Observers,
        stages: Stages,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        jitter: random.Random,
        revoke_s: float,
        stuck: Callable[[Collection[int]], int],
    ) -> None:
        """Allow `revoke_s` for finishing what is in flight when partitions leave.

        `stuck` counts the records in flight that are not worth waiting for.
        """
        self._source = source
        self._tracker = tracker
        self._flow = flow
        self._committer = committer
        self._ledger = ledger
        self._keeper = keeper
        self._observers = observers
        self._stages = stages
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._jitter = jitter
        self._revoke_s = revoke_s
        self._stuck = stuck
        self._share: frozenset[int] = frozenset()
        self._turns = 0
        """Counts how often partitions came or were given up."""
        self._came_s: deque[float] = deque(maxlen=_CHURN_TURNS)
        """When the same share was given, the last times."""
        self._silences_s: list[float] = []
        """When the source gave no answer, since it gave one."""
        self._preparing: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    # --- coming ------------------------------------------------------------------------------

    async def assigned(self, partitions: Collection[int]) -> None:
        """Take the partitions of a new share; what left for good is dropped."""
        gone = self._share - frozenset(partitions)
        if self._share != frozenset(partitions):
            self._came_s.clear()
        self._came_s.append(self._clock.monotonic())
        self._share = frozenset(partitions)
        if self._keeper is not None:
            self._keeper.release(self._tracker.partitions | gone | self._share)
            self._observers.released(gone)
        elif gone:
            self._observers.revoked(gone)
        # What was never revoked, because the client broke in the middle of it, is gone as well.
        self._take(partitions)
        self._metrics.rebalanced(len(partitions))
        self._log.info("partitions_assigned", partitions=sorted(partitions))

    @property
    def churning(self) -> bool:
        """Whether the group gives us the same share again and again."""
        times = self._came_s
        return (
            len(times) == _CHURN_TURNS
            and times[-1] - times[0] < CHURN_S
            and self._clock.monotonic() - times[-1] < _PEACE_S
        )

    async def again(self) -> None:
        """Get the partitions of the share ready anew; what is not committed is read again."""
        partitions = self._tracker.partitions
        if self._keeper is not None:
            self._keeper.forget(partitions)
        self._take(partitions)

    def _take(self, partitions: Collection[int]) -> None:
        self._turns += 1
        self._silences_s.clear()
        self._committer.drop()
        self._metrics.returned(self._tracker.revoke(self._tracker.partitions))
        self._tracker.assign(partitions)
        waits = self._ledger.atomic or self._keeper is not None
        self._flow.assigned(restoring=partitions if waits else ())
        if waits:
            self._prepare_in_background(partitions)

    def _prepare_in_background(self, partitions: Collection[int]) -> None:
        self.close()
        if partitions:
            trouble = Trouble("restoring", "the state of partitions is restored", kafka=True)
            self._health.report("state", trouble)
            self._preparing = asyncio.create_task(self._prepare(frozenset(partitions)))

    async def _prepare(self, partitions: frozenset[int]) -> None:
        """Get partitions ready, however long it takes, as long as they are ours."""
        began_s = self._clock.monotonic()
        for wait_s in backoff(self._jitter):
            try:
                await self._ready(partitions)
            except (SinkUnavailableError, SourceUnavailableError) as error:
                trouble = Trouble("state_unavailable", str(error), kafka=True)
                if self._health.report("state", trouble):
                    self._log.warning("state_unavailable", error=str(error))
                if self._is_silent():
                    self._log.error("source_stalled", silent_s=round(_SILENT_S))
                    await self._source.close(_END_S)
                    return  # the next poll finds it closed, and joins anew
                await asyncio.sleep(wait_s)
            else:
                break
        self._health.clear("state")
        self._metrics.restored(self._clock.monotonic() - began_s)
        self._flow.restored(partitions)

    async def _ready(self, partitions: frozenset[int]) -> None:
        # Only behind the fence does the committed offset stand still.
        await self._ledger.begin(partitions)
        if self._keeper is not None:
            await self._keeper.restore(partial(self._places, partitions))
        else:
            await self._places(partitions)  # only to notice that it is silent
        if self._ledger.atomic:
            await self._source.rewind(partitions, {})

    async def _places(self, partitions: frozenset[int]) -> Mapping[int, Place]:
        try:
            places = await self._source.places(partitions)
        except SourceUnavailableError:
            self._silences_s.append(self._clock.monotonic())
            raise
        self._silences_s.clear()
        return places

    def _is_silent(self) -> bool:
        """Whether the source gave no answer for a while, however often it was asked."""
        silences_s = self._silences_s
        return len(silences_s) >= _SILENT_TRIES and silences_s[-1] - silences_s[0] >= _SILENT_S

    # --- going -------------------------------------------------------------------------------

    async def revoked(self, partitions: Collection[int]) -> None:
        """Finish what is in flight of these partitions, commit it, and let go.

        When the client breaks meanwhile and comes back, this may outlive the share that it was
        called for; then it leaves the next one alone.
        """
        turn = self._turns
        self._flow.leave(partitions)
        deadline = Deadline(self._clock, self._revoke_s)
        self._committer.hurry()
        progress = self._committer.progress
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline.left()), progress:
                await progress.wait_for(
                    lambda: turn != self._turns or not self._under_way(partitions)
                )
        with suppress(TimeoutError):
            async with asyncio.timeout(min(_COMMIT_S, max(1.0, deadline.left()))):
                await self._commit(partitions, turn)
        if turn == self._turns:
            await self.give_up(partitions)
            self._log.info("partitions_revoked", partitions=sorted(partitions))

    async def _commit(self, partitions: Collection[int], turn: int) -> None:
        """Commit what is finished; a sink that broke, and that state needs, is waited for."""
        for wait_s in backoff(self._jitter, first_s=_COMMIT_AGAIN_S, top_s=_COMMIT_AGAIN_S):
            done = await self._committer.commit(partitions)
            if done or turn != self._turns or "sink" not in self._flow.holds:
                return
            await asyncio.sleep(wait_s)

    def _under_way(self, partitions: Collection[int]) -> bool:
        """Tell whether anything of these partitions is about to be finished."""
        tracker = self._tracker
        return tracker.moving(partitions) and (
            tracker.in_flight(partitions) > self._stuck(partitions)
        )

    async def give_up(self, partitions: Collection[int]) -> None:
        """Let go at once; whoever owns the partitions reads what is unfinished again."""
        self._turns += 1
        self.close()
        self._committer.drop()
        self._metrics.returned(self._tracker.revoke(partitions))
        self._stages.decider.forget()
        self._flow.update()
        await self.settled()
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await self._ledger.end(partitions)

    def raise_failure(self) -> None:
        """Raise what ended the task that gets partitions ready, if anything did."""
        task = self._preparing
        if task is not None and task.done() and not task.cancelled():
            task.result()

    def close(self) -> None:
        """Stop getting partitions ready."""
        if self._preparing is not None:
            self._preparing.cancel()
            self._preparing = None
            self._health.clear("state")

    async def settled(self) -> None:
        """Tell a revocation that waits to look again: a batch is done, or given up."""
        async with self._committer.progress:
            self._committer.progress.notify_all()
