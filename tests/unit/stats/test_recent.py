import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.stats.recent import RecentHashes


def seen(recent: RecentHashes, *hashes: int) -> list[bool]:
    return [bool(known) for known in recent.seen(np.array(hashes, np.int64))]


def test_the_second_of_a_kind_is_seen_in_a_batch_and_after_it() -> None:
    recent = RecentHashes(100)

    assert seen(recent, 5, 7, 5) == [False, False, True]
    assert seen(recent, 9, 7) == [False, True]


def test_the_last_ones_are_remembered_and_none_before_them() -> None:
    recent = RecentHashes(100)
    seen(recent, *range(1_000))

    assert seen(recent, 900) == [True]
    assert seen(recent, 900, 900, 902, 1_000) == [True, True, False, False]


def test_places_that_wrap_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = [number * 7_919 % 251 << 55 for number in range(1_000)]
    wrapped = RecentHashes(100)
    monkeypatch.setattr(wrapped, "_next", 2**32 - 500)

    found = [seen(wrapped, *hashes[start : start + 50]) for start in range(0, 1_000, 50)]

    assert [known for part in found for known in part] == remembered(hashes, 100)


def test_more_than_a_step_at_once_is_as_good_as_one_by_one() -> None:
    hashes = np.random.default_rng(1).integers(-(2**63), 2**63, 9_000)
    hashes[6_000:] = hashes[1_000:4_000]

    whole = RecentHashes(5_000).seen(hashes)

    assert np.flatnonzero(whole).tolist() == list(range(6_000, 9_000))


def test_nothing_is_seen_in_an_empty_batch() -> None:
    assert seen(RecentHashes(10)) == []


@given(
    st.lists(st.integers(0, 30), max_size=200),
    st.lists(st.integers(1, 40), max_size=40),
    st.integers(1, 50),
)
def test_what_is_seen_does_not_depend_on_batches(
    hashes: list[int], sizes: list[int], remember: int
) -> None:
    whole, parts = RecentHashes(remember), RecentHashes(remember)
    cuts = np.cumsum(sizes)[np.cumsum(sizes) < len(hashes)].tolist()

    found: list[bool] = []
    for start, stop in zip([0, *cuts], [*cuts, len(hashes)], strict=True):
        found += seen(parts, *hashes[start:stop])

    assert found == seen(whole, *hashes) == remembered(hashes, remember)


def remembered(hashes: list[int], remember: int) -> list[bool]:
    """Recount."""
    return [value in hashes[max(0, at - remember) : at] for at, value in enumerate(hashes)]
