import io

import numpy as np
import pytest

from sidecar.bundle.manifest import (
    CategoryProfile,
    NumericProfile,
    ReferenceProfile,
)
from sidecar.bundle.seasonal import (
    count_slots,
    decode_slots,
    encode_slots,
    slot_faults,
    thin_slots,
)
from sidecar.stats.cells import Counts

HOUR = 3_600_000


def profile(rows: int) -> ReferenceProfile:
    """One category, and a score without edges: seven cells."""
    score = NumericProfile(
        centre=0.0,
        edges=(),
        minimum=0.0,
        maximum=0.0,
        counts=(0, rows, 0, 0),
        mean=0.0,
        sd=0.0,
        low=0.0,
        high=0.0,
    )
    category = CategoryProfile(categories=("a",), counts=(rows, 0, 0))
    return ReferenceProfile(
        records=rows, features={"c": category}, score=score, confidence={}, label=None
    )


def slots(rows_per_slot: int) -> Counts:
    counts = np.zeros((168, 7), np.int64)
    counts[:, [0, 4]] = rows_per_slot
    return counts


def test_rows_count_in_the_slot_of_their_hour() -> None:
    times = np.array([0, HOUR, HOUR + 1, 169 * HOUR])
    cells = np.array([[0, 4], [1, 4], [0, 5], [2, 4]])

    counts = count_slots(times, cells, 7)

    assert counts.shape == (168, 7)
    # 1970 began on a Thursday: three days after Monday.
    assert {slot: counts[slot].tolist() for slot in np.flatnonzero(counts.sum(axis=1))} == {
        72: [1, 0, 0, 0, 1, 0, 0],
        73: [1, 1, 1, 0, 2, 1, 0],
    }


@pytest.mark.parametrize(("most", "bytes_each"), [(255, 1), (256, 2), (70_000, 4)])
def test_counts_are_written_narrow_and_read_back(most: int, bytes_each: int) -> None:
    counts = slots(most)

    content = encode_slots(counts)

    np.testing.assert_array_equal(decode_slots(content), counts)
    assert len(content) == 128 + 168 * 7 * bytes_each
    assert content == encode_slots(counts)


def npy(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"PK\x03\x04", id="an archive"),
        pytest.param(encode_slots(slots(1))[:-1], id="cut off"),
        pytest.param(encode_slots(slots(1)) + b"\0", id="with more behind"),
        pytest.param(npy(np.zeros((168, 7))), id="fractions"),
        pytest.param(npy(np.full((168, 7), -1)), id="below zero"),
        pytest.param(npy(np.zeros(7, np.uint8)), id="one row"),
        pytest.param(npy(np.zeros((7, 168), np.uint8).T), id="by column"),
        pytest.param(npy(np.array([[b"x"]])), id="text"),
        pytest.param(
            encode_slots(slots(1)).replace(b"(168, 7)", b"(1680000000, 7)"), id="a huge shape"
        ),
        pytest.param(encode_slots(slots(1)).replace(b"'|u1'", b"'|O' "), id="objects"),
        pytest.param(encode_slots(slots(1)).replace(b"(168, 7)", b"((168, 7"), id="no end"),
    ],
)
def test_what_is_no_table_of_counts_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_slots(content)


def test_slots_agree_with_the_profile() -> None:
    assert list(slot_faults(profile(168 * 200), slots(200))) == []
    assert list(slot_faults(profile(168 * 200), slots(201))) == [
        "has counts that do not add up to those of reference.json"
    ]
    assert list(slot_faults(profile(168 * 200), slots(200)[1:])) == [
        "has 167 by 7 counts for 168 slots and 7 cells"
    ]


def test_slots_with_too_few_rows_are_named() -> None:
    full = np.repeat(np.arange(168) * HOUR, 200)

    assert thin_slots(full) == ""
    assert thin_slots(full[1:]) == "Thursday 00:00 (199)"
    assert thin_slots(full[:200]).endswith("Monday 04:00 (0), 162 more")
