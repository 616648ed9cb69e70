"""The hours of the week as slots: what comes on Monday at nine is compared with its like.

Slot 0 begins on Monday at midnight, UTC.
"""

import numpy as np
from numpy.typing import NDArray

from sidecar.stats.segments import Numbers

SLOTS = 168
_HOUR_MS = 3_600_000
# 1970 began on a Thursday.
_FIRST_SLOT = 72
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def hour_of_week(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the slot of each instant.

    Args:
        times_ms: Unix milliseconds.

    Example:
        >>> hour_of_week(np.array([0, 1_772_323_200_000])).tolist()
        [72, 144]
    """
    slots: NDArray[np.int64] = (times_ms // _HOUR_MS + _FIRST_SLOT) % SLOTS
    return slots


def slot_name(slot: int) -> str:
    """Name a slot for people.

    Example:
        >>> slot_name(33)
        'Tuesday 09:00'
    """
    return f"{_DAYS[slot // 24]} {slot % 24:02d}:00"


def slot_weights(start_ms: int, end_ms: int) -> Numbers:
    """Weigh the slots by how long a span of time lies in each.

    Args:
        start_ms: Unix milliseconds, inclusive.
        end_ms: Exclusive, after the start.

    Returns:
        One weight per slot; the slot that the span lies in longest has 1, so that no counts are
        given away where the span is shorter than a slot.

    Example:
        >>> weights = slot_weights(1_800_000, 7_200_000)
        >>> weights[72:75].tolist(), float(weights.sum())
        ([0.5, 1.0, 0.0], 1.5)
    """
    begins = np.arange(start_ms // _HOUR_MS * _HOUR_MS, end_ms, _HOUR_MS)
    overlap = np.minimum(begins + _HOUR_MS, end_ms) - np.maximum(begins, start_ms)
    spent = np.bincount(hour_of_week(begins), overlap, SLOTS).astype(np.float64)
    weights: Numbers = spent / spent.max()
    return weights
