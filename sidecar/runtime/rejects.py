"""Stops a bad schema roll-out from becoming a million dead letters unnoticed."""

import asyncio
from collections import deque

import structlog

from sidecar.clock import Clock
from sidecar.config.settings import LimitSettings
from sidecar.runtime.flow import Flow
from sidecar.runtime.health import Health, Trouble
from sidecar.telemetry.metrics import Metrics

_SPAN_S = 60.0
_MIN_RECORDS = 100


class RejectGate:
    """The share of refused records over the last minute, and whether it is too large."""

    def __init__(self, limit: float) -> None:
        """Set the share that trips it; 1 never does."""
        self._limit = limit
        self._counts: deque[tuple[float, int, int]] = deque()
        self._records = 0
        self._rejected = 0

    def count(self, now_s: float, records: int, rejected: int) -> bool:
        """Add a settled batch.

        Returns:
            Whether the share is past the limit; counting then begins anew.
        """
        self._counts.append((now_s, records, rejected))
        self._records += records
        self._rejected += rejected
        while self._counts[0][0] < now_s - _SPAN_S:
            _, old_records, old_rejected = self._counts.popleft()
            self._records -= old_records
            self._rejected -= old_rejected
        if self._records < _MIN_RECORDS or self._rejected <= self._limit * self._records:
            return False
        self.reset()
        return True

    def reset(self) -> None:
        """Forget the past."""
        self._counts.clear()
        self._records = self._rejected = 0


class RejectPause:
    """Holds the intake for a while when too large a share of the records is refused."""

    def __init__(
        self, limits: LimitSettings, flow: Flow, clock: Clock, metrics: Metrics, health: Health
    ) -> None:
        """Begin with nothing counted.

        Args:
            limits: The share, and how long the pause is.
            flow: Is held.
            clock: For durations.
            metrics: Tell of the pause.
            health: Is told that it is.
        """
        self._limits = limits
        self._flow = flow
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._gate = RejectGate(limits.dead_letter_share)
        self._resume: asyncio.TimerHandle | None = None
        self._log = structlog.get_logger()

    def count(self, records: int, rejected: int) -> None:
        """Add a settled batch; pause when the share is past the limit."""
        if self._gate.count(self._clock.monotonic(), records, rejected):
            self._hold()

    def _hold(self) -> None:
        limits = self._limits
        message = (
            f"more than {limits.dead_letter_share:.0%} of the records of the last minute were "
            f"refused; paused for {limits.dead_letter_pause}, nothing is lost: "
            "the dead letters say why"
        )
        self._health.report("dead_letters", Trouble("dead_letter_share", message, kafka=True))
        self._log.error("intake_paused", reason="dead_letter_share", message=message)
        self._metrics.paused("dead_letter_share", on=True)
        self._flow.hold("dead_letters")
        if self._resume is not None:  # what was in flight may trip the gate once more
            self._resume.cancel()
        self._resume = asyncio.get_running_loop().call_later(
            limits.dead_letter_pause.seconds, self._release
        )

    def _release(self) -> None:
        self._gate.reset()
        self._health.clear("dead_letters")
        self._metrics.paused("dead_letter_share", on=False)
        self._log.info("intake_resumed", reason="dead_letter_share")
        self._flow.release("dead_letters")
