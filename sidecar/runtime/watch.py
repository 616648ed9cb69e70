"""Watches the flow: how far behind it is, if it stands still, and who else has our name."""

import asyncio

import structlog

from sidecar.clock import Clock
from sidecar.errors import DuplicateMemberError, SourceUnavailableError, StalledError
from sidecar.events import RecordBatch
from sidecar.ports import Lag, Source
from sidecar.runtime.assignment import CHURN_S, Assignment
from sidecar.runtime.flow import Flow
from sidecar.runtime.offsets import OffsetTracker
from sidecar.runtime.recovery import Recovery
from sidecar.runtime.state import StateKeeper
from sidecar.telemetry.metrics import Metrics

_WATCH_S = 2.0
_STALL_S = 120.0
_CLOSE_S = 5.0
_PULSE_S = 0.5
# Without stored counts nobody knows who was first: one that is younger than this gives way.
_YOUNG_S = 60.0
# In `exactly_once` two of one name may put each other out before either has stored anything.
_WAR_S = 30.0


class Watch:
    """Looks every two seconds, for as long as records flow."""

    def __init__(
        self,
        *,
        source: Source,
        tracker: OffsetTracker,
        flow: Flow,
        recovery: Recovery,
        assignment: Assignment,
        keeper: StateKeeper | None,
        instance_id: str,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Watch over this source; `instance_id` is our name within the group, or empty."""
        self._source = source
        self._tracker = tracker
        self._flow = flow
        self._recovery = recovery
        self._assignment = assignment
        self._keeper = keeper
        self._instance_id = instance_id
        self._clock = clock
        self._metrics = metrics
        self._log = structlog.get_logger()
        self.lag: dict[int, Lag] = {}
        self.last_read: dict[int, tuple[int, int]] = {}
        """By partition: the offset after the last record read, and that record's timestamp."""
        self._began_s = clock.monotonic()
        self._last_progress_s = self._began_s
        self._revived = False
        self._twin = False
        self._churns_since_s: float | None = None

    def progress(self, records: RecordBatch) -> None:
        """Note that records came."""
        for span in records.spans:
            last = span.stop - 1
            self.last_read[span.partition] = (
                int(records.offsets[last]) + 1,
                # One that cannot be read has no timestamp: -1.
                int(records.timestamps_ms[span.start : span.stop].max()),
            )
        self._last_progress_s = self._clock.monotonic()
        self._revived = False

    async def run(self) -> None:
        """Read the lag, and notice a source that gives nothing although there is something.

        Raises:
            StalledError: The source was closed for that once, and still gives nothing.
            DuplicateMemberError: An older process goes by our name.
            Exception: What getting partitions ready raised, and nobody foresaw.
        """
        while True:
            await self._ask_for_lag()
            self.last_read = {p: at for p, at in self.last_read.items() if p in self.lag}
            flowing = self._tracker.partitions - self._flow.paused
            waiting = [p for p, lag in self.lag.items() if lag.records and p in flowing]
            silent_s = self._clock.monotonic() - self._last_progress_s
            if not waiting or self._tracker.moving():
                self._last_progress_s = self._clock.monotonic()
            elif silent_s > _STALL_S:
                await self._revive(silent_s)
            self._look_for_a_twin()
            self._assignment.raise_failure()
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
        await self._source.close(_CLOSE_S)

    def _look_for_a_twin(self) -> None:
        """End when an older process goes by our name: each would put out the other for ever.

        Nobody says so: both are members, both get the same partitions again and again, and
        commits of both succeed at random.
        """
        name = self._instance_id
        if not name or not self._assignment.churning:
            self._twin = False
            self._churns_since_s = None
            return
        message = f"another process is `{name}` in the group too; give each its own instance_id"
        if self._is_younger():
            raise DuplicateMemberError(f"{message}; this one is younger, and ends")
        if not self._twin:
            self._log.error("instance_id_taken_twice", instance_id=name, message=message)
        self._twin = True

    def _is_younger(self) -> bool:
        """Tell by what the other has stored; where nobody can store, who is older waits longer.

        That is for twice as long as it has lived before: the younger ends first, and early
        enough for the older to notice the peace.
        """
        now_s = self._clock.monotonic()
        if self._keeper is None:
            return now_s - self._began_s < _YOUNG_S
        if self._churns_since_s is None:
            self._churns_since_s = now_s
        lived_s = self._churns_since_s - self._began_s
        return (
            self._keeper.has_older_rival(CHURN_S)
            or now_s - self._churns_since_s > _WAR_S + 2 * lived_s
        )

    async def pulse(self) -> None:
        """Measure by how much the event loop is late."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _PULSE_S
            await asyncio.sleep(_PULSE_S)
            self._metrics.loop_lag(max(0.0, loop.time() - due))
