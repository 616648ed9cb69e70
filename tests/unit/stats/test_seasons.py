from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.stats.seasons import SLOTS, hour_of_week, slot_name, slot_weights

HOUR = 3_600_000
WEEK = SLOTS * HOUR
instants = st.integers(-(10**13), 10**13)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001
def test_slots_are_the_hours_of_the_calendar(moment: datetime) -> None:
    epoch_ms = int(moment.replace(tzinfo=UTC).timestamp() * 1000)

    (slot,) = hour_of_week(np.array([epoch_ms])).tolist()

    assert slot == moment.weekday() * 24 + moment.hour
    assert slot_name(slot) == f"{moment:%A %H}:00"


@given(instants, st.integers(1, 3 * WEEK))
def test_weights_are_shares_of_the_time_spent(start: int, length: int) -> None:
    weights = slot_weights(start, start + length)

    # Each slot of a fine grid of instants, against its weight.
    grid = start + (np.arange(2_000) * length) // 2_000
    spent = np.bincount(hour_of_week(grid), minlength=SLOTS) / 2_000
    assert weights.max() == 1.0
    np.testing.assert_allclose(weights / weights.sum(), spent, atol=SLOTS / 2_000)


@pytest.mark.parametrize("weeks", [1, 2])
def test_whole_weeks_weigh_all_slots_alike(weeks: int) -> None:
    assert slot_weights(12_345, 12_345 + weeks * WEEK).tolist() == pytest.approx([1.0] * SLOTS)
