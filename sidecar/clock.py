"""The only caller of the machine's clocks.

Everything else takes a `Clock`, or the time as an argument, so that tests and replays decide
what time it is.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for durations, one for instants."""

    def monotonic(self) -> float:
        """Seconds that never go backwards; for durations and deadlines."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC; for metrics, never for decisions."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000
