"""A table with faults that others made, against what nannyml 0.13.1 says of it.

The shares and alerts are those of its `MissingValuesCalculator` and `UnseenValuesCalculator`
over chunks of 5,000 rows, whose limits are three standard deviations over the ten chunks of the
reference, and for unseen values that there is any.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from sidecar.bundle.manifest import (
    Feature,
    FeatureType,
    Manifest,
    ModelSpec,
    ReferenceProfile,
    Task,
)
from sidecar.bundle.profile import build_profile
from sidecar.config.settings import MonitorSettings
from sidecar.config.values import Duration
from sidecar.events import DecisionBatch, EventBatch, Features, RecordBatch, Span
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.quality import QualityMonitor
from sidecar.monitors.quality_snapshot import QualityRatio, QualitySnapshot

TABLE = Path(__file__).parents[2] / "data" / "tables" / "car_loan_incomplete.parquet"
CHUNK, CHUNKS = 5_000, 20
START, STEP_MS = 1_514_764_800_000, 523_152
SETTINGS = MonitorSettings(windows=[Duration(60 * 86_400_000)], pane=Duration(86_400_000))

MISSING_SALARY = (
    *(0.0998, 0.1004, 0.0912, 0.1018, 0.1014, 0.0966, 0.1028, 0.1108, 0.1018, 0.0934),
    *(0.1004, 0.1064, 0.0982, 0.0966, 0.0984, 0.2188, 0.2214, 0.2178, 0.2264, 0.2156),
)
MISSING_ALERTS = {15, 16, 17, 18, 19}
UNSEEN_DOWNPAYMENT = (
    *(0.0,) * 10,
    *(0.0094, 0.0062, 0.0076, 0.0072, 0.0096, 0.0188, 0.0178, 0.0202, 0.0222, 0.0210),
)
UNSEEN_ALERTS = set(range(10, 20))


@cache
def loans() -> tuple[Features, tuple[Feature, ...]]:
    """The rows as `decode` gives them, with the categories of the reference period."""
    table = pq.read_table(TABLE)
    texts = {name: table[name].to_pylist() for name in table.column_names}
    features = tuple(
        Feature(
            name=name,
            type=FeatureType.STRING,
            required=False,
            categories=tuple(sorted({text for text in column[:50_000] if text is not None})),
        )
        for name, column in texts.items()
    )
    columns = []
    for feature in features:
        known = feature.categories or ()
        codes = {text: float(code) for code, text in enumerate(known)} | {None: np.nan}
        columns.append([codes.get(text, float(len(known))) for text in texts[feature.name]])
    return Features(np.column_stack(columns), texts), features


@cache
def reference() -> ReferenceProfile:
    rows, features = loans()
    score = np.full(50_000, 0.5)
    first = rows.take(np.arange(50_000))
    label = np.zeros(50_000, np.int32)
    confidence = {"max_probability": score}
    return build_profile(features, first, score, confidence, label, ("no", "yes"), Task.BINARY)


def decided(chunk: int) -> DecisionBatch:
    at = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
    times_ms = START + at * STEP_MS
    blank: list[bytes | None] = [b""] * CHUNK
    spans = (Span(0, 0, CHUNK),)
    records = RecordBatch("t", spans, at, times_ms, blank, blank, [()] * CHUNK)
    no, code = np.zeros(CHUNK, np.bool_), np.zeros(CHUNK, np.int32)
    events = EventBatch(
        records=records,
        rows=np.arange(CHUNK),
        ids=[str(row) for row in at],
        event_time_ms=times_ms,
        features=loans()[0].take(at),
        upstream=None,
        missing=no,
        out_of_range=no,
        future=no,
    )
    half = np.full(CHUNK, 0.5)
    known = np.zeros(CHUNK, np.uint8)
    return DecisionBatch(
        events, code, code, half, half, known, known, code - 1, ("no", "yes"), ()
    )


@cache
def snapshot(chunk: int) -> QualitySnapshot:
    manifest = Manifest(
        format=1,
        name="loans",
        version="1",
        created="2026-01-01T00:00:00Z",
        model=ModelSpec(task=Task.BINARY, inputs=(), scores=(), labels=("no", "yes")),
        features=loans()[1],
        files={},
    )
    drift = DriftMonitor(manifest, reference(), SETTINGS)
    quality = QualityMonitor(manifest, reference(), SETTINGS)
    drift.observe(decided(chunk))
    quality.observe(decided(chunk), [])
    return quality.snapshot(drift.snapshot())


def ratio(chunk: int, check: str, feature: str) -> QualityRatio:
    ratios = snapshot(chunk).windows[0].ratios
    return next(r for r in ratios if (r.check, r.feature) == (check, feature))


def test_shares_are_theirs_to_the_last_digit() -> None:
    missing = [ratio(at, "missing", "salary_range") for at in range(CHUNKS)]
    unseen = [ratio(at, "unseen", "size_of_downpayment") for at in range(CHUNKS)]

    assert {found.records for found in missing} == {CHUNK}
    assert [round(found.ratio, 4) for found in missing] == list(MISSING_SALARY)
    assert [round(found.ratio, 4) for found in unseen] == list(UNSEEN_DOWNPAYMENT)


def test_the_bands_are_left_where_they_alert_and_nowhere_else() -> None:
    left = [
        (at, found.check, found.feature)
        for at in range(CHUNKS)
        for found in snapshot(at).windows[0].breached
    ]

    assert left == sorted(
        [(at, "missing", "salary_range") for at in MISSING_ALERTS]
        + [(at, "unseen", "size_of_downpayment") for at in UNSEEN_ALERTS]
    )


def test_the_band_of_the_missing_share_is_about_as_wide_as_theirs() -> None:
    band = ratio(0, "missing", "salary_range")

    assert band.expected == pytest.approx(0.1)
    # Theirs is 0.0845 to 0.1155, from how ten chunks of the reference vary.
    assert band.lower == pytest.approx(0.0845, abs=0.004)
    assert band.upper == pytest.approx(0.1155, abs=0.004)


def test_the_value_that_nobody_named_is_found() -> None:
    unseen = {found.feature: found for found in snapshot(19).unseen}

    assert unseen["salary_range"].records == 0
    down = unseen["size_of_downpayment"]
    assert [(one.value, one.records) for one in down.top] == [("50%", 105)]
    assert (down.records, round(down.distinct)) == (105, 1)
