"""A busy sidecar, as the status page and the metrics see it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from sidecar.events import (
    DecisionBatch,
    DriftKind,
    EventBatch,
    Features,
    Reason,
    RecordBatch,
    RejectCode,
    Rejection,
    Source,
    Span,
    Stage,
)
from sidecar.monitors.episodes import DriftEpisode, EpisodeCount, Evidence
from sidecar.monitors.quality_snapshot import (
    Agreement,
    DecisionShare,
    Freshness,
    QualityRatio,
    QualitySnapshot,
    QualityWindow,
    RuleShare,
    UnseenValue,
    UnseenValues,
)
from sidecar.monitors.snapshot import (
    DriftScore,
    MonitorSnapshot,
    Subject,
    SubjectDrift,
    WindowSnapshot,
)
from sidecar.telemetry.decisions import DecisionsView, DecisionView, StageView
from sidecar.telemetry.history import History, HistoryView, Totals
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.scrape import Readings
from sidecar.telemetry.status import (
    Cause,
    Exposition,
    ModelView,
    PartitionView,
    Rates,
    StatusView,
    TopicsView,
    Verdict,
)

NOW_MS = 1_795_000_000_000
MODEL = ModelView(name="credit", version="7", digest="9f2c41d07ab3", task="binary")


@dataclass(slots=True)
class ManualClock:
    """A clock that stands where a test puts it."""

    seconds: float = 1_000.0
    ms: int = NOW_MS

    def monotonic(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return self.ms


def metrics(clock: ManualClock | None = None, **changes: Any) -> Metrics:
    """A `Metrics` with one rule and one observer."""
    parts: dict[str, Any] = {
        "topic": "credit.events",
        "model": MODEL,
        "rules": ("large-amount",),
        "observers": ("drift",),
    }
    return Metrics(clock or ManualClock(), **(parts | changes))


def subject(name: str, subject: Subject = "feature", **changes: Any) -> SubjectDrift:
    """A feature that drifts a little less than chance allows."""
    parts: dict[str, Any] = {
        "name": name,
        "subject": subject,
        "records": 18_250,
        "overdispersion": 1.4,
        "p_warning": 0.31,
        "p_critical": 1.0,
        "scores": (
            DriftScore("psi", 0.021, 0.034),
            DriftScore("js", 0.07, 0.1),
            DriftScore("ks", 0.03, 0.05),
        ),
        "missing_ratio": 0.012,
        "unseen_ratio": 0.0,
        "out_of_range_ratio": 0.003,
        "reference_missing_ratio": 0.01,
        "bins": ("< 10", "10 to 20", "20 to 30", "30 to 40", "> 40", "missing"),
        "reference": (0.1, 0.25, 0.3, 0.24, 0.1, 0.01),
        "current": (0.09, 0.22, 0.31, 0.27, 0.1, 0.01),
    }
    return SubjectDrift(**(parts | changes))


def window(name: str, *subjects: SubjectDrift, **changes: Any) -> WindowSnapshot:
    parts: dict[str, Any] = {
        "window": name,
        "length_ms": 300_000,
        "start_ms": NOW_MS - 300_000,
        "end_ms": NOW_MS,
        "records": 18_400,
        "ready": True,
        "reference": "overall",
        "calibration": "bundle",
        "calibration_windows": 168,
        "decisions": {"model": 17_000, "rule": 1_400},
        "subjects": subjects,
    }
    return WindowSnapshot(**(parts | changes))


def episode(name: str, subject: DriftKind = "feature", **evidence: Any) -> DriftEpisode:
    """Critical drift over 5 minutes."""
    numbers: dict[str, Any] = {"psi": 0.412, "psi_excess": 0.41, "p": 1e-12}
    return DriftEpisode(
        window="5m",
        subject=subject,
        name=name,
        severity="critical",
        since_ms=NOW_MS - 900_000,
        began_ms=NOW_MS - 600_000,
        evidence=Evidence(
            start_ms=NOW_MS - 900_000,
            end_ms=NOW_MS - 600_000,
            records=18_000,
            **(evidence or numbers),
        ),
    )


def monitors() -> MonitorSnapshot:
    """One window with verdicts and one without."""
    drifting = subject(
        "amount",
        scores=(
            DriftScore("psi", 0.412, 0.034),
            DriftScore("js", 0.31, 0.1),
            DriftScore("ks", 0.28, 0.05),
        ),
        out_of_range_ratio=0.071,
        current=(0.03, 0.08, 0.16, 0.31, 0.4, 0.02),
    )
    country = subject(
        "country",
        scores=(DriftScore("psi", 0.051, 0.034), DriftScore("js", 0.11, 0.1)),
        unseen_ratio=0.024,
        out_of_range_ratio=0.0,
        bins=("DE", "FR", "IT", "NL", "unseen", "missing"),
        reference=(0.5, 0.3, 0.15, 0.05, 0.0, 0.0),
        current=(0.42, 0.33, 0.17, 0.056, 0.024, 0.0),
    )
    answers = (
        subject("score", "score"),
        subject("confidence", "confidence"),
        subject("label", "label", bins=("no", "yes"), reference=(0.8, 0.2), current=(0.7, 0.3)),
    )
    quiet = [subject(name) for name in ("age", "income", "months_since_last_payment")]
    return MonitorSnapshot(
        windows=(
            window("5m", *quiet, drifting, country, *answers),
            window("1h", subject("amount", scores=(), records=80), records=80, ready=False),
        ),
        newest_event_time_ms=NOW_MS - 3_000,
        late=12,
        future=3,
        episodes=(episode("amount"), episode("dataset", "dataset", features=("amount",))),
        episodes_begun=(
            EpisodeCount(window="5m", subject="feature", severity="critical", count=2),
            EpisodeCount(window="5m", subject="dataset", severity="critical", count=1),
        ),
        signals_lost=7,
    )


def quality(drift: MonitorSnapshot | None = None) -> QualitySnapshot:
    """One window with a share outside its band, and one with too few records."""
    del drift  # only the monitor itself makes something of it
    missing = QualityRatio(
        check="missing",
        feature="amount",
        ratio=0.2,
        records=18_000,
        expected=0.01,
        lower=0.0,
        upper=0.013,
    )
    strange = QualityRatio(
        check="unseen",
        feature="country",
        ratio=0.001,
        records=18_000,
        expected=0.0,
        lower=0.0,
        upper=0.003,
    )
    fallback = QualityRatio(check="fallback", ratio=0.1, records=18_000, expected=None)
    busy = QualityWindow(
        window="5m",
        length_ms=300_000,
        start_ms=NOW_MS - 300_000,
        end_ms=NOW_MS,
        records=20_000,
        ready=True,
        ratios=(missing, strange, fallback),
        rejections={"wrong_type": 2_000},
        faults={"amount": {"wrong_type": 1_500}},
        freshness=Freshness(median_seconds=0.25, p99_seconds=12.0),
        decisions=(
            DecisionShare(source="model", reason="confident", records=16_200, ratio=0.9),
            DecisionShare(source="rule", reason="low_confidence", records=1_800, ratio=0.1),
        ),
        rules=(RuleShare(rule="large-amount", records=1_800, ratio=0.1),),
        agreement=(
            Agreement(label="", compared=40, agreed=30),
            Agreement(label="yes", compared=0, agreed=0),
        ),
    )
    few = msgspec.structs.replace(missing, records=20, lower=None, upper=None)
    quiet = msgspec.structs.replace(busy, window="1h", records=20, ready=False, ratios=(few,))
    top = UnseenValue(value="XX", records=400)
    unseen = UnseenValues(feature="country", records=432, distinct=12.1, error=3, top=(top,))
    return QualitySnapshot(windows=(busy, quiet), unseen=(unseen,))


def partitions() -> tuple[PartitionView, ...]:
    """One partition that is known and one that is not."""
    known = PartitionView(
        partition=0,
        position=120_400,
        end=121_600,
        lag_records=1_200,
        lag_seconds=4.2,
        in_flight=512,
        paused=False,
    )
    fresh = PartitionView(
        partition=3,
        position=None,
        end=None,
        lag_records=None,
        lag_seconds=None,
        in_flight=0,
        paused=True,
    )
    return known, fresh


def status(**changes: Any) -> StatusView:
    """A sidecar whose circuit is open."""
    parts: dict[str, Any] = {
        "name": "credit",
        "version": "0.1.0",
        "state": "degraded",
        "reasons": (Cause("circuit_open", "6 of the last 10 model calls timed out"),),
        "since_ms": NOW_MS - 7_400_000,
        "now_ms": NOW_MS,
        "model": MODEL,
        "group": "credit-sidecar",
        "topics": TopicsView(
            events="credit.events",
            decisions="credit.decisions",
            dead_letters="credit.dead-letters",
        ),
        "partitions": partitions(),
        "rates": Rates(
            records_per_second=1_234.5,
            decisions={"model": 60_000, "rule": 9_000, "default": 1_000},
            decisions_total={"model": 8_120_000, "rule": 402_000, "default": 21_000},
            rejections={"missing_field": 420, "malformed_json": 12},
            rejections_total={"missing_field": 5_300, "malformed_json": 210, "too_large": 3},
            fallback_ratio=0.143,
            reject_ratio=0.006,
        ),
        "last_decision_ms": NOW_MS - 400,
        "circuit_open": True,
        "monitors": monitors(),
        "quality": quality(),
    }
    return StatusView(**(parts | changes))


def records(count: int, *, partition: int = 0, age_ms: int = 250) -> RecordBatch:
    return RecordBatch(
        topic="credit.events",
        spans=(Span(partition, 0, count),),
        offsets=np.arange(count, dtype=np.int64),
        timestamps_ms=np.full(count, NOW_MS - age_ms, np.int64),
        keys=[None] * count,
        values=[b"{}"] * count,
        headers=[()] * count,
    )


def decided(
    batch: RecordBatch,
    rows: list[int],
    answers: list[tuple[Source, Reason]],
    rules: list[int] | None = None,
) -> DecisionBatch:
    """Decisions on some rows of a batch, each with its source, reason and rule."""
    count = len(rows)
    events = EventBatch(
        records=batch,
        rows=np.array(rows, np.int64),
        ids=[str(row) for row in rows],
        event_time_ms=batch.timestamps_ms[rows],
        features=Features(np.zeros((count, 0)), {}),
        upstream=None,
        missing=np.zeros(count, np.bool_),
        out_of_range=np.zeros(count, np.bool_),
        future=np.zeros(count, np.bool_),
    )
    return DecisionBatch(
        events=events,
        label=np.zeros(count, np.int32),
        answer=np.zeros(count, np.int32),
        score=np.zeros(count),
        confidence=np.zeros(count),
        source=np.array([source for source, _ in answers], np.uint8),
        reason=np.array([reason for _, reason in answers], np.uint8),
        rule=np.array(rules or [-1] * count, np.int32),
        vocabulary=("yes",),
        rules=("large-amount",),
    )


def refused(row: int, code: RejectCode = RejectCode.EMPTY) -> Rejection:
    return Rejection(row, Stage.DECODE, code, "it is empty")


def busy_metrics() -> Metrics:
    """Every metric of the catalogue with at least one series."""
    clock = ManualClock()
    made = metrics(clock)
    batch = records(4)
    made.received(4, 4)
    with made.stage("decode"):
        clock.seconds += 0.002
    answers = [(Source.MODEL, Reason.CONFIDENT), (Source.RULE, Reason.LOW_CONFIDENCE)]
    made.settled(
        decided(batch, [0, 2], answers, [-1, 0]), [refused(1)], tombstones=1, now_ms=NOW_MS
    )
    made.committed({0: 4})
    made.started()
    counted = [True, True, False]
    made.read_from(Readings(partitions, monitors, lambda: True, lambda: counted, quality))
    made.exposition("")
    return made


def history(samples: int = 720) -> History:
    """An hour in which the lag rises and falls and the model is away for a while."""
    made = History(5.0, samples)
    counts: Counter[str] = Counter()
    bounds, ages = (0.1, 0.5, 1.0), [0, 0, 0, 0]
    for at in range(samples + 1):
        away = 400 <= at < 460
        counts.update({"model": 0 if away else 5_000, "rule": 5_400 if away else 400})
        ages[0] += 4_800
        ages[1 + away] += 200
        totals = Totals(dict(counts), at * 20, tuple(ages), bounds, 0.004)
        lag = 200 + abs(at - 430) * 3
        made.add(at * 5.0, NOW_MS - (samples - at) * 5_000, totals, lag, lag / 1_000)
    return made


def last_decisions() -> DecisionsView:
    """A decision of the model, one of a rule, and a dead letter."""
    stages = (
        StageView(stage="decode", began_ms=0.0, took_ms=1.9),
        StageView(stage="check", began_ms=1.9, took_ms=0.6),
        StageView(stage="score", began_ms=2.6, took_ms=3.7),
        StageView(stage="decide", began_ms=6.3, took_ms=0.3),
        StageView(stage="encode", began_ms=6.7, took_ms=1.1),
        StageView(stage="settle", began_ms=7.8, took_ms=3.2),
    )
    parts: dict[str, Any] = {
        "topic": "credit.events",
        "partition": 0,
        "record_time_ms": NOW_MS - 250,
        "settled_ms": NOW_MS,
        "batch_records": 500,
        "key_hash": "5e1f0c9ab2d4",
        "stages": stages,
    }
    answered: dict[str, Any] = {
        "outcome": "decision",
        "event_hash": "a1b2c3d4e5f6",
        "event_time_ms": NOW_MS - 300,
        "score": 0.93,
        "threshold": 0.8,
        **parts,
    }
    sure = DecisionView(
        number=3,
        offset=120_399,
        source="model",
        reason="confident",
        label="yes",
        answer="yes",
        confidence=0.93,
        **answered,
    )
    unsure = DecisionView(
        number=2,
        offset=120_298,
        source="rule",
        reason="low_confidence",
        rule="large-amount",
        label="review",
        answer="no",
        confidence=0.61,
        features={"amount": 812.5, "country": "DE"},
        **answered,
    )
    refused = DecisionView(
        number=1,
        offset=120_297,
        outcome="dead_letter",
        rejected_by="decode",
        code="missing_field",
        message="`id` is missing",
        **parts,
    )
    return DecisionsView(enabled=True, kept=50, decisions=(sure, unsure, refused))


WELL = Verdict(True)


@dataclass(slots=True)
class StaticSurface:
    """Answers what a test put there."""

    view: StatusView = field(default_factory=status)
    alive: Verdict = WELL
    willing: Verdict = WELL
    begun: Verdict = WELL
    metrics: Metrics = field(default_factory=busy_metrics)
    past: History = field(default_factory=lambda: history())
    last: DecisionsView = field(default_factory=lambda: last_decisions())

    def live(self) -> Verdict:
        return self.alive

    def ready(self) -> Verdict:
        return self.willing

    def started(self) -> Verdict:
        return self.begun

    def status(self) -> StatusView:
        return self.view

    def history(self, since_ms: int) -> HistoryView:
        return self.past.view(since_ms)

    def decisions(self) -> DecisionsView:
        return self.last

    def exposition(self, accept: str) -> Exposition:
        return self.metrics.exposition(accept)
