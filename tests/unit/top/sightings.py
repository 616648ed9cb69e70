"""Sidecars as `sidecar top` sees them."""

from typing import Any

from sidecar.top.target import parse_target
from sidecar.top.watch import Sighting
from tests.telemetry_samples import NOW_MS, status

NOW_S = 1_000.0


def seen(address: str = "10.0.0.7:9465", **changes: Any) -> Sighting:
    """One that answered two seconds ago."""
    return Sighting(parse_target(address), status(**changes), NOW_S - 2)


def away(address: str = "10.0.0.9:9465", *, known: bool = True, **changes: Any) -> Sighting:
    """One that does not answer, and did 90 seconds ago if it is known."""
    view, seen_s = (status(**changes), NOW_S - 90) if known else (None, None)
    target = parse_target(address)
    return Sighting(target, view, seen_s, "Connection refused", NOW_MS)


def hostile() -> str:
    """A name that would clear the screen, turn the text around and colour it."""
    return "a\x1b[2Jb\x9b31m\u202e[red]c\nd"
