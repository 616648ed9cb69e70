"""Law: the committed offset never decreases and never passes an unfinished record."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.runtime.offsets import OffsetTracker, Release, Ticket
from tests.unit.runtime.test_offsets import records


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=30),
    holes=st.lists(st.integers(0, 3), min_size=30, max_size=30),
    order=st.randoms(use_true_random=False),
)
def test_any_finishing_order_commits_only_what_is_finished(
    sizes: list[int],
    holes: list[int],
    order: random.Random,
) -> None:
    tracked = OffsetTracker()
    tracked.assign([0])
    tickets: list[tuple[Ticket, list[int]]] = []
    at = 0
    for size, hole in zip(sizes, holes, strict=False):
        batch = list(range(at + hole, at + hole + size))
        at = batch[-1] + 1
        tickets.append((tracked.begin(records(p0=batch))[0], batch))
    order.shuffle(tickets)
    unfinished = {offset for _, batch in tickets for offset in batch}
    last = 0

    for ticket, batch in tickets:
        assert tracked.finish(ticket)
        unfinished -= set(batch)
        commits = tracked.committable()
        tracked.committed(commits)
        for commit in commits:
            assert commit.offset > last
            assert all(offset >= commit.offset for offset in unfinished)
            last = commit.offset

    assert last == at
    assert tracked.in_flight() == tracked.unsettled() == 0


@given(steps=st.lists(st.sampled_from(["read", "finish", "rewind", "revoke"]), max_size=60))
def test_received_equals_finished_plus_unsettled_plus_returned(steps: list[str]) -> None:
    tracked = OffsetTracker()
    tracked.assign([0])
    position, received, finished, returned = 0, 0, 0, 0
    waiting: list[Ticket] = []
    for step in steps:
        if step == "read":
            (ticket,) = tracked.begin(records(p0=list(np.arange(position, position + 3))))
            position += 3
            received += ticket.fresh
            waiting.append(ticket)
        elif step == "finish" and waiting:
            ticket = waiting.pop(0)
            finished += ticket.records if tracked.finish(ticket) else 0
        elif step == "rewind":
            position = tracked.restart([0]).get(0, position)
        elif step == "revoke":
            position = tracked.positions().get(0, position)
            returned += tracked.revoke([0])
            tracked.assign([0])

    assert received == finished + tracked.unsettled() + returned


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["read", "finish", "let go", "release", "rewind", "revoke"]),
            st.lists(st.booleans(), min_size=3, max_size=3),
        ),
        max_size=60,
    )
)
def test_nothing_is_committed_past_a_held_record_and_the_counts_add_up(
    steps: list[tuple[str, list[bool]]],
) -> None:
    tracked = OffsetTracker()
    tracked.assign([0])
    position, received, finished, returned, last = 0, 0, 0, 0, -1
    open_tickets: list[tuple[Ticket, set[int]]] = []
    held: list[int] = []
    leaving: list[Release] = []
    done: set[int] = set()
    for step, which in steps:
        if step == "read":
            batch = list(range(position, position + 3))
            (ticket,) = tracked.begin(records(p0=batch))
            received += ticket.fresh
            kept = [offset for offset, keep in zip(batch, which, strict=True) if keep]
            open_tickets.append((tracked.hold(ticket, kept), set(batch) - set(kept)))
            held += kept
            position += 3
        elif step == "finish" and open_tickets:
            ticket, rest = open_tickets.pop(0)
            assert tracked.finish(ticket)
            finished += ticket.records
            done |= rest
        elif step == "let go" and held:
            leaving.append(tracked.let_go(0, [held.pop(which[0] * (len(held) - 1))]))
        elif step == "release" and leaving:
            release = leaving.pop()
            assert tracked.release(release)
            finished += len(release.offsets)
            done |= set(release.offsets)
        elif step == "rewind":
            position = tracked.restart([0]).get(0, position)
            stale = [*leaving, Release(0, -1, ())]
            assert not any(tracked.release(release) for release in stale)
            back = [offset for release in leaving for offset in release.offsets]
            held = sorted(offset for offset in held + back if offset < position)
            open_tickets, leaving = [], []
        elif step == "revoke":
            returned += tracked.revoke([0])
            tracked.assign([0])
            position = max(last, 0)
            done = set(range(position))
            held, open_tickets, leaving = [], [], []
        commits = tracked.committable()
        tracked.committed(commits)
        for commit in commits:
            assert commit.offset >= last
            assert set(range(commit.offset)) <= done
            last = commit.offset
        unread = sum(len(rest) for _, rest in open_tickets)
        waiting = len(held) + sum(len(release.offsets) for release in leaving)
        assert tracked.in_flight() == unread + waiting
        assert tracked.held() == waiting
        assert tracked.moving() == bool(open_tickets or leaving)

    assert received == finished + tracked.unsettled() + returned
