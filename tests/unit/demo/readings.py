"""Readings of a sidecar, as the demo takes them."""

from typing import Any

from sidecar.demo.probe import Counts, Reading
from sidecar.monitors.snapshot import DriftScore, MonitorSnapshot, SubjectDrift, WindowSnapshot
from tests import telemetry_samples

COUNTS = Counts(
    received=110,
    tombstones=2,
    decisions={"model": 70, "rule": 30},
    rejections={"malformed_json": 8},
    rules={"child": 30},
    model_calls={"answered": 40},
)


def subject(name: str, psi: float = 0.01, **changes: Any) -> SubjectDrift:
    """A subject whose critical value is 0.1."""
    scores = (DriftScore("psi", psi, 0.1),)
    return telemetry_samples.subject(name, scores=scores, **changes)


def reading(
    event_time_ms: int | None,
    *subjects: SubjectDrift,
    circuit_open: bool = False,
    counts: Counts = COUNTS,
    longer: tuple[WindowSnapshot, ...] = (),
) -> Reading:
    """What the sidecar shows at a moment of event time, over seven days, and longer."""
    windows = (telemetry_samples.window("7d", *subjects),)
    monitors = MonitorSnapshot(
        windows=(*windows, *longer), newest_event_time_ms=event_time_ms, late=0, future=0
    )
    return Reading(
        telemetry_samples.status(monitors=monitors, circuit_open=circuit_open), counts
    )
