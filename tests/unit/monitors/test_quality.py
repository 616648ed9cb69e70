from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from sidecar.bundle.calibration import calibrate
from sidecar.config.settings import DuplicateSettings, UsualSettings
from sidecar.config.values import Duration
from sidecar.events import Reason, RejectCode, Source
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.quality import Expected, QualityMonitor, usual_fallback
from sidecar.monitors.quality_snapshot import (
    Agreement,
    DecisionShare,
    QualityRatio,
    QualityWindow,
    RuleShare,
)
from tests.quality_samples import (
    FEATURES,
    MANIFEST,
    REFERENCE,
    START,
    Line,
    monitor,
    settings,
    settled,
)

MINUTE = 60_000


def shown(lines: Sequence[Line], watching: QualityMonitor | None = None) -> QualityWindow:
    """Give the shortest window after these records."""
    watching = watching or monitor()
    watching.observe(*settled(lines))
    return watching.snapshot(None).windows[0]


def ratio(window: QualityWindow, check: str, feature: str = "") -> QualityRatio:
    return next(r for r in window.ratios if (r.check, r.feature) == (check, feature))


def refused(code: RejectCode = RejectCode.WRONG_TYPE, path: str = "$") -> Line:
    return Line(refused=code, path=path)


def test_all_windows_are_there_before_the_first_event() -> None:
    windows = monitor().snapshot(None).windows

    assert [(w.window, w.records, w.ready, w.breached) for w in windows] == [
        ("5m", 0, False, ()),
        ("1h", 0, False, ()),
    ]
    assert windows[0].freshness is None


# --- refused records -----------------------------------------------------------------------


def test_refused_records_count_by_code_and_by_the_feature_at_fault() -> None:
    lines = [
        *[Line()] * 16,
        refused(path="$.features.age"),
        refused(RejectCode.OUT_OF_LIMITS, "$.data.features.age"),
        refused(RejectCode.MISSING_FEATURE, "$.features.country"),
        refused(RejectCode.TOO_LARGE),
    ]

    window = shown(lines)

    assert window.records == 20
    assert window.rejections == {
        "too_large": 1,
        "wrong_type": 1,
        "missing_feature": 1,
        "out_of_limits": 1,
    }
    assert window.faults == {
        "age": {"wrong_type": 1, "out_of_limits": 1},
        "country": {"missing_feature": 1},
    }
    assert ratio(window, "rejected").ratio == 4 / 20
    assert ratio(window, "fault", "age").ratio == 2 / 20


def test_a_feature_that_the_model_does_not_have_becomes_no_name() -> None:
    window = shown([*[Line()] * 3, refused(path="$.features.evil"), refused(path="$.time")])

    assert window.rejections == {"wrong_type": 2}
    assert window.faults == {}


def test_a_refused_record_counts_at_the_newest_event_before_it() -> None:
    watching = monitor()
    later = [Line(time_ms=START + 10 * MINUTE)] * 8
    lines = [Line(), refused(), *later, refused(), refused()]

    watching.observe(*settled(lines))

    short, long = watching.snapshot(None).windows
    assert (short.records, short.rejections) == (10, {"wrong_type": 2})
    assert (long.records, long.rejections) == (12, {"wrong_type": 3})


def test_a_refused_record_before_all_events_counts_nowhere() -> None:
    assert shown([refused(), refused()]).records == 0
    assert shown([refused(), Line(), refused()]).records == 2


def test_an_unseen_value_that_is_read_again_counts_once() -> None:
    watching = monitor()
    batch = settled([Line(country="xx")] * 10)

    watching.observe(*batch)
    watching.observe(*batch)

    (unseen,) = (each for each in watching.snapshot(None).unseen if each.records)
    assert unseen.records == watching.snapshot(None).windows[0].records == 10


def test_what_belongs_to_another_process_keeps_its_counts_and_no_ids() -> None:
    watching = monitor()
    lines = [Line(id=f"e{at}") for at in range(10)]
    watching.observe(*settled(lines))

    watching.released([0])
    watching.observe(*settled(lines, first=10))

    window = watching.snapshot(None).windows[0]
    assert window.records == 20
    assert ratio(window, "duplicate").ratio == 0


# --- age and duplicates --------------------------------------------------------------------


def test_events_older_than_the_limit_are_stale() -> None:
    ages = [0, 100, 1_000, 30_000, 30_001, 60_000]

    window = shown([Line(age_ms=age) for age in ages], monitor(freshness=Duration.parse("30s")))

    assert ratio(window, "stale").ratio == 2 / 6
    assert window.freshness is not None
    assert 1.0 <= window.freshness.median_seconds <= 1.2
    assert 60.0 <= window.freshness.p99_seconds <= 72.0


def test_an_id_that_comes_again_is_a_duplicate_in_its_partition_alone() -> None:
    lines = [
        Line(id="a"),
        Line(id="b"),
        Line(id="a"),
        Line(id="a", time_ms=START + MINUTE),
        Line(id="b", partition=1),
    ]

    assert ratio(shown(lines), "duplicate").ratio == 2 / 5


def test_ids_beyond_the_memory_are_forgotten() -> None:
    watching = monitor(duplicates=DuplicateSettings(remember=10))
    ids = [*range(40), 0, 39]

    window = shown([Line(id=str(at)) for at in ids], watching)

    assert ratio(window, "duplicate").ratio == 1 / 42


def test_without_a_memory_there_is_no_such_check() -> None:
    watching = monitor(duplicates=DuplicateSettings(remember=0))

    window = shown([Line(id="a")] * 20, watching)

    assert "duplicate" not in {r.check for r in window.ratios}


def test_records_that_are_read_again_are_no_duplicates() -> None:
    watching = monitor()
    batch = settled([Line(id=str(at)) for at in range(20)])
    watching.observe(*batch)
    watching.windows.revoke([0])  # what was counted and not stored is counted again

    watching.observe(*batch)

    window = watching.snapshot(None).windows[0]
    assert (window.records, ratio(window, "duplicate").ratio) == (20, 0.0)


def test_a_partition_that_left_takes_its_records_and_ids_along() -> None:
    watching = monitor()
    watching.observe(*settled([Line(id="a"), Line(id="b", partition=1)]))

    watching.revoked([0])
    watching.observe(*settled([Line(id="a")], first=2))

    window = watching.snapshot(None).windows[0]
    assert (window.records, ratio(window, "duplicate").ratio) == (2, 0.0)


# --- answers -------------------------------------------------------------------------------


def test_decisions_are_shared_out_by_source_reason_and_rule() -> None:
    fallen = {"reason": Reason.LOW_CONFIDENCE}
    lines = [
        *[Line()] * 5,
        *[Line(source=Source.RULE, rule=1, **fallen)] * 2,  # type: ignore[arg-type]
        Line(source=Source.DEFAULT, **fallen),  # type: ignore[arg-type]
        *[Line(source=Source.UPSTREAM, reason=Reason.UPSTREAM)] * 2,
    ]

    window = shown(lines)

    assert window.decisions == (
        DecisionShare(source="model", reason="confident", records=5, ratio=0.5),
        DecisionShare(source="upstream", reason="upstream", records=2, ratio=0.2),
        DecisionShare(source="rule", reason="low_confidence", records=2, ratio=0.2),
        DecisionShare(source="default", reason="low_confidence", records=1, ratio=0.1),
    )
    assert window.rules == (
        RuleShare(rule="large", records=0, ratio=0.0),
        RuleShare(rule="old", records=2, ratio=0.2),
    )
    fallback = ratio(window, "fallback")
    assert (fallback.ratio, fallback.records) == (3 / 8, 8)


def test_agreement_counts_where_both_answered() -> None:
    upstream = {"source": Source.UPSTREAM, "reason": Reason.UPSTREAM}
    lines = [
        Line(answer="yes", shadow=1, **upstream),  # type: ignore[arg-type]
        Line(answer="yes", shadow=0, **upstream),  # type: ignore[arg-type]
        Line(answer="no", shadow=0, **upstream),  # type: ignore[arg-type]
        Line(answer="no", shadow=-1, **upstream),  # type: ignore[arg-type]
        Line(answer="elsewhere", shadow=1, **upstream),  # type: ignore[arg-type]
        Line(answer="yes"),
    ]

    agreement = shown(lines, monitor(compares=True)).agreement

    assert agreement == (
        Agreement(label="", compared=4, agreed=2),
        Agreement(label="no", compared=1, agreed=1),
        Agreement(label="yes", compared=2, agreed=1),
    )
    assert shown(lines).agreement == ()


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.0, 0.0), (0.6, 0.2), (0.75, 0.5)], ids=str
)
def test_the_usual_fallback_share_is_that_of_the_reference(
    threshold: float, expected: float
) -> None:
    confidence = np.linspace(0.5, 1.0, 2_001)
    curves = calibrate({"max_probability": confidence}, np.ones(2_001, np.bool_))

    usual = usual_fallback(curves, "max_probability", threshold)

    assert usual is not None
    assert usual.ratio == pytest.approx(expected, abs=0.005)


def test_without_a_calibration_the_fallback_share_has_no_band() -> None:
    assert usual_fallback(None, "max_probability", 0.7) is None

    lines = [Line(source=Source.DEFAULT, reason=Reason.LOW_CONFIDENCE)] * 50
    fallback = ratio(shown(lines), "fallback")

    assert (fallback.expected, fallback.upper, fallback.breached) == (None, None, False)


# --- bands ---------------------------------------------------------------------------------


def test_a_share_outside_its_band_is_said() -> None:
    usual = UsualSettings(rejected=0.1)
    few = shown([*[Line()] * 85, *[refused()] * 15], monitor(usual=usual))
    many = shown([*[Line()] * 60, *[refused()] * 40], monitor(usual=usual))

    assert not ratio(few, "rejected").breached
    assert ratio(many, "rejected").breached
    assert few.breached == ()
    assert [r.check for r in many.breached] == ["rejected"]


def test_too_few_records_leave_no_band() -> None:
    window = shown([Line(), *[refused()] * 8])

    rejected = ratio(window, "rejected")
    assert not window.ready
    assert (rejected.ratio, rejected.upper, rejected.breached) == (8 / 9, None, False)


def test_fewer_fallbacks_than_usual_leave_the_band_too() -> None:
    sure = shown([Line()] * 500, monitor(Expected(0.3, 10_000)))

    fallback = ratio(sure, "fallback")
    assert fallback.breached
    assert fallback.lower is not None
    assert fallback.ratio < fallback.lower


def drift_and_quality(lines: Sequence[Line]) -> QualityWindow:
    drift = DriftMonitor(MANIFEST, REFERENCE, settings())
    watching = monitor()
    for observer in (drift, watching):
        observer.observe(*settled(lines))
    return watching.snapshot(drift.snapshot()).windows[0]


def test_missing_unseen_and_out_of_range_are_judged_by_the_reference() -> None:
    usual = [Line(age=np.nan if at % 10 == 0 else 30.0) for at in range(400)]
    odd = [
        Line(
            age=np.nan if at % 4 == 0 else 99.0,
            country="xx" if at % 3 == 0 else "de",
            rooms=7.0 if at % 2 else 1.0,
        )
        for at in range(400)
    ]

    assert drift_and_quality(usual).breached == ()
    assert {(r.check, r.feature) for r in drift_and_quality(odd).breached} == {
        ("missing", "age"),
        ("out_of_range", "age"),
        ("unseen", "country"),
        ("unseen", "rooms"),
    }
    missing = ratio(drift_and_quality(usual), "missing", "age")
    assert (missing.ratio, missing.expected) == (0.1, 0.1)


def test_one_unseen_category_in_a_thousand_is_no_alarm() -> None:
    lines = [
        Line(country="xx"),
        *[Line(age=np.nan if at % 10 == 0 else 30.0) for at in range(999)],
    ]

    assert drift_and_quality(lines).breached == ()


def test_events_that_come_in_clusters_get_wider_bands() -> None:
    drift = DriftMonitor(MANIFEST, REFERENCE, settings())
    watching = monitor(Expected(0.2, 10_000))
    for observer in (drift, watching):
        observer.observe(*settled([Line()] * 500))
    plain = drift.snapshot()
    clustered = replace(
        plain,
        windows=tuple(
            replace(at, subjects=tuple(replace(s, overdispersion=20.0) for s in at.subjects))
            for at in plain.windows
        ),
    )

    for check, feature in (("missing", "age"), ("fallback", "")):
        narrow, wide = (
            ratio(watching.snapshot(drift).windows[0], check, feature)
            for drift in (plain, clustered)
        )
        assert narrow.upper is not None
        assert wide.upper is not None
        spreads = wide.upper - wide.expected, narrow.upper - narrow.expected  # type: ignore[operator]
        assert spreads[0] > 3 * spreads[1]


def test_missing_values_that_stop_are_a_change_too() -> None:
    assert [(r.check, r.feature) for r in drift_and_quality([Line()] * 900).breached] == [
        ("missing", "age")
    ]


def test_only_watched_features_are_judged() -> None:
    chosen = settings()
    only = type(chosen)(windows=chosen.windows, features=["rooms"])

    found = QualityMonitor(MANIFEST, REFERENCE, only).snapshot(None)

    assert {r.feature for r in found.windows[0].ratios} == {"", "rooms"}
    assert [unseen.feature for unseen in found.unseen] == ["rooms"]
    assert {feature.name for feature in FEATURES} > {"rooms"}
