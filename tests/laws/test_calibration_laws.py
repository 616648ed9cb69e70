"""The rule that a clean window passes its critical value in one verdict of a hundred."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import chi2

from sidecar.config.settings import MonitorSettings
from sidecar.monitors.calibration import Calibration
from sidecar.monitors.compare import Comparison, compare
from sidecar.monitors.reference import Reference
from tests.processes import (
    WEEK,
    Process,
    Stream,
    daily_wave,
    hourly,
    independent,
    twenty_of_each_user,
    watched,
    weekly_wave,
)

ROWS_PER_HOUR = 3_000
VERDICTS = WEEK * 4
# A hundredth of the verdicts, and four standard errors: those of the verdicts, and those of a
# factor that was itself measured on 168 windows, which move the rate by as much again.
MOST = 0.01 + 4 * np.sqrt(2 * 0.01 * 0.99 / VERDICTS)


# Four standard errors of the 99 % point of 168 chi-square variables of 10 degrees, over it.
POINT = float(chi2.ppf(0.99, 10))
UNSURE = 4 * np.sqrt(0.01 * 0.99 / WEEK) / float(chi2.pdf(POINT, 10)) / POINT


@dataclass(frozen=True)
class Week:
    """A fresh week, judged by a week before it."""

    calibrated: Comparison
    independent: Comparison
    factors: tuple[float, ...]


def judged(process: Process) -> Week:
    profile, _ = Stream(process, 1, 1, ROWS_PER_HOUR).reference()
    reference = Reference(watched(profile))
    calibration = hourly(profile, reference)
    windows = Stream(process, 2, 1, ROWS_PER_HOUR).windows(reference.subjects)
    plain = Calibration.uncalibrated(4)
    return Week(
        compare(reference, windows, [calibration] * WEEK, MonitorSettings()),
        compare(reference, windows, [plain] * WEEK, MonitorSettings()),
        tuple(calibration.factors.tolist()),
    )


def false_alarms(comparison: Comparison) -> float:
    return float(np.mean(comparison.psi > comparison.psi_critical))


def test_independent_events_need_no_calibration_and_are_not_harmed_by_it() -> None:
    week = judged(independent)

    assert week.factors == pytest.approx((1.0,) * 4, abs=UNSURE)
    assert 0.001 < false_alarms(week.independent) < MOST
    assert 0.001 < false_alarms(week.calibrated) < MOST


def test_twenty_like_events_of_each_user_are_worth_one() -> None:
    week = judged(twenty_of_each_user)

    assert week.factors == pytest.approx((20.0,) * 4, rel=UNSURE)
    assert false_alarms(week.independent) > 0.99
    assert 0.001 < false_alarms(week.calibrated) < MOST


def test_a_daily_wave_is_no_drift() -> None:
    week = judged(daily_wave)

    assert min(week.factors) > 5
    assert false_alarms(week.independent) > 0.7
    assert false_alarms(week.calibrated) < MOST


@pytest.fixture(scope="module")
def weekly() -> tuple[Reference, Calibration]:
    profile, slots = Stream(weekly_wave, 1, 4, 600).reference(seasonal=True)
    reference = Reference(watched(profile), slots)
    return reference, hourly(profile, reference)


def test_like_hours_are_compared_with_like(weekly: tuple[Reference, Calibration]) -> None:
    reference, calibration = weekly
    overall = Reference(reference.subjects)
    windows = Stream(weekly_wave, 2, 1, 600).windows(reference.subjects)

    by_all = compare(overall, windows, [calibration] * WEEK, MonitorSettings())
    by_hour = compare(reference, windows, [calibration] * WEEK, MonitorSettings())

    assert calibration.origin == "bundle"
    assert calibration.factors == pytest.approx((1.0,) * 4, abs=UNSURE)
    assert false_alarms(by_all) > 0.8
    assert 0.001 < false_alarms(by_hour) < MOST


def test_a_shift_stands_out_of_a_season(weekly: tuple[Reference, Calibration]) -> None:
    reference, calibration = weekly
    windows = Stream(weekly_wave, 2, 1, 600).windows(reference.subjects, shift=0.7)

    found = compare(reference, windows, [calibration] * WEEK, MonitorSettings())

    # Its true index is its square, 0.49.
    assert np.mean(found.psi_excess) == pytest.approx(0.49, rel=0.2)
    assert np.mean(found.p_critical < 0.01) > 0.95


def test_a_seasonal_wave_hides_the_shift_from_the_whole_of_the_reference() -> None:
    profile, _ = Stream(weekly_wave, 1, 4, 600).reference()
    reference = Reference(watched(profile))
    calibration = hourly(profile, reference)
    shifted = Stream(weekly_wave, 2, 1, 600).windows(reference.subjects, shift=0.7)

    found = compare(reference, shifted, [calibration] * WEEK, MonitorSettings())

    assert min(calibration.factors) > 15
    assert np.mean(found.psi > found.psi_critical) < 0.5
