import numpy as np
import pytest
from scipy.stats import chi2

from sidecar.bundle.manifest import (
    Feature,
    FeatureType,
    ReferenceProfile,
    Task,
    WindowCalibration,
)
from sidecar.bundle.profile import build_profile, reference_cells
from sidecar.bundle.seasonal import SlotCounts
from sidecar.bundle.timed import add_time
from sidecar.errors import UserError
from sidecar.events import Features, Float64Column
from sidecar.stats.distances import population_stability_index
from sidecar.stats.segments import Segments

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MONDAY = 1_767_571_200_000
"""2026-01-05T00:00:00Z."""
FEATURES = (
    Feature(name="x", type=FeatureType.FLOAT),
    Feature(name="c", type=FeatureType.STRING, categories=("a", "b")),
)


def timed(
    times_ms: Float64Column, *lengths_ms: int, seasonal: bool = False
) -> tuple[ReferenceProfile, SlotCounts | None]:
    """A classifier's reference with rows at these times."""
    rng, count = np.random.default_rng(2), len(times_ms)
    matrix = np.column_stack((rng.normal(size=count), rng.integers(0, 2, count) * 1.0))
    columns, score = Features(matrix, {}), answers(count)
    label = (score > 0.5).astype(np.int32)
    parts = score, {"max_probability": np.maximum(score, 1 - score)}, label
    profile = build_profile(FEATURES, columns, *parts, ("no", "yes"), Task.BINARY)
    cells = reference_cells(profile, columns, *parts)
    return add_time(profile, cells, times_ms, lengths_ms, seasonal=seasonal)


def answers(count: int) -> Float64Column:
    return np.random.default_rng(1).random(count)


def factor(ratios: list[float]) -> float:
    """Give the factor from the index of each window over its mean by chance, of two groups."""
    high = np.quantile(ratios, 0.99, method="weibull") / chi2.ppf(0.99, 1)
    return max(1.0, float(np.mean(ratios)), float(high))


def label_factor(calibration: WindowCalibration) -> float:
    assert calibration.subjects is not None
    assert calibration.subjects.label is not None
    return calibration.subjects.label


def every(step_ms: int, count: int, start_ms: int = MONDAY) -> Float64Column:
    return start_ms + step_ms * np.arange(count, dtype=np.float64)


def windows(profile: ReferenceProfile) -> list[tuple[str, int, int, int, bool]]:
    return [
        (
            each.reference,
            each.length_ms,
            each.windows,
            each.records,
            each.subjects is not None,
        )
        for each in profile.calibration
    ]


def test_whole_windows_with_enough_rows_are_counted() -> None:
    # One row in 15 s for a day: 240 an hour, 20 in five minutes.
    profile, slots = timed(every(15_000, 5_760), 5 * MINUTE, HOUR, DAY)

    assert slots is None
    assert profile.span_ms == (MONDAY, MONDAY + DAY - 15_000)
    assert windows(profile) == [
        ("overall", 5 * MINUTE, 0, 0, False),
        ("overall", HOUR, 24, 240, True),
        # All rows are in it, and nothing is left to compare it with.
        ("overall", DAY, 0, 5_760, False),
    ]


def test_every_profile_has_its_factor() -> None:
    profile, _ = timed(every(15_000, 5_760), HOUR)

    found = profile.calibration[0].subjects
    assert found is not None
    assert found.label is not None
    factors = [
        *found.features.values(),
        found.score,
        *found.confidence.values(),
        found.label,
    ]
    assert list(found.features) == ["x", "c"]
    assert list(found.confidence) == ["max_probability"]
    # Means of 24 chi-square variables over their degrees, of which the least has one; the
    # largest of as many passes their 99 % point by half in one of a thousand.
    assert all(1 <= each < 1 + 5 * np.sqrt(2 / 24) for each in factors)


def test_a_window_is_compared_with_the_rest() -> None:
    profile, _ = timed(every(15_000, 2_640), HOUR)

    # By hand, for the label: two groups, eleven windows.
    yes = answers(2_640) > 0.5
    parts = np.column_stack((~yes, yes)).reshape(11, 240, 2).sum(axis=1)
    ratios = [
        population_stability_index(parts.sum(axis=0) - part, part, Segments([2]))[0]
        / (1 / 2_400 + 1 / 240)
        for part in parts
    ]
    assert label_factor(profile.calibration[0]) == pytest.approx(factor(ratios), abs=1e-4)


@pytest.mark.parametrize(
    ("start_ms", "count", "expected"),
    [
        pytest.param(MONDAY, 5_760, 24, id="from the hour to the hour"),
        pytest.param(MONDAY + 5 * MINUTE, 5_760, 24, id="nearly from the hour"),
        pytest.param(MONDAY + 20 * MINUTE, 5_760, 23, id="begins and ends within an hour"),
    ],
)
def test_windows_in_which_rows_begin_or_end_are_left_out(
    start_ms: int, count: int, expected: int
) -> None:
    profile, _ = timed(every(15_000, count, start_ms), HOUR)

    assert profile.calibration[0].windows == expected


def test_times_that_are_dates_say_nothing_of_an_hour() -> None:
    days = np.repeat(every(DAY, 14), 250)

    profile, _ = timed(days, HOUR, DAY)

    assert windows(profile) == [("overall", HOUR, 0, 0, False), ("overall", DAY, 14, 250, True)]


def test_rows_without_a_time_are_left_out_and_their_order_does_not_matter() -> None:
    times = every(15_000, 5_760)
    order = np.random.default_rng(3).permutation(len(times))
    gaps = np.where(np.arange(len(times)) < 240, np.nan, times)

    shuffled, _ = timed(times[order], HOUR)
    fewer, _ = timed(gaps, HOUR)

    assert shuffled.calibration[0].windows == 24
    assert (fewer.calibration[0].windows, fewer.records) == (23, 5_760)


def test_no_time_at_all_is_no_calibration() -> None:
    profile, slots = timed(np.full(1_000, np.nan), HOUR)

    assert (profile.calibration, profile.span_ms, slots) == ((), None, None)


# --- by hour of the week --------------------------------------------------------------------


def test_hours_of_the_week_add_up_to_the_profile() -> None:
    # Two weeks, 240 rows an hour.
    profile, slots = timed(every(15_000, 2 * 168 * 240), HOUR, seasonal=True)

    assert slots is not None
    assert profile.season == "hour-of-week"
    assert slots.shape[0] == 168
    assert (slots[:, : len(profile.features["x"].counts)].sum(axis=1) == 480).all()
    assert windows(profile) == [
        ("overall", HOUR, 336, 240, True),
        ("seasonal", HOUR, 336, 240, True),
    ]


def test_a_window_is_compared_with_the_rest_of_its_hour() -> None:
    profile, _ = timed(every(15_000, 2 * 168 * 240), HOUR, seasonal=True)

    # By hand, for the label: the rest of an hour is that hour of the other week.
    yes = answers(2 * 168 * 240) > 0.5
    weeks = np.column_stack((~yes, yes)).reshape(2, 168, 240, 2).sum(axis=2)
    ratios = [
        population_stability_index(weeks[1 - week, hour], weeks[week, hour], Segments([2]))[0]
        / (1 / 240 + 1 / 240)
        for week in (0, 1)
        for hour in range(168)
    ]
    assert label_factor(profile.calibration[1]) == pytest.approx(factor(ratios), abs=1e-4)


def test_with_a_single_week_nothing_is_left_of_an_hour() -> None:
    profile, _ = timed(every(15_000, 168 * 240), HOUR, seasonal=True)

    assert windows(profile) == [
        ("overall", HOUR, 168, 240, True),
        ("seasonal", HOUR, 0, 240, False),
    ]


def test_thin_hours_are_named() -> None:
    times = every(15_000, 168 * 240)
    thin = times[~((times >= MONDAY + 9 * HOUR) & (times < MONDAY + 10 * HOUR))]

    with pytest.raises(UserError, match="Monday 09:00 \\(0\\)"):
        timed(thin, HOUR, seasonal=True)


def test_a_season_needs_the_time_of_every_row() -> None:
    times = every(15_000, 168 * 240)
    times[:3] = np.nan

    with pytest.raises(UserError, match="3 have none"):
        timed(times, HOUR, seasonal=True)
