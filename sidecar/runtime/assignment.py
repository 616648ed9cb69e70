"""What happens when partitions come and go."""

import asyncio
from collections.abc import Collection
from contextlib import suppress

import structlog

from sidecar.clock import Clock
from sidecar.ports import Source
from sidecar.runtime.commits import Committer
from sidecar.runtime.deadline import Deadline
from sidecar.runtime.flow import Flow
from sidecar.runtime.observers import Observers
from sidecar.runtime.offsets import OffsetTracker
from sidecar.runtime.stages import Stages
from sidecar.telemetry.metrics import Metrics


class Assignment:
    """The source's `PartitionListener`.

    The group hands all partitions back before it hands the new share out, also those that stay.
    So what belongs to a partition is dropped when the new share is known, not when the old one
    is taken away.
    """

    def __init__(
        self,
        *,
        source: Source,
        tracker: OffsetTracker,
        flow: Flow,
        committer: Committer,
        observers: Observers,
        stages: Stages,
        clock: Clock,
        metrics: Metrics,
        revoke_s: float,
    ) -> None:
        """Allow `revoke_s` for finishing what is in flight when partitions leave."""
        self._source = source
        self._tracker = tracker
        self._flow = flow
        self._committer = committer
        self._observers = observers
        self._stages = stages
        self._clock = clock
        self._metrics = metrics
        self._revoke_s = revoke_s
        self._share: frozenset[int] = frozenset()
        self._turns = 0
        """Counts how often partitions came or were given up."""
        self._settled = asyncio.Condition()
        self._log = structlog.get_logger()

    async def assigned(self, partitions: Collection[int]) -> None:
        """Take the partitions of a new share; what left for good is dropped."""
        gone = self._share - frozenset(partitions)
        self._share = frozenset(partitions)
        if gone:
            self._observers.revoked(gone)
        # What was never revoked, because the client broke in the middle of it, is gone as well.
        self._metrics.returned(self._tracker.revoke(self._tracker.partitions))
        self._turns += 1
        self._tracker.assign(partitions)
        self._flow.assigned()
        self._metrics.rebalanced(len(partitions))
        self._log.info("partitions_assigned", partitions=sorted(partitions))

    async def revoked(self, partitions: Collection[int]) -> None:
        """Finish what is in flight of these partitions, commit it, and let go.

        When the client breaks meanwhile and comes back, this may outlive the share that it was
        called for; then it leaves the next one alone.
        """
        turn = self._turns
        self._flow.leave(partitions)
        deadline = Deadline(self._clock, self._revoke_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline.left()), self._settled:
                await self._settled.wait_for(
                    lambda: turn != self._turns or not self._tracker.in_flight(partitions)
                )
        if turn == self._turns:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(1.0, deadline.left())):
                    await self._committer.commit(partitions)
        if turn == self._turns:
            await self.give_up(partitions)
            self._log.info("partitions_revoked", partitions=sorted(partitions))

    async def give_up(self, partitions: Collection[int]) -> None:
        """Let go at once; whoever owns the partitions reads what is unfinished again."""
        self._turns += 1
        self._metrics.returned(self._tracker.revoke(partitions))
        self._stages.decider.forget()
        self._flow.update()
        await self.settled()

    async def settled(self) -> None:
        """Tell a revocation that waits to look again: a batch is done, or given up."""
        async with self._settled:
            self._settled.notify_all()
