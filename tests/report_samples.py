"""A replay in which one feature drifts half way through and another drifted before."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sidecar.app.replay_episodes import Episode
from sidecar.app.replay_report import (
    Judgement,
    RecordCounts,
    ReplayedModel,
    ReplayReport,
    Speed,
)
from sidecar.app.replay_timeline import Peak, SubjectPoint, TimelinePoint, WindowPoint
from sidecar.monitors.episodes import Evidence
from sidecar.monitors.snapshot import (
    DriftScore,
    MonitorSnapshot,
    SubjectDrift,
    WindowSnapshot,
)
from tests.telemetry_samples import quality, subject, window

HOUR_MS = 3_600_000
START_MS = 1_772_366_400_000
"""2026-03-01 12:00 UTC."""
CRITICAL = 0.034


def scored(drift: SubjectDrift, psi: float | None) -> SubjectDrift:
    """The same subject with another index; None where records are too few."""
    if psi is None:
        return replace(drift, scores=(), records=80)
    scores = (DriftScore("psi", psi, CRITICAL), DriftScore("ks", psi / 4, 0.05))
    p = 1e-9 if psi > 0.1 else 1.0
    return replace(drift, scores=scores, records=18_250, p_warning=p, p_critical=p)


def point(at: int, windows: Sequence[WindowSnapshot]) -> TimelinePoint:
    return TimelinePoint(
        end_ms=START_MS + at * HOUR_MS,
        windows=tuple(
            WindowPoint(
                window=each.window,
                start_ms=each.start_ms,
                records=each.records,
                ready=each.ready,
                decisions=each.decisions,
                subjects=tuple(
                    SubjectPoint(
                        name=one.name,
                        subject=one.subject,
                        records=one.records,
                        scores=one.scores,
                        missing_ratio=one.missing_ratio,
                        unseen_ratio=one.unseen_ratio,
                        out_of_range_ratio=one.out_of_range_ratio,
                    )
                    for one in each.subjects
                ),
            )
            for each in windows
        ),
    )


def episode(name: str, since: int, until: int | None, **changes: Any) -> Episode:
    """Critical drift from one hour to another."""
    end_ms = START_MS + since * HOUR_MS
    parts: dict[str, Any] = {
        "window": "1d",
        "subject": "feature",
        "name": name,
        "severity": "critical",
        "since_ms": end_ms,
        "began_ms": end_ms + HOUR_MS,
        "ended_ms": None if until is None else START_MS + until * HOUR_MS,
        "evidence": Evidence(start_ms=end_ms - 24 * HOUR_MS, end_ms=end_ms, records=18_250),
    }
    return Episode(**(parts | changes))


def replayed(indices: Mapping[str, Sequence[float | None]], **changes: Any) -> ReplayReport:
    """A report of one window of a day with an hour between points.

    Args:
        indices: The population stability index of each feature at each point.
        changes: Other fields of the report.
    """
    drifts = [
        [scored(subject(name), psi) for name, psi in zip(indices, at, strict=True)]
        for at in zip(*indices.values(), strict=True)
    ]
    days = [
        window(
            "1d",
            *at,
            length_ms=24 * HOUR_MS,
            start_ms=START_MS + (hour - 24) * HOUR_MS,
            end_ms=START_MS + hour * HOUR_MS,
            ready=any(one.scores for one in at),
            records=max(one.records for one in at),
        )
        for hour, at in enumerate(drifts)
    ]
    timeline = tuple(point(hour, [day]) for hour, day in enumerate(days))
    peaks: dict[str, Peak] = {}
    for day in days:
        for one in day.subjects:
            if one.severity > (peaks[one.name].drift.severity if one.name in peaks else 0):
                peaks[one.name] = Peak(window="1d", end_ms=day.end_ms, drift=one)
    parts: dict[str, Any] = {
        "input": "events.jsonl",
        "model": ReplayedModel(name="credit", version="7", digest="9f2c41d07ab3"),
        "notes": (),
        "records": RecordCounts(received=72_000, decided=71_500, rejected=400, tombstones=100),
        "sources": {"model": 60_000, "rule": 11_500},
        "reasons": {"confident": 60_000, "low_confidence": 11_500},
        "rules": {"large": 11_500},
        "rejections": {"malformed_json": 400},
        "monitors": MonitorSnapshot(
            windows=tuple(days[-1:]),
            newest_event_time_ms=days[-1].end_ms if days else None,
            late=0,
            future=0,
        ),
        "judgement": Judgement(
            pane_ms=HOUR_MS,
            min_records=200,
            delta=0.1,
            warning_delta=0.02,
            false_discovery_rate=0.01,
            hold_ms=300_000,
            resolve_ms=1_800_000,
            dataset_share=0.2,
        ),
        "quality": quality(),
        "signals": (),
        "timeline": timeline,
        "peaks": tuple(peaks.values()),
        "episodes": (),
        "speed": Speed(seconds=2.0, records_per_second=36_000.0),
    }
    return ReplayReport(**(parts | changes))
