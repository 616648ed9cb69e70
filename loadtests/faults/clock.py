"""Time for the campaign: what judges the product does not borrow the product's clock."""

import time


def now_s() -> float:
    """Give seconds that only ever grow, for durations."""
    return time.monotonic()


def now_ms() -> int:
    """Give the wall clock, as brokers stamp records: milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def pause(seconds: float) -> None:
    """Let time pass."""
    time.sleep(max(0.0, seconds))
