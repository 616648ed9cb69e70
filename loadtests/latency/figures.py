"""What is done with arrival times: latencies from when events were due, and void runs."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

MARKER = b"event-"
"""Every event's id begins with it, and its number follows; decisions bring the id along."""
DIGITS = 9

EDGES_MS: Times = np.concatenate(([0.0], np.geomspace(0.5, 10_000.0, 44), [np.inf]))
"""Edges of the histogram: about a quarter more each, so that every run has the same ones."""

LATE_MS = 5.0
"""How late the generator may be, at the 99th percentile. Its lateness is in the latencies, so
beyond a third of what is aimed at they would be its own."""


class Sent(msgspec.Struct, frozen=True):
    """What the generator says of itself."""

    events: int
    """Handed to the client, those of the warm-up included."""
    failed: int
    """Not acknowledged by a broker."""
    late_p99_ms: float
    """How long after they were due events were handed over; behind the warm-up."""
    late_max_ms: float


class Latency(msgspec.Struct, frozen=True):
    """How long decisions took, from when their events were due."""

    events: int
    missing: int
    """Events whose decision did not arrive."""
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    histogram: list[int]
    """How many fell between the edges of `EDGES_MS`."""


def number_of(value: bytes) -> int | None:
    """Give the number of the event that a decision answers; None when it is another's."""
    at = value.find(MARKER)
    if at < 0:
        return None
    digits = value[at + len(MARKER) : at + len(MARKER) + DIGITS]
    return int(digits) if len(digits) == DIGITS and digits.isdigit() else None


def due_s(start_s: float, rate: float, numbers: "NDArray[np.int64]") -> Times:
    """Give when events are due: the first at the start, the others at equal distances."""
    due: Times = start_s + numbers / rate
    return due


def latency(arrived_s: Times, start_s: float, rate: float, warm: int) -> Latency:
    """Summarise a run.

    Args:
        arrived_s: When each event's decision was seen, by its number; NaN when it was not.
        start_s: When the first event was due, by the same clock.
        rate: Events per second.
        warm: How many of the first events do not count.
    """
    numbers = np.arange(warm, len(arrived_s))
    took_ms = (arrived_s[warm:] - due_s(start_s, rate, numbers)) * 1e3
    seen = took_ms[~np.isnan(took_ms)]
    missing = len(took_ms) - len(seen)
    if not len(seen):
        return Latency(0, missing, 0.0, 0.0, 0.0, 0.0, [0] * (len(EDGES_MS) - 1))
    # "higher" gives a latency that an event really had, never one between two events.
    p50, p90, p99 = np.percentile(seen, (50, 90, 99), method="higher").tolist()
    # A clock that is read before the event's own due time cannot be: what is due is sent later.
    counts = np.histogram(np.maximum(seen, 0.0), EDGES_MS)[0].tolist()
    return Latency(len(seen), missing, p50, p90, p99, float(seen.max()), counts)


def void(sent: Sent, found: Latency, planned: int) -> str:
    """Say why a run counts for nothing; empty when it counts."""
    if sent.events < planned:
        return f"the generator sent {sent.events:,} of {planned:,} events"
    if sent.failed:
        return f"{sent.failed:,} events were not acknowledged"
    if sent.late_p99_ms > LATE_MS:
        return f"the generator fell behind: {sent.late_p99_ms:.1f} ms at the 99th percentile"
    if found.missing:
        return f"{found.missing:,} decisions did not arrive"
    return ""


def lateness_ms(late_s: Sequence[float]) -> tuple[float, float]:
    """Give the 99th percentile and the largest of the generator's delays."""
    if not late_s:
        return 0.0, 0.0
    late_ms = np.asarray(late_s) * 1e3
    return float(np.percentile(late_ms, 99, method="higher")), float(late_ms.max())
