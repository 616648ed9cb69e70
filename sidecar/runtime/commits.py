"""Commits offsets: regularly, when enough has piled up, and when somebody asks."""

import asyncio
from collections.abc import Collection
from contextlib import suppress

import structlog

from sidecar.errors import OwnershipLostError, SourceUnavailableError
from sidecar.ports import Source
from sidecar.runtime.offsets import OffsetTracker
from sidecar.telemetry.metrics import Metrics

_RECORDS = 5_000


class Committer:
    """Commits what the tracker says is finished, one commit at a time."""

    def __init__(
        self, source: Source, tracker: OffsetTracker, metrics: Metrics, interval_s: float
    ) -> None:
        """Commit at least every `interval_s` while `run` runs and something is finished."""
        self._source = source
        self._tracker = tracker
        self._metrics = metrics
        self._interval_s = interval_s
        self._due = asyncio.Event()
        self._lock = asyncio.Lock()
        self._records = 0
        self._log = structlog.get_logger()

    def count(self, records: int) -> None:
        """Note finished records; many of them bring the next commit forward."""
        self._records += records
        if self._records >= _RECORDS:
            self._due.set()

    async def run(self) -> None:
        """Commit until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._due.wait()
            self._due.clear()
            await self.commit()

    async def commit(self, partitions: Collection[int] | None = None) -> bool:
        """Commit what is finished, of all partitions or of the named ones.

        Returns:
            Whether nothing that is finished stays uncommitted. A failed commit is not an
            error: the next one covers it, or whoever owns the partition reads again.
        """
        async with self._lock:
            commits = self._tracker.committable(partitions)
            if not commits:
                return True
            self._records = 0
            offsets = {commit.partition: commit.offset for commit in commits}
            try:
                await self._source.commit(offsets)
            except (OwnershipLostError, SourceUnavailableError) as error:
                self._metrics.commit_failed()
                self._log.warning("commit_failed", error=str(error))
                return False
            self._tracker.committed(commits)
            self._metrics.committed(offsets)
            return True
