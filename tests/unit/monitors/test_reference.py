import numpy as np
import pytest

from sidecar.bundle.manifest import ReferenceProfile
from sidecar.bundle.seasonal import SlotCounts
from sidecar.errors import ConfigError
from sidecar.monitors.calibration import Calibration
from sidecar.monitors.reference import (
    Reference,
    chosen_slots,
    compared_kind,
    watched_subjects,
)
from tests.processes import HOUR_MS, MONDAY_MS, NAMES, Stream, watched, weekly_wave

MEASURE = "max_probability"


@pytest.fixture(scope="module")
def seasonal() -> tuple[ReferenceProfile, SlotCounts]:
    profile, slots = Stream(weekly_wave, 1, 2, 200).reference(seasonal=True)
    assert slots is not None
    return profile, slots


def test_subjects_keep_the_order_in_which_they_are_asked_for(
    seasonal: tuple[ReferenceProfile, SlotCounts],
) -> None:
    profile, slots = seasonal

    found = watched_subjects(profile, ["d", "b"], MEASURE)

    assert [one.name for one in found] == ["d", "b", "score"]
    for one in found:
        np.testing.assert_array_equal(slots[:, one.columns].sum(axis=0), one.counts)


def test_the_overall_reference_is_the_same_for_every_window(
    seasonal: tuple[ReferenceProfile, SlotCounts],
) -> None:
    reference = Reference(watched(seasonal[0]))

    assert reference.kind == "overall"
    assert reference.at(0, 0) is reference.at(MONDAY_MS, MONDAY_MS + HOUR_MS)


@pytest.mark.parametrize(
    ("start", "hours", "weights"),
    [
        pytest.param(0, 1, {0: 1.0}, id="an hour"),
        pytest.param(9.25, 0.5, {9: 1.0}, id="within an hour"),
        pytest.param(167.5, 1, {167: 1.0, 0: 1.0}, id="half of two hours, over the weekend"),
        pytest.param(3.75, 2, {3: 0.25, 4: 1.0, 5: 0.75}, id="two hours in three"),
        pytest.param(5, 168, dict.fromkeys(range(168), 1.0), id="a week"),
    ],
)
def test_a_window_is_compared_with_its_hours_of_the_week(
    seasonal: tuple[ReferenceProfile, SlotCounts],
    start: float,
    hours: float,
    weights: dict[int, float],
) -> None:
    profile, slots = seasonal
    reference = Reference(watched(profile), slots)
    start_ms = MONDAY_MS + int(start * HOUR_MS)

    expected = reference.at(start_ms, start_ms + int(hours * HOUR_MS))

    own = np.concatenate([slots[:, one.columns] for one in reference.subjects], axis=1)
    by_hand = np.rint(sum(weight * own[slot] for slot, weight in weights.items()))
    stack = reference.stack()
    np.testing.assert_array_equal(expected.groups, stack.to_groups(by_hand.astype(np.int64)))
    assert reference.kind == "seasonal"


def test_before_the_first_event_all_rows_are_the_reference(
    seasonal: tuple[ReferenceProfile, SlotCounts],
) -> None:
    profile, slots = seasonal

    expected = Reference(watched(profile), slots).at(0, 0)

    assert expected.groups.sum() == profile.records * len(NAMES)


def test_what_is_kept_of_seasonal_references_is_bounded(
    seasonal: tuple[ReferenceProfile, SlotCounts],
) -> None:
    profile, slots = seasonal
    reference = Reference(watched(profile), slots)
    first = reference.at(MONDAY_MS, MONDAY_MS + HOUR_MS)

    assert reference.at(MONDAY_MS, MONDAY_MS + HOUR_MS) is first
    for hour in range(1, 100):
        reference.at(MONDAY_MS + hour * HOUR_MS, MONDAY_MS + (hour + 1) * HOUR_MS)

    assert reference.at(MONDAY_MS, MONDAY_MS + HOUR_MS) is not first


def test_slots_are_used_where_they_are_wanted(
    seasonal: tuple[ReferenceProfile, SlotCounts],
) -> None:
    slots = seasonal[1]

    assert chosen_slots("auto", None) is None
    assert chosen_slots("overall", slots) is None
    assert chosen_slots("auto", slots) is chosen_slots("seasonal", slots) is slots
    assert [compared_kind(choice, slots) for choice in ("auto", "overall", "seasonal")] == [
        "seasonal",
        "overall",
        "seasonal",
    ]


def test_a_seasonal_reference_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="the bundle has no seasonal reference"):
        chosen_slots("seasonal", None)


# --- calibration -----------------------------------------------------------------------------


def test_calibration_is_that_of_the_length_and_of_what_is_compared_with(
    seasonal: tuple[ReferenceProfile, SlotCounts],
) -> None:
    profile, slots = seasonal
    subjects = watched_subjects(profile, NAMES, MEASURE)

    overall, by_hour = (
        Calibration.of_bundle(profile, kind, HOUR_MS, subjects, MEASURE)
        for kind in (Reference(subjects).kind, Reference(subjects, slots).kind)
    )

    assert (overall.origin, overall.windows) == (by_hour.origin, by_hour.windows)
    assert overall.factors[0] == pytest.approx(
        profile.calibration[0].subjects.features["a"]  # type: ignore[union-attr]
    )
    # The wave is all in the hours: compared with its own, a window differs by chance alone.
    assert (overall.factors[:4] > 3).all()
    assert (by_hour.factors[:4] < 1.3).all()


def test_another_length_is_uncalibrated(
    seasonal: tuple[ReferenceProfile, SlotCounts],
) -> None:
    subjects = watched(seasonal[0])

    found = Calibration.of_bundle(seasonal[0], "overall", 2 * HOUR_MS, subjects, MEASURE)

    assert (found.origin, found.windows, found.factors.tolist()) == ("none", 0, [1.0] * 4)
