"""Rolling windows hold exactly the events that a recount finds in them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.monitors.windows import RollingWindows

PANE, LENGTHS, LATENESS, SIZE = 10, (10, 30, 120), 45, 4


@dataclass(frozen=True)
class Event:
    partition: int
    time: int
    cell: int


# Steps of event time: mostly small, sometimes back, sometimes a gap longer than all windows.
steps = st.one_of(
    st.integers(-60, 60), st.integers(-5, 15), st.sampled_from([-200, 150, 1_000])
)
streams = st.lists(
    st.tuples(st.integers(0, 2), steps, st.integers(0, SIZE - 1)), min_size=1, max_size=120
).map(lambda drawn: list(walk(drawn)))
cuts = st.lists(st.integers(1, 40), max_size=30)


def walk(drawn: list[tuple[int, int, int]]) -> Iterator[Event]:
    times = dict.fromkeys(range(3), 5_000)
    for partition, step, cell in drawn:
        times[partition] += step
        yield Event(partition, times[partition], cell)


def feed(windows: RollingWindows, events: list[Event], sizes: list[int]) -> int:
    """Show events in batches of these sizes, the rest one by one; count the late ones."""
    late = start = 0
    for size in [*sizes, *[1] * len(events)]:
        batch, start = events[start : start + size], start + size
        for partition in range(3):
            rows = [event for event in batch if event.partition == partition]
            late += windows.observe(
                partition,
                np.array([event.time for event in rows], np.int64),
                np.array([[event.cell] for event in rows], np.uint16),
            )
    return late


def rolling() -> RollingWindows:
    return RollingWindows(PANE, LENGTHS, LATENESS, SIZE)


def held(windows: RollingWindows) -> list[tuple[int, list[int]]]:
    return [(at.end_ms, at.counts.tolist()) for at in windows.windows()]


def in_time(events: list[Event]) -> list[Event]:
    """Recount: leave out what is late in its own partition."""
    newest: dict[int, int] = {}
    kept = []
    for event in events:
        top = newest[event.partition] = max(event.time, newest.get(event.partition, event.time))
        oldest = (top // PANE + 1) * PANE - max(LENGTHS)
        if event.time >= max(top - LATENESS, oldest):
            kept.append(event)
    return kept


def recount(events: list[Event]) -> list[tuple[int, list[int]]]:
    """Recount: what each window holds, from nothing but the events."""
    end = (max(event.time for event in events) // PANE + 1) * PANE
    kept = in_time(events)
    return [
        (
            end,
            [
                sum(end - length <= at.time < end and at.cell == cell for at in kept)
                for cell in range(SIZE)
            ],
        )
        for length in LENGTHS
    ]


@given(streams, cuts)
def test_windows_hold_what_a_recount_finds(events: list[Event], sizes: list[int]) -> None:
    windows = rolling()

    late = feed(windows, events, sizes)

    assert held(windows) == recount(events)
    assert late == len(events) - len(in_time(events))


@given(streams, cuts, cuts)
def test_replicas_merge_into_what_one_would_hold(
    events: list[Event], sizes: list[int], others: list[int]
) -> None:
    replicas = rolling(), rolling()
    feed(replicas[0], [event for event in events if event.partition < 2], sizes)
    feed(replicas[1], [event for event in events if event.partition == 2], others)

    merged = rolling()
    for replica in replicas:
        for partition, state in replica.partitions.items():
            merged.restore(partition, state)

    assert held(merged) == recount(events)


@given(streams, cuts, st.integers(0, 120))
def test_a_restart_from_stored_panes_changes_nothing(
    events: list[Event], sizes: list[int], at: int
) -> None:
    before, after = rolling(), rolling()
    late = feed(before, events[:at], sizes)
    for partition, state in before.partitions.items():
        after.restore(partition, state)

    late += feed(after, events[at:], sizes)

    assert held(after) == recount(events)
    assert late == len(events) - len(in_time(events))


@given(streams, cuts, st.sets(st.integers(0, 2)), st.integers(0, 120))
def test_revoked_partitions_leave_no_trace(
    events: list[Event], sizes: list[int], gone: set[int], at: int
) -> None:
    windows = rolling()
    others = [event for event in events if event.partition not in gone]
    feed(windows, events[:at], sizes)

    windows.revoke(gone)
    feed(windows, [event for event in events[at:] if event.partition not in gone], [])

    assert held(windows) == (recount(others) if others else held(rolling()))


@given(streams, cuts)
def test_panes_are_bounded_by_the_longest_window(events: list[Event], sizes: list[int]) -> None:
    windows = rolling()

    feed(windows, events, sizes)

    for state in windows.partitions.values():
        assert len(state.panes) <= max(LENGTHS) // PANE
