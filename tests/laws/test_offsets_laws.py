"""Law: the committed offset never decreases and never passes an unfinished record."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.runtime.offsets import OffsetTracker, Ticket
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
