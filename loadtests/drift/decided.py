"""Decided batches of the twenty columns, as the pipeline hands them to its observers."""

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from loadtests.drift.columns import NAMES, Rows
from sidecar.bundle.manifest import (
    Feature,
    FeatureType,
    Manifest,
    ModelSpec,
    ReferenceProfile,
    SubjectDispersions,
    Task,
    WindowCalibration,
)
from sidecar.bundle.profile import build_profile
from sidecar.config.settings import MonitorSettings
from sidecar.events import (
    DecisionBatch,
    EventBatch,
    Features,
    Reason,
    RecordBatch,
    Source,
    Span,
)

LABELS = ("no", "yes")
BATCH_RECORDS = 4_096
PARTITIONS = 4

_FEATURES = tuple(Feature(name=name, type=FeatureType.FLOAT) for name in NAMES)


def manifest() -> Manifest:
    """Give the signature of a binary model of the twenty columns."""
    spec = ModelSpec(task=Task.BINARY, inputs=(), scores=(), labels=LABELS)
    return Manifest(
        format=1,
        name="bench",
        version="1",
        created="2026-01-01T00:00:00Z",
        model=spec,
        features=_FEATURES,
        files={},
    )


def profile(rows: Rows) -> ReferenceProfile:
    """Count reference rows, with an answer for each, as `sidecar bundle build` does.

    The default windows are calibrated, as for independent events: without it the alert rule
    would wait for a day of live windows.
    """
    score = scores(len(rows), seed=1)
    counted = build_profile(
        _FEATURES,
        Features(rows, {}),
        score,
        {"max_probability": np.maximum(score, 1 - score)},
        (score >= 0.5).astype(np.int32),
        LABELS,
        Task.BINARY,
    )
    one = 1.0
    subjects = SubjectDispersions(
        features=dict.fromkeys(counted.features, one),
        score=one,
        confidence=dict.fromkeys(counted.confidence, one),
        label=one,
    )
    calibration = tuple(
        WindowCalibration(
            reference="overall",
            length_ms=length.ms,
            windows=10,
            records=len(rows) // 10,
            subjects=subjects,
        )
        for length in MonitorSettings().windows
    )
    return replace(counted, calibration=calibration)


def scores(count: int, seed: int) -> NDArray[np.float64]:
    """Give what a model might answer: probabilities of `yes`."""
    return np.random.default_rng(seed).beta(2.0, 4.0, count)


def batches(rows: Rows, *, first_offset: int, start_ms: int) -> list[DecisionBatch]:
    """Cut rows into decided batches, all in the minute that begins with `start_ms`.

    Args:
        rows: The features.
        first_offset: Input offset from which each partition goes on.
        start_ms: Event time of the first.
    """
    return [
        _decided(rows[at : at + BATCH_RECORDS], first_offset + at, start_ms)
        for at in range(0, len(rows), BATCH_RECORDS)
    ]


def _decided(rows: Rows, first_offset: int, start_ms: int) -> DecisionBatch:
    count = len(rows)
    cuts = [count * part // PARTITIONS for part in range(PARTITIONS + 1)]
    spans = tuple(Span(at, cuts[at], cuts[at + 1]) for at in range(PARTITIONS))
    times = start_ms + np.arange(count)
    blank = [b""] * count
    records = RecordBatch(
        "events", spans, first_offset + np.arange(count), times, blank, blank, [()] * count
    )
    no = np.zeros(count, np.bool_)
    events = EventBatch(
        records, np.arange(count), [""] * count, times, Features(rows, {}), None, no, no, no
    )
    score = scores(count, seed=2)
    label = (score >= 0.5).astype(np.int32)
    return DecisionBatch(
        events=events,
        label=label,
        answer=label,
        score=score,
        confidence=np.maximum(score, 1 - score),
        source=np.full(count, Source.MODEL, np.uint8),
        reason=np.full(count, Reason.CONFIDENT, np.uint8),
        rule=np.full(count, -1, np.int32),
        vocabulary=LABELS,
        rules=(),
    )
