"""Settled batches for the quality monitor, made from one line per record."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sidecar.bundle.manifest import (
    Feature,
    FeatureType,
    Manifest,
    ModelSpec,
    ReferenceProfile,
    Task,
)
from sidecar.bundle.profile import build_profile
from sidecar.config.settings import DuplicateSettings, MonitorSettings, QualitySettings
from sidecar.config.values import Duration
from sidecar.events import (
    DecisionBatch,
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
from sidecar.monitors.quality import Expected, QualityMonitor

FEATURES = (
    Feature(name="age", type=FeatureType.FLOAT),
    Feature(name="country", type=FeatureType.STRING, categories=("de", "fr")),
    Feature(name="rooms", type=FeatureType.INTEGER, categories=(1, 2, 3)),
)
LABELS = ("no", "yes")
RULES = ("large", "old")
START = 1_700_000_040_000
"""Begin of a minute."""
MANIFEST = Manifest(
    format=1,
    name="credit",
    version="7",
    created="2026-01-01T00:00:00Z",
    model=ModelSpec(task=Task.BINARY, inputs=(), scores=(), labels=LABELS),
    features=FEATURES,
    files={},
)


def reference(rows: int = 10_000) -> ReferenceProfile:
    """Ages from 20 to 60, one in ten missing; all categories of the signature."""
    age = np.linspace(20.0, 60.0, rows)
    age[::10] = np.nan
    at = np.arange(rows)
    matrix = np.column_stack((age, at % 2, at % 3 + 1.0))
    score = np.linspace(0, 1, rows)
    return build_profile(
        FEATURES,
        Features(matrix, {}),
        score,
        {"max_probability": np.maximum(score, 1 - score)},
        (score >= 0.5).astype(np.int32),
        LABELS,
        Task.BINARY,
    )


REFERENCE = reference()


def settings(**quality: object) -> MonitorSettings:
    """Two windows; ids of the last 1,000 events."""
    given = {"duplicates": DuplicateSettings(remember=1_000), **quality}
    return MonitorSettings(
        windows=[Duration(300_000), Duration(3_600_000)],
        min_records=10,
        quality=QualitySettings(**given),  # type: ignore[arg-type]
    )


def monitor(
    fallback: Expected | None = None, *, compares: bool = False, **quality: object
) -> QualityMonitor:
    return QualityMonitor(
        MANIFEST, REFERENCE, settings(**quality), RULES, fallback, compares=compares
    )


@dataclass(frozen=True, kw_only=True)
class Line:
    """One record: an event and its decision, or a refused one."""

    partition: int = 0
    time_ms: int = START
    age_ms: int = 0
    id: str = ""
    """As its offset when empty."""
    age: float = 40.0
    country: str = "de"
    rooms: float = 2.0
    source: Source = Source.MODEL
    reason: Reason = Reason.CONFIDENT
    rule: int = -1
    answer: str = "yes"
    shadow: int = -1
    refused: RejectCode | None = None
    path: str = "$"


def settled(lines: Sequence[Line], first: int = 0) -> tuple[DecisionBatch, list[Rejection]]:
    """Build a batch of records with the offsets from `first` on, in partition order."""
    numbered = sorted(enumerate(lines, first), key=lambda pair: pair[1].partition)
    count = len(numbered)
    blank: list[bytes | None] = [b""] * count
    partitions = np.array([line.partition for _, line in numbered], np.int64)
    records = RecordBatch(
        "t",
        tuple(
            Span(partition, *np.searchsorted(partitions, (partition, partition + 1)).tolist())
            for partition in np.unique(partitions).tolist()
        ),
        np.array([offset for offset, _ in numbered], np.int64),
        np.array([line.time_ms + line.age_ms for _, line in numbered], np.int64),
        blank,
        blank,
        [()] * count,
    )
    rejections = [
        Rejection(row, Stage.DECODE, line.refused, "", line.path)
        for row, (_, line) in enumerate(numbered)
        if line.refused is not None
    ]
    rows = [row for row, (_, line) in enumerate(numbered) if line.refused is None]
    events = [numbered[row] for row in rows]
    return _decisions(records, np.array(rows, np.int64), events), rejections


def _decisions(
    records: RecordBatch, rows: np.typing.NDArray[np.int64], lines: Sequence[tuple[int, Line]]
) -> DecisionBatch:
    known = FEATURES[1].categories or ()
    codes = {country: float(code) for code, country in enumerate(known)}
    vocabulary = tuple(dict.fromkeys((*LABELS, *(line.answer for _, line in lines))))
    no = np.zeros(len(lines), np.bool_)
    matrix = np.array(
        [[line.age, codes.get(line.country, 2.0), line.rooms] for _, line in lines], np.float64
    ).reshape(-1, 3)
    events = EventBatch(
        records=records,
        rows=rows,
        ids=[line.id or str(offset) for offset, line in lines],
        event_time_ms=np.array([line.time_ms for _, line in lines], np.int64),
        features=Features(matrix, {"country": [line.country for _, line in lines]}),
        upstream=None,
        missing=no,
        out_of_range=no,
        future=no,
    )
    answer = np.array([vocabulary.index(line.answer) for _, line in lines], np.int32)
    return DecisionBatch(
        events=events,
        label=answer,
        answer=answer,
        score=np.full(len(lines), 0.5),
        confidence=np.full(len(lines), 0.5),
        source=np.array([line.source for _, line in lines], np.uint8),
        reason=np.array([line.reason for _, line in lines], np.uint8),
        rule=np.array([line.rule for _, line in lines], np.int32),
        vocabulary=vocabulary,
        rules=RULES,
        shadow=np.array([line.shadow for _, line in lines], np.int32),
    )
