import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.stats.recent import RecentHashes


def seen(recent: RecentHashes, *hashes: int) -> list[bool]:
    return [bool(known) for known in recent.seen(np.array(hashes, np.int64))]


def test_the_second_of_a_kind_is_seen_in_a_batch_and_after_it() -> None:
    recent = RecentHashes(100)

    assert seen(recent, 5, 7, 5) == [False, False, True]
    assert seen(recent, 9, 7) == [False, True]


def test_at_least_as_many_as_asked_for_are_remembered_and_less_than_twice_as_many() -> None:
    recent = RecentHashes(100)
    seen(recent, *range(1_000))

    assert all(seen(RecentHashes(1_000), *range(500), *range(500))[500:])
    assert seen(recent, 900)[0]
    assert not seen(recent, 800)[0]


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
    """Recount: in this generation or the one before."""
    return [
        hashes[at] in hashes[max(0, at // remember - 1) * remember : at]
        for at in range(len(hashes))
    ]
