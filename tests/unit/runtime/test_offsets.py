"""Unit: runtime.offsets."""

import numpy as np
import pytest

from sidecar.errors import OffsetOrderError
from sidecar.events import RecordBatch, Span
from sidecar.runtime.offsets import Commit, OffsetTracker, Ticket


def records(**offsets: list[int]) -> RecordBatch:
    """Give a batch with these offsets; `p0=[1, 2]` is partition 0."""
    spans: list[Span] = []
    rows: list[int] = []
    for name, values in offsets.items():
        spans.append(Span(int(name[1:]), len(rows), len(rows) + len(values)))
        rows += values
    return RecordBatch(
        topic="events",
        spans=tuple(spans),
        offsets=np.array(rows, np.int64),
        timestamps_ms=np.zeros(len(rows), np.int64),
        keys=[None] * len(rows),
        values=[b""] * len(rows),
        headers=[()] * len(rows),
    )


def tracker(*partitions: int) -> OffsetTracker:
    made = OffsetTracker()
    made.assign(partitions)
    return made


def offsets(tracked: OffsetTracker) -> dict[int, int]:
    return {commit.partition: commit.offset for commit in tracked.committable()}


def test_nothing_is_committable_before_a_batch_is_finished() -> None:
    tracked = tracker(0)

    tracked.begin(records(p0=[5, 6, 7]))

    assert offsets(tracked) == {}


def test_a_later_batch_waits_for_the_earlier_one() -> None:
    tracked = tracker(0)
    (first,) = tracked.begin(records(p0=[5, 6]))
    (second,) = tracked.begin(records(p0=[7, 9]))

    tracked.finish(second)
    before = offsets(tracked)
    tracked.finish(first)

    assert (before, offsets(tracked)) == ({}, {0: 10})


def test_partitions_are_independent() -> None:
    tracked = tracker(0, 1)
    first, second = tracked.begin(records(p0=[3], p1=[8]))

    tracked.finish(second)

    assert offsets(tracked) == {1: 9}
    assert tracked.finish(first)


def test_a_partition_that_is_not_ours_gets_no_ticket() -> None:
    assert tracker(0).begin(records(p7=[1])) == []


def test_a_ticket_of_an_older_assignment_finishes_nothing() -> None:
    tracked = tracker(0)
    (old,) = tracked.begin(records(p0=[5]))
    tracked.assign([0])

    assert not tracked.finish(old)
    assert offsets(tracked) == {}


def test_a_rewind_goes_back_to_the_first_record_without_an_outcome() -> None:
    tracked = tracker(0)
    (first,) = tracked.begin(records(p0=[5, 6]))
    (second,) = tracked.begin(records(p0=[7]))
    tracked.finish(first)

    positions = tracked.restart([0])

    assert positions == {0: 7}
    assert not tracked.finish(second)
    assert tracked.begin(records(p0=[7, 8])) == [Ticket(0, 2, 0, records=2, fresh=1)]


def test_a_rewind_keeps_what_was_finished_committable() -> None:
    tracked = tracker(0)
    (first,) = tracked.begin(records(p0=[5, 6]))
    tracked.finish(first)

    tracked.restart([0])

    assert offsets(tracked) == {0: 7}


def test_records_read_again_are_not_fresh() -> None:
    tracked = tracker(0)
    tracked.begin(records(p0=[5, 6, 7]))
    tracked.restart([0])

    (again,) = tracked.begin(records(p0=[5, 6, 7, 8]))

    assert (again.records, again.fresh, tracked.unsettled()) == (4, 1, 4)


def test_revoking_counts_what_is_left_unfinished() -> None:
    tracked = tracker(0)
    (first,) = tracked.begin(records(p0=[5, 6]))
    tracked.begin(records(p0=[7, 8, 9]))
    tracked.finish(first)

    assert tracked.revoke([0]) == 3
    assert tracked.partitions == frozenset()


def test_offsets_that_do_not_rise_are_refused() -> None:
    tracked = tracker(0)
    tracked.begin(records(p0=[5, 6]))

    with pytest.raises(OffsetOrderError, match="partition 0 gave offset 6 after 6"):
        tracked.begin(records(p0=[6]))


def test_a_commit_past_what_is_finished_is_refused() -> None:
    tracked = tracker(0)
    (first,) = tracked.begin(records(p0=[5]))
    tracked.finish(first)
    (commit,) = tracked.committable()

    with pytest.raises(OffsetOrderError):
        tracked.committed([commit._replace(offset=7)])


def test_a_commit_of_an_older_assignment_is_passed_over() -> None:
    tracked = tracker(0)

    tracked.committed([Commit(0, 99, assignment=-1)])

    assert offsets(tracked) == {}


def test_what_is_committed_is_not_committable_again() -> None:
    tracked = tracker(0)
    (first,) = tracked.begin(records(p0=[5]))
    tracked.finish(first)

    tracked.committed(tracked.committable())

    assert offsets(tracked) == {}


def test_what_is_read_before_reading_goes_back_gets_no_ticket() -> None:
    tracked = tracker(0)
    tracked.begin(records(p0=[5, 6]))
    tracked.halt([0])

    assert tracked.begin(records(p0=[7, 8])) == []
    assert tracked.restart([0]) == {0: 5}
    assert tracked.unsettled() == 2


def test_a_partition_first_read_while_halted_is_read_from_there() -> None:
    tracked = tracker(0)
    tracked.halt([0])
    tracked.begin(records(p0=[7, 8]))

    assert tracked.restart([0]) == {0: 7}
    with pytest.raises(OffsetOrderError, match="partition 0 gave offset 8 after 6, and owes 7"):
        tracked.begin(records(p0=[8]))


def test_records_that_have_to_come_again_may_not_be_passed_over() -> None:
    tracked = tracker(0)
    (first,) = tracked.begin(records(p0=[5]))
    tracked.begin(records(p0=[8, 9]))  # there is no 6 and no 7
    tracked.finish(first)
    tracked.restart([0])
    tracked.restart([0])

    with pytest.raises(OffsetOrderError, match="partition 0 gave offset 9 after 5, and owes 8"):
        tracked.begin(records(p0=[9]))

    assert len(tracked.begin(records(p0=[8]))) == 1
    assert len(tracked.begin(records(p0=[12]))) == 1
