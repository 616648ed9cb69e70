import numpy as np
import pytest
from msgspec.structs import replace

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
from sidecar.bundle.profile import build_profile, entries
from sidecar.config.settings import DriftSettings, MonitorSettings
from sidecar.config.values import Duration
from sidecar.errors import ConfigError
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
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.snapshot import SubjectDrift, WindowSnapshot

FEATURES = (
    Feature(name="age", type=FeatureType.FLOAT),
    Feature(name="sex", type=FeatureType.STRING, categories=("f", "m")),
)
LABELS = ("no", "yes")
START = 1_700_000_040_000
"""Begin of a minute."""


def manifest(task: Task = Task.BINARY) -> Manifest:
    return Manifest(
        format=1,
        name="credit",
        version="7",
        created="2026-01-01T00:00:00Z",
        model=ModelSpec(task=task, inputs=(), scores=(), labels=LABELS),
        features=FEATURES,
        files={},
    )


def rows(count: int, *, seed: int = 1, shift: float = 0.0) -> Features:
    rng = np.random.default_rng(seed)
    age = rng.normal(40.0 + shift, 10.0, count)
    return Features(np.column_stack((age, rng.integers(0, 2, count))), {})


def scores(count: int, *, seed: int = 1) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).beta(2, 4, count)


def reference(task: Task = Task.BINARY) -> ReferenceProfile:
    score = scores(20_000)
    known = task is not Task.REGRESSION
    return build_profile(
        FEATURES,
        rows(20_000),
        score,
        {"max_probability": np.maximum(score, 1 - score)} if known else {},
        (score >= 0.5).astype(np.int32) if known else None,
        LABELS if known else (),
        task,
    )


def settings(**changed: object) -> MonitorSettings:
    given: dict[str, object] = {
        "windows": [Duration(300_000), Duration(3_600_000)],
        "drift": DriftSettings(false_discovery_rate=0.001),
        **changed,
    }
    return MonitorSettings(**given)  # type: ignore[arg-type]


def decided(features: Features, *, start_ms: int = START, **columns: object) -> DecisionBatch:
    """Build a batch of two partitions, with an event every 10 ms in each."""
    count = len(features)
    half = count // 2
    spans = (Span(0, 0, half), Span(3, half, count))
    times = start_ms + 10 * np.concatenate((np.arange(half), np.arange(count - half)))
    blank = [b""] * count
    records = RecordBatch("t", spans, np.arange(count), times, blank, blank, [()] * count)
    no = np.zeros(count, np.bool_)
    events = EventBatch(
        records, np.arange(count), [""] * count, times, features, None, no, no, no
    )
    score = scores(count, seed=2)
    label = columns.pop("label", (score >= 0.5).astype(np.int32))
    given: dict[str, object] = {
        "label": label,
        "answer": label,
        "score": score,
        "confidence": np.maximum(score, 1 - score),
        "source": np.full(count, Source.MODEL, np.uint8),
        "reason": np.full(count, Reason.CONFIDENT, np.uint8),
        **columns,
    }
    return DecisionBatch(
        events=events,
        rule=np.full(count, -1, np.int32),
        vocabulary=(*LABELS, "review"),
        rules=(),
        **given,  # type: ignore[arg-type]
    )


def shortest(monitor: DriftMonitor) -> WindowSnapshot:
    return monitor.snapshot().windows[0]


def subject(monitor: DriftMonitor, name: str) -> SubjectDrift:
    return next(one for one in shortest(monitor).subjects if one.name == name)


def test_all_windows_and_subjects_are_there_before_the_first_event() -> None:
    snapshot = DriftMonitor(manifest(), reference(), settings()).snapshot()

    assert (snapshot.newest_event_time_ms, snapshot.late, snapshot.future) == (None, 0, 0)
    assert [window.window for window in snapshot.windows] == ["5m", "1h"]
    for window in snapshot.windows:
        assert (window.start_ms, window.end_ms, window.records, window.ready) == (
            0,
            0,
            0,
            False,
        )
        assert set(window.decisions.values()) == {0}
        assert [
            (one.name, one.subject, one.records, one.scores) for one in window.subjects
        ] == [
            ("age", "feature", 0, ()),
            ("sex", "feature", 0, ()),
            ("score", "score", 0, ()),
            ("confidence", "confidence", 0, ()),
            ("label", "label", 0, ()),
        ]


def test_nothing_drifts_where_events_are_as_the_reference() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())

    monitor.observe(decided(rows(2_000, seed=5)))

    window = shortest(monitor)
    assert window.ready
    assert (window.records, window.start_ms, window.end_ms) == (
        2_000,
        START + 60_000 - 300_000,
        START + 60_000,
    )
    assert [one.drifting for one in window.subjects] == [False] * 5
    assert [score.exceeded for one in window.subjects for score in one.scores] == [False] * 33
    assert [(one.p_warning, one.p_critical) for one in window.subjects] == [(1.0, 1.0)] * 5


def test_the_feature_that_shifts_drifts_and_no_other() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())

    monitor.observe(decided(rows(2_000, seed=5, shift=5.0)))

    assert [one.name for one in shortest(monitor).subjects if one.drifting] == ["age"]
    found = {score.method: score.value for score in subject(monitor, "age").scores}
    # Half a standard deviation: its square for PSI, 0.425 and 0.399 of it for the other two.
    assert found.pop("chi_square") == pytest.approx(0.25 / (1 / 2_000 + 1 / 20_000), rel=0.2)
    assert found == pytest.approx(
        {
            "psi": 0.25,
            "psi_excess": 0.25,
            "js": 0.2,
            "hellinger": 0.177,
            "ks": 0.2,
            "wasserstein": 0.5,
        },
        rel=0.2,
    )


def test_missing_unseen_and_out_of_range_have_shares_of_their_own() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())
    features = rows(1_000, seed=5)
    features.matrix[:100, 0] = np.nan
    features.matrix[100:150, 0] = 1_000.0
    features.matrix[:20, 1] = 2.0

    monitor.observe(decided(features))

    age, sex = subject(monitor, "age"), subject(monitor, "sex")
    assert (age.missing_ratio, age.unseen_ratio, age.out_of_range_ratio) == (0.1, 0.0, 0.05)
    assert (sex.missing_ratio, sex.unseen_ratio, sex.out_of_range_ratio) == (0.0, 0.02, 0.0)
    assert age.reference_missing_ratio == 0.0
    assert (age.drifting, sex.drifting) == (True, True)


def test_missing_values_move_psi_and_js_but_not_ks() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())
    features = rows(2_000, seed=5)
    features.matrix[::2, 0] = np.nan

    monitor.observe(decided(features))

    exceeded = {score.method: score.exceeded for score in subject(monitor, "age").scores}
    assert exceeded == {
        "psi": True,
        "psi_excess": True,
        "js": True,
        "hellinger": True,
        "chi_square": True,
        "ks": False,
        "wasserstein": False,
    }


def test_pictures_have_a_name_and_two_shares_for_each_bin() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())

    monitor.observe(decided(Features(np.array([[np.nan, 0.0]] * 3 + [[40.0, 2.0]]), {})))

    age, sex = subject(monitor, "age"), subject(monitor, "sex")
    assert (len(age.bins), age.bins[-2:]) == (12, ("out of range", "missing"))
    assert age.reference[:10] == pytest.approx([0.1] * 10, abs=0.01)
    assert (age.current[-1], sum(age.current)) == (0.75, 1.0)
    assert (sex.bins, sex.current) == (("f", "m", "unseen", "missing"), (0.75, 0.0, 0.25, 0.0))
    assert sex.reference == pytest.approx((0.5, 0.5, 0.0, 0.0), abs=0.02)


def test_answers_of_the_model_count_whether_they_were_taken_or_not() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())
    sources = [Source.MODEL, Source.UPSTREAM, Source.RULE, Source.CACHE, Source.DEFAULT] * 2
    reasons = [
        Reason.CONFIDENT,
        Reason.UPSTREAM,
        Reason.LOW_CONFIDENCE,
        *[Reason.MODEL_ERROR] * 2,
    ]

    monitor.observe(
        decided(
            rows(10),
            source=np.array(sources, np.uint8),
            reason=np.array(reasons * 2, np.uint8),
            label=np.array([0, 1, 2, 2, 2] * 2, np.int32),
            answer=np.array([0, 1, 1, -1, -1] * 2, np.int32),
        )
    )

    window = shortest(monitor)
    assert window.decisions == {"model": 2, "upstream": 2, "rule": 2, "cache": 2, "default": 2}
    assert [one.records for one in window.subjects] == [10, 10, 6, 6, 6]
    assert subject(monitor, "label").current == pytest.approx((1 / 3, 2 / 3, 0.0, 0.0))


def test_what_upstream_leaves_out_is_not_missing() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())
    nothing = np.full(6, np.nan)
    sources = np.array([Source.UPSTREAM] * 4 + [Source.MODEL] * 2, np.uint8)

    monitor.observe(
        decided(
            rows(6),
            source=sources,
            score=nothing,
            confidence=nothing,
            label=np.array([0, 0, -1, -1, -1, 1], np.int32),
        )
    )

    answers = shortest(monitor).subjects[2:]
    assert [(one.records, one.missing_ratio) for one in answers] == [(2, 1), (2, 1), (4, 0.25)]


def test_labels_that_the_model_does_not_have_are_unseen() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())

    monitor.observe(decided(rows(4), label=np.array([0, 1, 2, -1], np.int32)))

    label = subject(monitor, "label")
    assert (label.unseen_ratio, label.missing_ratio) == (0.25, 0.25)
    assert label.bins == ("no", "yes", "unseen", "missing")


@pytest.mark.parametrize(("records", "ready"), [(199, False), (200, True)])
def test_a_window_with_too_few_records_gives_no_verdict(records: int, ready: bool) -> None:
    monitor = DriftMonitor(manifest(), reference(), settings(min_records=200))

    monitor.observe(decided(rows(records, shift=30.0)))

    window = shortest(monitor)
    assert window.ready is ready
    assert [bool(one.scores) for one in window.subjects] == [ready] * 5


def test_a_subject_with_too_few_records_gives_no_verdict() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings(min_records=200))
    open_circuit = np.full(300, Reason.CIRCUIT_OPEN, np.uint8)
    by_rule = np.full(300, Source.RULE, np.uint8)

    monitor.observe(decided(rows(300), reason=open_circuit, source=by_rule))

    window = shortest(monitor)
    assert window.ready
    assert [len(one.scores) for one in window.subjects] == [7, 6, 0, 0, 0]


def test_a_regression_has_no_confidence_and_no_label() -> None:
    monitor = DriftMonitor(manifest(Task.REGRESSION), reference(Task.REGRESSION), settings())
    nobody = np.full(1_000, np.nan)

    monitor.observe(decided(rows(1_000), confidence=nobody, label=np.full(1_000, -1, np.int32)))

    assert [one.name for one in shortest(monitor).subjects] == ["age", "sex", "score"]
    assert not subject(monitor, "score").drifting


def test_chosen_features_are_watched_and_no_others() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings(features=["sex"]))

    monitor.observe(decided(rows(500)))

    assert [one.name for one in shortest(monitor).subjects][:2] == ["sex", "score"]
    assert sum(subject(monitor, "sex").current[:2]) == 1.0


def test_a_feature_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="The model has no feature `income`"):
        DriftMonitor(manifest(), reference(), settings(features=["age", "income"]))


def test_a_seasonal_reference_is_used_where_the_bundle_has_one() -> None:
    profile = reference()
    size = sum(len(entry.profile.counts) for entry in entries(profile))
    # All rows in the hour of the week of the events.
    slots = np.zeros((168, size), np.int64)
    slots[(START // 3_600_000 + 72) % 168] = np.concatenate(
        [entry.profile.counts for entry in entries(profile)]
    )
    auto, overall = (
        DriftMonitor(manifest(), profile, settings(reference=choice), slots=slots)
        for choice in ("auto", "overall")
    )
    for monitor in (auto, overall):
        monitor.observe(decided(rows(2_000, seed=5)))

    assert [monitor.snapshot().windows[0].reference for monitor in (auto, overall)] == [
        "seasonal",
        "overall",
    ]
    assert shortest(auto).subjects == shortest(overall).subjects
    assert auto.fingerprint == overall.fingerprint


def test_calibration_widens_the_critical_values_of_its_length() -> None:
    wide = 9.0
    found = WindowCalibration(
        reference="overall",
        length_ms=300_000,
        windows=40,
        records=2_000,
        subjects=SubjectDispersions(
            features=dict.fromkeys(("age", "sex"), wide),
            score=wide,
            confidence={"max_probability": wide},
            label=wide,
        ),
    )
    plain, calibrated = (
        DriftMonitor(manifest(), replace(reference(), calibration=known), settings())
        for known in ((), (found,))
    )
    for monitor in (plain, calibrated):
        monitor.observe(decided(rows(2_000, seed=5)))

    short, long = calibrated.snapshot().windows
    assert [(each.calibration, each.calibration_windows) for each in (short, long)] == [
        ("bundle", 40),
        ("none", 0),
    ]
    limits = [subject(monitor, "age").score("psi") for monitor in (plain, calibrated)]
    assert limits[0] is not None
    assert limits[1] is not None
    assert (limits[1].critical or 0) == pytest.approx(9 * (limits[0].critical or 1))
    # What is counted is the same: a bundle that is calibrated anew keeps its windows.
    assert plain.fingerprint == calibrated.fingerprint


def test_late_and_future_events_are_counted() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings(lateness=Duration(0)))
    batch = decided(rows(10))
    batch.events.event_time_ms[3] -= 1_000
    batch.events.future[[1, 2, 9]] = True

    monitor.observe(batch)

    snapshot = monitor.snapshot()
    assert (snapshot.late, snapshot.future, snapshot.windows[0].records) == (1, 3, 9)
    assert snapshot.newest_event_time_ms == START + 40


def test_revoked_partitions_are_taken_out() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())
    monitor.observe(decided(rows(500)))

    monitor.revoked([3])

    assert [one.records for one in shortest(monitor).subjects] == [250] * 5


def test_batches_of_any_size_give_the_same_snapshot() -> None:
    whole, parts = (DriftMonitor(manifest(), reference(), settings()) for _ in range(2))
    batch = decided(rows(3_000, shift=2.0))

    whole.observe(batch)
    for positions in np.array_split(np.arange(3_000), 7):
        parts.observe(batch.take(positions))

    assert whole.snapshot() == parts.snapshot()


def test_refused_records_change_nothing() -> None:
    monitor = DriftMonitor(manifest(), reference(), settings())
    before = monitor.snapshot()

    none = decided(rows(4)).take(np.array([], np.int64))
    monitor.observe(none, [Rejection(2, Stage.DECODE, RejectCode.WRONG_TYPE, "no number")])

    assert monitor.snapshot() == before


def test_panes_restore_the_windows_in_another_process() -> None:
    first, second = (DriftMonitor(manifest(), reference(), settings()) for _ in range(2))
    first.observe(decided(rows(1_000)))

    for partition, state in first.windows.partitions.items():
        second.windows.restore(partition, state)

    assert second.snapshot() == first.snapshot()
