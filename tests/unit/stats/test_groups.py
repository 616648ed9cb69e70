import numpy as np

from sidecar.stats.groups import fold_rare, merge_rare, quantile_groups
from sidecar.stats.segments import Segments


def test_64_equal_cells_make_ten_groups_of_six_or_seven() -> None:
    groups = quantile_groups(np.full(64, 100))

    assert np.bincount(groups).tolist() == [6, 7, 6, 7, 6, 6, 7, 6, 7, 6]


def test_groups_are_numbered_without_gaps() -> None:
    assert quantile_groups(np.array([90, 2, 2, 2, 2, 2])).tolist() == [0, 1, 1, 1, 1, 1]


def test_cells_without_counts_make_one_group() -> None:
    assert quantile_groups(np.zeros(3, np.int64)).tolist() == [0, 0, 0]


def test_rare_groups_are_merged_for_each_subject_alone() -> None:
    segments = Segments([3, 3])
    reference = np.array([1_000, 2, 3, 500, 498, 2])
    current = np.array([100, 0, 1, 50, 50, 0])

    merged = merge_rare(reference, current, segments)

    assert [one.tolist() for one in merged] == [
        [1_000, 5, 0, 500, 498, 2],
        [100, 1, 0, 50, 50, 0],
    ]


def test_a_surge_of_something_rare_stays_a_group_of_its_own() -> None:
    reference, current = np.array([50_000, 0, 3]), np.array([500, 500, 0])

    merged = merge_rare(reference, current, Segments([3]))

    assert [one.tolist() for one in merged] == [[50_000, 0, 3], [500, 500, 0]]


def test_counts_are_kept() -> None:
    rng = np.random.default_rng(1)
    segments = Segments([5, 30, 200])
    reference, current = rng.poisson(4, 235), rng.poisson(2, 235)

    merged = merge_rare(reference, current, segments)

    assert segments.sum(merged[0]).tolist() == segments.sum(reference).tolist()
    assert segments.sum(merged[1]).tolist() == segments.sum(current).tolist()
    folded = fold_rare(*merged, segments)
    assert segments.sum(folded[0]).tolist() == segments.sum(reference).tolist()
    assert segments.sum(folded[1]).tolist() == segments.sum(current).tolist()


def test_what_is_still_rare_joins_the_smallest_other_group_of_its_subject() -> None:
    segments = Segments([4, 3, 3])
    reference = np.array([900, 0, 0, 100, 500, 400, 0, 700, 0, 300])
    current = np.array([90, 1, 0, 9, 50, 40, 2, 70, 0, 30])

    folded = fold_rare(reference, current, segments)

    assert [one.tolist() for one in folded] == [
        [900, 0, 0, 100, 500, 400, 0, 700, 0, 300],
        [90, 0, 0, 10, 50, 42, 0, 70, 0, 30],
    ]


def test_where_all_is_rare_nothing_joins() -> None:
    reference, current = np.array([1_000_000, 3]), np.array([2, 0])

    folded = fold_rare(reference, current, Segments([2]))

    assert [one.tolist() for one in folded] == [reference.tolist(), current.tolist()]
