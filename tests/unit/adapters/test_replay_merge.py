"""Partitions in one order, whatever order they are read in."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from sidecar.adapters.replay_merge import TimeMerge


class Row(NamedTuple):
    timestamp: int
    offset: int
    value: bytes | None = b"12345"


timestamps = st.lists(st.lists(st.integers(-1, 8), max_size=12), min_size=1, max_size=4)


def rows_of(times: list[int]) -> list[Row]:
    return [Row(time, offset) for offset, time in enumerate(times)]


def expected_order(partitions: list[list[int]]) -> list[tuple[int, int]]:
    """Give (partition, offset) in the order that is promised, the slow and plain way."""
    ranked = []
    for partition, times in enumerate(partitions):
        newest = min(times, default=0)
        for offset, time in enumerate(times):
            newest = max(newest, time)
            ranked.append((newest, partition, offset))
    return [(partition, offset) for _, partition, offset in sorted(ranked)]


@given(timestamps, st.data())
def test_the_order_depends_on_the_records_alone(
    partitions: list[list[int]], data: st.DataObject
) -> None:
    merge = TimeMerge(range(len(partitions)))
    left = {p: rows_of(times) for p, times in enumerate(partitions)}
    merged = []
    while left:
        partition = data.draw(st.sampled_from(sorted(left)))
        count = data.draw(st.integers(1, 5))
        merge.add(partition, [])
        merge.add(partition, left[partition][:count])
        del left[partition][:count]
        if not left[partition]:
            merge.end(partition)
            del left[partition]
        merged += merge.take()

    assert [(p, row.offset) for p, row in merged] == expected_order(partitions)


def test_nothing_is_given_out_that_a_record_to_come_could_precede() -> None:
    merge = TimeMerge([0, 1])
    merge.add(0, rows_of([5, 6, 7]))

    before = merge.take()
    merge.add(1, rows_of([6]))
    after = merge.take()

    assert before == []
    assert [(p, row.timestamp) for p, row in after] == [(0, 5), (0, 6), (1, 6)]
    assert merge.bytes_waiting(0) == 5


def test_who_holds_the_others_up_holds_nothing_back() -> None:
    merge = TimeMerge([0, 1])
    merge.add(0, rows_of([1, 2]))
    merge.add(1, rows_of([9, 9]))

    merge.take()

    assert (merge.bytes_waiting(0), merge.bytes_waiting(1)) == (0, 10)
