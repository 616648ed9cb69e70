"""Gets the source and the sink going, and going again."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from sidecar.errors import SinkUnavailableError, SourceUnavailableError
from sidecar.ports import PartitionListener, Sink, Source
from sidecar.runtime.flow import Flow
from sidecar.runtime.health import Health, Trouble
from sidecar.runtime.offsets import OffsetTracker
from sidecar.runtime.retry import backoff
from sidecar.telemetry.metrics import Metrics

_CLOSE_S = 5.0


class Recovery:
    """Connects with backoff, for as long as it takes or until told to stop."""

    def __init__(
        self,
        *,
        source: Source,
        sink: Sink,
        tracker: OffsetTracker,
        flow: Flow,
        health: Health,
        metrics: Metrics,
        jitter: random.Random,
        stopping: asyncio.Event,
        again: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Watch over this source and this sink.

        Args:
            source: The source.
            sink: The sink.
            tracker: Says where to read again.
            flow: Stands still meanwhile.
            health: Is told what troubles.
            metrics: Count.
            jitter: Spreads retries.
            stopping: Cuts all waiting short.
            again: Called when the sink is up again, in place of a rewind to the first record
                without an outcome.
        """
        self._again = again
        self._source = source
        self._sink = sink
        self._tracker = tracker
        self._flow = flow
        self._health = health
        self._metrics = metrics
        self._jitter = jitter
        self._stopping = stopping
        self._broken = asyncio.Event()
        self._waits = backoff(jitter)
        self._in_vain = False
        self._log = structlog.get_logger()

    async def connect(self, listener: PartitionListener) -> bool:
        """Start the sink, then join the group.

        Returns:
            False when `stopping` was set before both were done.
        """
        return await self._until_up("sink", self._sink.start) and await self.join(listener)

    async def join(self, listener: PartitionListener) -> bool:
        """Start the source; False when `stopping` was set before it was up."""
        return await self._until_up("source", lambda: self._source.start(listener))

    async def leave(self, error: SourceUnavailableError) -> None:
        """Close a source that is broken, and say so."""
        self._trouble("source", error)
        await self._source.close(_CLOSE_S)

    def sink_failed(self, error: SinkUnavailableError) -> None:
        """Make everything in flight stale and stop the flow until `mend` is done."""
        self._trouble("sink", error)
        self._metrics.producer_rebuilt(error.reason)
        self._metrics.paused("sink", on=True)
        self._tracker.halt(self._tracker.partitions)
        self._flow.hold("sink")
        self._broken.set()

    def silent(self, error: SourceUnavailableError) -> None:
        """Note that no broker answers; the clients go on trying, so nothing is rebuilt."""
        self._trouble("brokers", error)

    def answered(self) -> None:
        """Undo `silent`."""
        self._well("brokers")

    def sink_worked(self) -> None:
        """Note that a batch was acknowledged: the sink not only starts, it takes records."""
        if self._in_vain:
            self._in_vain = False
            self._waits = backoff(self._jitter)

    async def mend(self) -> None:
        """Whenever the sink broke: build it anew, then read again what has no outcome.

        A sink that starts and then takes nothing is built anew ever more slowly.
        """
        while True:
            await self._broken.wait()
            self._broken.clear()
            if self._in_vain:
                await self._stopped_within(next(self._waits))
            self._in_vain = True
            if not await self._until_up("sink", self._rebuild):
                return
            # What broke hangs together in cycles, batches included, and the collector is calm.
            # Nothing holds them any more.
            gc.collect()
            if not self._broken.is_set():
                self._metrics.paused("sink", on=False)
                self._flow.release("sink")

    async def _rebuild(self) -> None:
        await self._sink.start()
        if self._again is not None:
            await self._again()
            return
        positions = self._tracker.restart(self._tracker.partitions)
        if positions:
            await self._source.rewind(positions.keys(), positions)

    async def _until_up(self, part: str, start: Callable[[], Awaitable[None]]) -> bool:
        for wait_s in backoff(self._jitter):
            try:
                await self._unless_stopped(start())
            except (SinkUnavailableError, SourceUnavailableError) as error:
                self._trouble(part, error)
            else:
                break
            if await self._stopped_within(wait_s):
                return False
        if self._stopping.is_set():
            return False
        self._well(part)
        return True

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait; False when nobody said stop meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _unless_stopped(self, work: Awaitable[None]) -> None:
        """Await something that `stopping` cuts short."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            task.cancel()
            # Not `await task`: a cancellation of its own must not pass for one of ours.
            await asyncio.wait((task,))
        if not task.cancelled():
            task.result()

    def _well(self, part: str) -> None:
        if self._health.clear(part):
            self._log.info("kafka_available", part=part)

    def _trouble(self, part: str, error: SinkUnavailableError | SourceUnavailableError) -> None:
        reason = (
            error.reason if isinstance(error, SinkUnavailableError) else "kafka_unreachable"
        )
        if self._health.report(part, Trouble(reason, str(error), kafka=True)):
            self._log.warning("kafka_unavailable", part=part, reason=reason, error=str(error))
