"""Drift numbers cannot be blinded or spammed by what fools other monitors."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sidecar.bundle.manifest import Feature, FeatureType, Manifest, ModelSpec, Task
from sidecar.bundle.profile import build_profile
from sidecar.config.settings import MonitorSettings
from sidecar.config.values import Duration
from sidecar.events import (
    DecisionBatch,
    EventBatch,
    Features,
    Float64Column,
    Reason,
    RecordBatch,
    Source,
    Span,
)
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.snapshot import Method, SubjectDrift

RATE = 0.01
ROWS = 50_000
CHANNELS = ("app", "branch", "phone", "web")
SHARES = (0.55, 0.05, 0.1, 0.3)
FEATURES = (
    Feature(name="amount", type=FeatureType.FLOAT),
    Feature(name="channel", type=FeatureType.STRING, categories=CHANNELS),
)
UNSEEN = float(len(CHANNELS))
NEW_YEAR = 1_767_225_600_000


def rows(count: int, *, seed: int, shift: float = 0.0) -> tuple[Float64Column, Float64Column]:
    """Give amounts, moved by so many standard deviations, and channels."""
    rng = np.random.default_rng(seed)
    amount = rng.normal(100.0 + 20.0 * shift, 20.0, count)
    return amount, rng.choice(len(CHANNELS), count, p=SHARES).astype(np.float64)


REFERENCE = build_profile(
    FEATURES,
    Features(np.column_stack(rows(ROWS, seed=0)), {}),
    np.random.default_rng(0).normal(size=ROWS),
    {},
    None,
    (),
    Task.REGRESSION,
)


def monitor() -> DriftMonitor:
    manifest = Manifest(
        format=1,
        name="orders",
        version="1",
        created="2026-01-01T00:00:00Z",
        model=ModelSpec(task=Task.REGRESSION, inputs=(), scores=()),
        features=FEATURES,
        files={},
    )
    one_hour = MonitorSettings(windows=[Duration(3_600_000)])
    return DriftMonitor(manifest, REFERENCE, one_hour)


def decided(amount: Float64Column, channel: Float64Column, partition: int = 0) -> DecisionBatch:
    count = len(amount)
    times = NEW_YEAR + np.arange(count)
    blank = [b""] * count
    records = RecordBatch(
        "t",
        (Span(partition, 0, count),),
        np.arange(count),
        times,
        blank,
        blank,
        [()] * count,
    )
    no = np.zeros(count, np.bool_)
    features = Features(np.column_stack((amount, channel)), {})
    nobody = np.full(count, -1, np.int32)
    return DecisionBatch(
        events=EventBatch(
            records, np.arange(count), [""] * count, times, features, None, no, no, no
        ),
        label=nobody,
        answer=nobody,
        score=np.random.default_rng(1).normal(size=count),
        confidence=np.full(count, np.nan),
        source=np.full(count, Source.MODEL, np.uint8),
        reason=np.full(count, Reason.CONFIDENT, np.uint8),
        rule=nobody,
        vocabulary=(),
        rules=(),
    )


def watched(amount: Float64Column, channel: Float64Column) -> dict[str, SubjectDrift]:
    seen = monitor()
    seen.observe(decided(amount, channel))
    (window,) = seen.snapshot().windows
    return {one.name: one for one in window.subjects}


def value(drift: SubjectDrift, method: Method) -> float:
    score = drift.score(method)
    assert score is not None
    return score.value


# --- one outlier changes nothing -------------------------------------------------------------


@pytest.mark.parametrize("outlier", [1e3, 1e12, -1e300, math.inf])
def test_one_outlier_changes_nothing(outlier: float) -> None:
    amount, channel = rows(1_000, seed=1)
    with_outlier = amount.copy()
    with_outlier[500] = outlier

    before, after = watched(amount, channel)["amount"], watched(with_outlier, channel)["amount"]

    assert [score.exceeded for score in after.scores] == [False] * len(after.scores)
    for method in ("psi", "ks", "js", "hellinger"):
        assert value(after, method) == pytest.approx(value(before, method), abs=0.02)
    assert value(after, "ks") == pytest.approx(value(before, "ks"), abs=1.01 / 1_000)
    assert after.out_of_range_ratio == before.out_of_range_ratio + 0.001


@pytest.mark.parametrize("outlier", [1e12, -1e300, math.inf])
def test_one_outlier_hides_nothing(outlier: float) -> None:
    amount, channel = rows(1_000, seed=1, shift=0.5)
    amount[500] = outlier

    drift = watched(amount, channel)["amount"]

    assert value(drift, "psi") == pytest.approx(0.25, rel=0.25)
    assert value(drift, "wasserstein") == pytest.approx(0.5, rel=0.2)
    assert drift.p_warning is not None
    assert drift.p_warning < 1e-6


def test_outer_groups_are_open() -> None:
    amount, channel = rows(1_000, seed=1)
    beyond = amount.copy()
    beyond[np.argsort(amount)[-30:]] += 1e3  # a top code that moves on

    before, after = watched(amount, channel)["amount"], watched(beyond, channel)["amount"]

    for method in ("psi", "js", "hellinger", "chi_square"):
        assert value(after, method) == value(before, method)
    assert after.out_of_range_ratio == 0.03  # which is said, and has a band of its own


# --- a null surge raises ---------------------------------------------------------------------


def test_a_surge_of_missing_values_is_drift() -> None:
    amount, channel = rows(1_000, seed=2)
    amount[::4] = np.nan
    channel[1::4] = np.nan

    seen = watched(amount, channel)

    for drift in (seen["amount"], seen["channel"]):
        assert (drift.drifting, drift.missing_ratio) == (True, 0.25)
        assert value(drift, "psi") > 1.0
        assert drift.p_critical is not None
        assert drift.p_critical < 1e-6
    ks = seen["amount"].score("ks")
    assert ks is not None
    assert not ks.exceeded  # what is there is as it was


# --- one unseen category in 1,000 does not ---------------------------------------------------


def test_one_unseen_category_in_a_thousand_is_no_drift() -> None:
    amount, channel = rows(1_000, seed=3)
    channel[10] = UNSEEN

    drift = watched(amount, channel)["channel"]

    assert drift.unseen_ratio == 0.001
    assert not drift.drifting
    assert [score.exceeded for score in drift.scores] == [False] * len(drift.scores)
    assert (drift.p_warning, drift.p_critical) == (1.0, 1.0)


def test_many_unseen_categories_are_drift() -> None:
    amount, channel = rows(1_000, seed=3)
    channel[::20] = UNSEEN

    drift = watched(amount, channel)["channel"]

    assert (drift.unseen_ratio, drift.drifting) == (0.05, True)


# --- the number of bins matters --------------------------------------------------------------


def test_the_critical_value_follows_the_number_of_groups() -> None:
    seen = watched(*rows(1_000, seed=4))
    k = 1 / 1_000 + 1 / ROWS

    for name, groups in (("amount", 10), ("channel", 4)):
        psi = seen[name].score("psi")
        assert psi is not None
        assert psi.critical == pytest.approx(k * stats.chi2.isf(RATE, groups - 1))
        by_chance = psi.value - value(seen[name], "psi_excess")
        assert by_chance == pytest.approx(k * (groups - 1))


# --- the empty window is defined -------------------------------------------------------------


def test_the_empty_window_is_defined() -> None:
    (window,) = monitor().snapshot().windows

    assert (window.records, window.ready) == (0, False)
    for drift in window.subjects:
        assert (drift.records, drift.scores, drift.p_warning) == (0, (), None)
        assert (drift.drifting, drift.severity) == (False, 0.0)
        assert (drift.missing_ratio, drift.unseen_ratio, drift.out_of_range_ratio) == (0, 0, 0)
        assert set(drift.current) == {0.0}
    assert b"NaN" not in msgspec.json.encode(window)


# --- two halves merge to the whole -----------------------------------------------------------


@given(st.integers(0, 2_000), st.sampled_from([0.0, 0.3, 2.0]), st.integers(0, 9))
@settings(max_examples=20)
def test_two_halves_merge_to_the_whole(cut: int, shift: float, seed: int) -> None:
    amount, channel = rows(2_000, seed=seed, shift=shift)
    amount[::50] = np.nan
    halves = [
        decided(amount[:cut], channel[:cut], partition=0),
        decided(amount[cut:], channel[cut:], partition=1),
    ]
    whole, merged = monitor(), monitor()

    for half in halves:
        other = monitor()
        other.observe(half)
        for partition, state in other.windows.partitions.items():
            merged.windows.restore(partition, state)
        whole.observe(half)

    assert merged.snapshot().windows == whole.snapshot().windows
