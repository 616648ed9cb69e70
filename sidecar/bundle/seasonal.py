"""The seasonal reference: the counts of the reference rows by hour of the week.

`seasonal.npy` holds one row of counts per slot (`stats.seasons`) and one column per cell, those
of all profiles behind one another. As an array it takes two bytes for most counts; as JSON it
would be the largest file beside the model.
"""

import io
from collections.abc import Iterator
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy

from sidecar.bundle.manifest import ReferenceProfile
from sidecar.bundle.profile import entries
from sidecar.events import Int64Column
from sidecar.stats.cells import CellMatrix, Counts
from sidecar.stats.seasons import SLOTS, hour_of_week, slot_name

SlotCounts = Counts
"""Of shape [slots, cells of all profiles]."""

FEWEST_SLOT_ROWS = 200
"""Rows that every slot needs: a window is compared with one slot at the least."""
_MOST_NAMED = 5


def count_slots(times_ms: Int64Column, cells: CellMatrix, size: int) -> SlotCounts:
    """Count reference rows by hour of the week.

    Args:
        times_ms: Of each row, Unix milliseconds.
        cells: The flat cells of each row, one per profile.
        size: Cells of all profiles.
    """
    slots = hour_of_week(times_ms)
    counts = np.zeros(SLOTS * size, np.int64)
    for column in cells.T:
        counts += np.bincount(slots * size + column, minlength=SLOTS * size)
    return counts.reshape(SLOTS, size)


def thin_slots(times_ms: Int64Column) -> str:
    """Say which slots have too few rows; empty when none has.

    Args:
        times_ms: Of each row, Unix milliseconds.

    Example:
        >>> thin_slots(np.repeat(np.arange(168), 200) * 3_600_000)
        ''
    """
    rows = np.bincount(hour_of_week(times_ms), minlength=SLOTS)
    thin = np.flatnonzero(rows < FEWEST_SLOT_ROWS).tolist()
    named = [f"{slot_name(slot)} ({rows[slot]:,})" for slot in thin[:_MOST_NAMED]]
    more = [f"{len(thin) - _MOST_NAMED} more"] if len(thin) > _MOST_NAMED else []
    return ", ".join([*named, *more])


def encode_slots(counts: SlotCounts) -> bytes:
    """Write `seasonal.npy`, in the narrowest type that holds the counts."""
    file = io.BytesIO()
    narrow = counts.astype(np.min_scalar_type(counts.max()))
    npy.write_array(file, narrow.astype(narrow.dtype.newbyteorder("<")), allow_pickle=False)
    return file.getvalue()


def decode_slots(content: bytes) -> SlotCounts:
    """Read `seasonal.npy`.

    Raises:
        ValueError: It is no array of counts.
    """
    file = io.BytesIO(content)
    if npy.read_magic(file) != (1, 0):
        raise ValueError("expected the first version of the format")
    try:
        shape, by_column, dtype = npy.read_array_header_1_0(file)
    except TokenError as error:  # numpy looks for a header of Python 2 in one that is damaged
        raise ValueError("the header is damaged") from error
    if len(shape) != 2 or by_column or dtype.kind != "u":
        raise ValueError(f"expected rows of counts, got {dtype} of shape {shape}")
    # Nothing is allocated by what the header says, only by what is there.
    counts = np.frombuffer(content, dtype, offset=file.tell())
    return counts.astype(np.int64).reshape(shape)


def slot_faults(reference: ReferenceProfile, counts: SlotCounts) -> Iterator[str]:
    """Find where the slots contradict the profiles: together they count the same rows."""
    whole = np.concatenate([np.array(each.profile.counts) for each in entries(reference)])
    if counts.shape != (SLOTS, len(whole)):
        shape = " by ".join(map(str, counts.shape))
        yield f"has {shape} counts for {SLOTS} slots and {len(whole)} cells"
    elif (counts.sum(axis=0) != whole).any():
        yield "has counts that do not add up to those of reference.json"
