"""What a replay found: the report, and the same as text for a terminal."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct

from sidecar.app.replay_episodes import Episode
from sidecar.app.replay_quality import aligned, describe_quality
from sidecar.app.replay_timeline import Peak, Timeline, TimelinePoint
from sidecar.bundle.manifest import Manifest
from sidecar.config.settings import MonitorSettings
from sidecar.events import REASON_NAMES, SOURCE_NAMES, DecisionBatch, Rejection, Signal
from sidecar.monitors.quality_snapshot import QualitySnapshot
from sidecar.monitors.snapshot import MonitorSnapshot, SubjectDrift, WindowSnapshot

_MOST_ROWS = 20


class ReplayedModel(Struct, frozen=True, kw_only=True):
    """What decided."""

    name: str
    version: str
    digest: str
    """SHA-256 of the model file."""


class RecordCounts(Struct, frozen=True, kw_only=True):
    """What became of the records: `received = decided + rejected + tombstones + joined`."""

    received: int
    decided: int
    rejected: int
    tombstones: int
    joined: int = 0
    """Requests of KServe's payload log whose outcome is the decision of their response."""


class Speed(Struct, frozen=True, kw_only=True):
    """How long it took; the one part of a report that differs from run to run."""

    seconds: float
    records_per_second: float


class Judgement(Struct, frozen=True, kw_only=True):
    """By what drift was judged: the settings of `monitors` that numbers go by."""

    pane_ms: int
    min_records: int
    delta: float
    warning_delta: float
    false_discovery_rate: float
    hold_ms: int
    resolve_ms: int
    dataset_share: float


class ReplayReport(Struct, frozen=True, kw_only=True):
    """Everything that a replay found."""

    input: str
    model: ReplayedModel
    notes: tuple[str, ...]
    """What was left out of the input."""
    records: RecordCounts
    sources: dict[str, int]
    """Decisions by who answered."""
    reasons: dict[str, int]
    """Decisions by why."""
    rules: dict[str, int]
    """Decisions by the fallback rule that fired."""
    rejections: dict[str, int]
    """Dead letters by code."""
    monitors: MonitorSnapshot
    """The windows at the end, as the service's `/api/v1/status` has them."""
    quality: QualitySnapshot
    """Likewise."""
    signals: tuple[Signal, ...]
    """What a live run would have told on the signals topic."""
    judgement: Judgement
    timeline: tuple[TimelinePoint, ...]
    """The windows on the way."""
    peaks: tuple[Peak, ...]
    """Each subject over each window when it differed most."""
    episodes: tuple[Episode, ...]
    """When drift began and ended, the earliest first."""
    speed: Speed


class Tally:
    """Counts outcomes."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.records = 0
        self.joined = 0
        self.sources: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()

    def count(
        self,
        records: int,
        decisions: DecisionBatch,
        rejections: Sequence[Rejection],
        joined: int = 0,
    ) -> None:
        """Add a batch.

        Args:
            records: How many it has, tombstones too.
            decisions: Its decisions.
            rejections: Its dead letters.
            joined: How many have their outcome in the decision of another one.
        """
        self.records += records
        self.joined += joined
        self.sources += _named(SOURCE_NAMES, decisions.source)
        self.reasons += _named(REASON_NAMES, decisions.reason)
        self.rules += _named(decisions.rules, decisions.rule[decisions.rule >= 0])
        self.rejections += Counter(rejection.code.value for rejection in rejections)

    def counts(self) -> RecordCounts:
        """Give the sums."""
        decided, rejected = self.sources.total(), self.rejections.total()
        return RecordCounts(
            received=self.records,
            decided=decided,
            rejected=rejected,
            tombstones=self.records - decided - rejected - self.joined,
            joined=self.joined,
        )


def make_report(
    *,
    name: str,
    manifest: Manifest,
    notes: Sequence[str],
    tally: Tally,
    monitors: MonitorSnapshot,
    quality: QualitySnapshot,
    signals: Sequence[Signal],
    settings: MonitorSettings,
    timeline: Timeline,
    seconds: float,
) -> ReplayReport:
    """Put a report together; counts come greatest first."""
    return ReplayReport(
        input=name,
        model=ReplayedModel(
            name=manifest.name,
            version=manifest.version,
            digest=manifest.files["model.onnx"],
        ),
        notes=tuple(notes),
        records=tally.counts(),
        sources=_sorted(tally.sources),
        reasons=_sorted(tally.reasons),
        rules=_sorted(tally.rules),
        rejections=_sorted(tally.rejections),
        monitors=monitors,
        quality=quality,
        signals=tuple(signals),
        judgement=_judgement(settings),
        timeline=timeline.points(),
        peaks=timeline.peaks(),
        episodes=timeline.episodes(),
        speed=Speed(
            seconds=round(seconds, 3),
            records_per_second=round(tally.records / seconds, 1) if seconds else 0.0,
        ),
    )


def _judgement(settings: MonitorSettings) -> Judgement:
    drift = settings.drift
    return Judgement(
        pane_ms=settings.pane.ms,
        min_records=settings.min_records,
        delta=drift.delta,
        warning_delta=drift.warning_delta,
        false_discovery_rate=drift.false_discovery_rate,
        hold_ms=drift.hold.ms,
        resolve_ms=drift.resolve.ms,
        dataset_share=drift.dataset_share,
    )


def _named(names: Sequence[str], codes: np.typing.NDArray[np.integer]) -> Counter[str]:
    counts = np.bincount(codes, minlength=len(names)).tolist()
    return Counter(dict(zip(names, counts, strict=True)))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


# --- as text -------------------------------------------------------------------------------


def describe_report(report: ReplayReport) -> str:
    """Write a report for a terminal: counts, then what drifts, the worst first."""
    model, records, speed = report.model, report.records, report.speed
    parts = [
        "\n".join(
            (
                f"Replay of {report.input} through {model.name} {model.version}",
                *(f"Note: {note}" for note in report.notes),
            )
        ),
        _counts("Records", records.received, _outcomes(records)),
        _counts("Decided by", records.decided, report.sources),
        _counts("Because", records.decided, report.reasons),
        _counts("Rules", records.decided, report.rules),
        _counts("Rejected as", records.received, report.rejections),
        _drift(report.monitors),
        _episodes(report.signals),
        describe_quality(report.quality),
        f"{speed.records_per_second:,.0f} records/s, {speed.seconds:,.1f} s",
    ]
    return "\n\n".join(part for part in parts if part)


def _outcomes(records: RecordCounts) -> dict[str, int]:
    return {
        "decided": records.decided,
        "rejected": records.rejected,
        "tombstones": records.tombstones,
        **({"joined": records.joined} if records.joined else {}),
    }


def _counts(title: str, total: int, counts: Mapping[str, int]) -> str:
    rows = [
        (f"  {name}", f"{count:,}", f"{count / total:.1%}" if total else "")
        for name, count in counts.items()
    ]
    return "\n".join((f"{title:<28}{total:>12,}", *map(_count_row, rows))) if rows else ""


def _count_row(row: tuple[str, str, str]) -> str:
    name, count, share = row
    return f"{name:<28}{count:>12}{share:>9}"


def _drift(monitors: MonitorSnapshot) -> str:
    if monitors.newest_event_time_ms is None:
        return "Drift: no event was decided"
    ready = [window for window in monitors.windows if window.ready]
    found = [
        (subject, window) for window in ready for subject in window.subjects if subject.drifting
    ]
    found.sort(key=lambda pair: -pair[0].severity)
    return "\n".join(
        (
            f"Drift, in windows to {_instant(monitors.windows[0].end_ms)}: {_verdict(found)}",
            *_drift_table(found[:_MOST_ROWS]),
            *([f"  and {len(found) - _MOST_ROWS} more"] if len(found) > _MOST_ROWS else []),
            *(
                f"  no verdict for {window.window}: {window.records:,} records are too few"
                for window in monitors.windows
                if not window.ready
            ),
            *_left_out(monitors),
        )
    )


def _episodes(signals: Sequence[Signal]) -> str:
    """Give what a live run would have told, the first ones."""
    shown = [
        f"  {each.event_time}  {each.kind:<11}  {each.severity:<8}  {each.window:<4}"
        f"  {each.feature or each.subject}"
        for each in signals[:_MOST_ROWS]
    ]
    more = len(signals) - len(shown)
    return "\n".join(
        (
            f"Signals of drift: {len(signals) or 'none'}",
            *shown,
            *([f"  and {more} more"] if more else []),
        )
    )


def _verdict(found: Sequence[tuple[SubjectDrift, WindowSnapshot]]) -> str:
    names = {subject.name for subject, _ in found}
    return f"{len(names)} past their critical value" if names else "none that chance is not"


def _left_out(monitors: MonitorSnapshot) -> Iterator[str]:
    if monitors.late:
        yield f"  {monitors.late:,} events came too late to be counted"
    if monitors.future:
        yield f"  {monitors.future:,} events were ahead of their record's time"


def _drift_table(found: Iterable[tuple[SubjectDrift, WindowSnapshot]]) -> Sequence[str]:
    head = ("  name", "window", "records", "psi", "critical", "ratio", "missing", "outside")
    rows = [_drift_row(subject, window) for subject, window in found]
    return aligned(head, rows)


def _drift_row(subject: SubjectDrift, window: WindowSnapshot) -> tuple[str, ...]:
    psi = next(score for score in subject.scores if score.method == "psi")
    return (
        f"  {subject.name}",
        window.window,
        f"{subject.records:,}",
        f"{psi.value:.4f}",
        f"{psi.critical:.4f}",
        f"{subject.severity:.1f}",
        f"{subject.missing_ratio:.1%}",
        f"{subject.unseen_ratio + subject.out_of_range_ratio:.1%}",
    )


def _instant(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
