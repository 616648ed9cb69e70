"""A batch waits for the schemas that its records name, while the registry is away.

Nothing is refused for that, and nothing is lost: the offsets stay unfinished, reading stands
still, and the batch goes on when the registry answers. It is given up when the process is asked
to stop, or when its partitions are another member's: then it is read again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from sidecar.errors import RegistryUnavailableError
from sidecar.events import RecordBatch
from sidecar.pipeline.framing import NO_SCHEMAS
from sidecar.ports import Schemas
from sidecar.runtime.flow import Flow
from sidecar.runtime.health import Health, Trouble
from sidecar.runtime.offsets import OffsetTracker, Ticket
from sidecar.runtime.retry import backoff
from sidecar.runtime.schemas import SchemaBook
from sidecar.telemetry.metrics import Metrics

_HOLD = "registry"


class Lookup:
    """Gets the schemas of one batch after the other."""

    def __init__(
        self,
        book: SchemaBook | None,
        *,
        tracker: OffsetTracker,
        flow: Flow,
        health: Health,
        metrics: Metrics,
        jitter: random.Random,
        stopping: asyncio.Event,
    ) -> None:
        """Ask this book; None when no registry is configured."""
        self._book = book
        self._tracker = tracker
        self._flow = flow
        self._health = health
        self._metrics = metrics
        self._jitter = jitter
        self._stopping = stopping
        self._stuck: list[Ticket] = []
        self._log = structlog.get_logger()

    def stuck(self, partitions: Collection[int]) -> int:
        """Count the records of these partitions that wait for a registry that is away."""
        return sum(
            ticket.records
            for ticket in self._stuck
            if ticket.partition in partitions and self._tracker.alive((ticket,))
        )

    async def schemas(
        self,
        records: RecordBatch,
        tickets: Sequence[Ticket],
        wait: Callable[[float], Awaitable[Sequence[Ticket]]],
    ) -> Schemas | None:
        """Give the schemas of a batch, however long the registry is away.

        Args:
            records: The batch.
            tickets: Of the batch.
            wait: Lets so many seconds pass at most, and keeps the source alive meanwhile; gives
                the tickets of what it read in spite of the pause.

        Returns:
            None when the batch is given up.
        """
        if self._book is None:
            return NO_SCHEMAS
        try:
            for wait_s in backoff(self._jitter):
                try:
                    schemas = await self._book.of(records)
                except RegistryUnavailableError as error:
                    self._away(error, tickets)
                else:
                    self._back()
                    return schemas
                if not await self._worth_it(tickets, wait_s, wait):
                    return None
        finally:
            self._let_go()
        return None

    async def _worth_it(
        self,
        tickets: Sequence[Ticket],
        wait_s: float,
        wait: Callable[[float], Awaitable[Sequence[Ticket]]],
    ) -> bool:
        """Wait before the next question; False when there shall be none."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while (left := until - loop.time()) > 0:
            self._stuck += await wait(left)
            if self._stopping.is_set() or not self._tracker.alive(tickets):
                return False
        return not self._stopping.is_set() and self._tracker.alive(tickets)

    def _away(self, error: RegistryUnavailableError, tickets: Sequence[Ticket]) -> None:
        trouble = Trouble(error.reason, str(error), kafka=True)
        if self._health.report("registry", trouble):
            self._log.warning("registry_unavailable", reason=error.reason, error=str(error))
        self._stuck = self._stuck or list(tickets)
        self._metrics.paused(_HOLD, on=True)
        self._flow.hold(_HOLD)

    def _back(self) -> None:
        if self._health.clear("registry"):
            self._log.info("registry_available")

    def _let_go(self) -> None:
        if self._stuck:
            self._stuck = []
            self._metrics.paused(_HOLD, on=False)
            self._flow.release(_HOLD)
