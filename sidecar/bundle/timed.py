"""What the time of the reference rows adds to their profile: calibration and season."""

from collections.abc import Sequence

import msgspec
import numpy as np

from sidecar.bundle.manifest import ReferenceProfile
from sidecar.bundle.profile import entries
from sidecar.bundle.seasonal import FEWEST_SLOT_ROWS, SlotCounts, count_slots, thin_slots
from sidecar.bundle.windows import TimedCells, calibrate_windows
from sidecar.errors import Finding, UserError
from sidecar.events import Float64Column, Int64Column
from sidecar.stats.cells import CellMatrix


def add_time(
    profile: ReferenceProfile,
    cells: CellMatrix,
    times_ms: Float64Column,
    lengths_ms: Sequence[int],
    *,
    seasonal: bool,
) -> tuple[ReferenceProfile, SlotCounts | None]:
    """Calibrate windows, and count by hour of the week where that is wanted.

    Args:
        profile: Of all reference rows.
        cells: Of each row, as `bundle.profile.reference_cells` gives them.
        times_ms: Of each row, Unix milliseconds, NaN for none; rows without take no part in the
            calibration.
        lengths_ms: Of the windows.
        seasonal: Whether to count by hour of the week.

    Returns:
        The profile with its calibration, and the counts by slot, None when not wanted.

    Raises:
        UserError: The rows cannot make a seasonal reference.
    """
    rows = np.flatnonzero(~np.isnan(times_ms))
    if not rows.size:
        return profile, None
    rows = rows[np.argsort(times_ms[rows], kind="stable")]
    timed = TimedCells(times_ms[rows].astype(np.int64), cells[rows])
    slots = None
    if seasonal:
        _check_season(timed.times_ms, len(times_ms) - len(rows))
        size = sum(len(entry.profile.counts) for entry in entries(profile))
        slots = count_slots(timed.times_ms, timed.cells, size)
    span = int(timed.times_ms[0]), int(timed.times_ms[-1])
    timed_profile = msgspec.structs.replace(
        profile,
        season="hour-of-week" if seasonal else None,
        span_ms=span,
        calibration=calibrate_windows(profile, timed, lengths_ms, slots),
    )
    return timed_profile, slots


def _check_season(times_ms: Int64Column, without: int) -> None:
    if without:
        message = f"needs the time of every row, and {without:,} have none"
        mend = "fill the times, or leave these rows out"
    elif thin := thin_slots(times_ms):
        message = f"needs {FEWEST_SLOT_ROWS} rows in each hour of the week; too few: {thin}"
        mend = "give rows of more weeks, or build without --seasonal"
    else:
        return
    raise UserError(
        "there can be no seasonal reference", [Finding("--seasonal", message, mend)]
    )
