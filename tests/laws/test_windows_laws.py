"""Rolling windows hold exactly the events that a recount finds in them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.events import Span
from sidecar.monitors.windows import RollingWindows

PANE, LENGTHS, LATENESS, SIZE = 10, (10, 30, 120), 45, 4


@dataclass(frozen=True)
class Event:
    partition: int
    offset: int
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
    for offset, (partition, step, cell) in enumerate(drawn):
        times[partition] += step
        yield Event(partition, offset, times[partition], cell)


def feed(windows: RollingWindows, events: list[Event], sizes: list[int]) -> int:
    """Show events in batches of these sizes, the rest one by one; count the late ones."""
    late = start = 0
    for size in [*sizes, *[1] * len(events)]:
        batch, start = events[start : start + size], start + size
        for partition in range(3):
            rows = [event for event in batch if event.partition == partition]
            late += windows.observe(
                partition,
                np.array([event.offset for event in rows], np.int64),
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


def by_turn(events: list[Event]) -> list[Event]:
    """Order events by the pane that their own partition has reached with them."""
    newest: dict[int, int] = {}
    turns = []
    for event in events:
        top = newest[event.partition] = max(event.time, newest.get(event.partition, event.time))
        turns.append((top // PANE, event))
    return [event for _, event in sorted(turns, key=lambda turn: turn[0])]


def turned(events: list[Event], sizes: list[int]) -> list[list[tuple[int, list[int]]]]:
    """Show batches as a monitor does; give the windows whenever they are about to move."""
    windows = rolling()
    seen: list[list[tuple[int, list[int]]]] = []
    windows.turning = lambda: seen.append(held(windows))
    start = 0
    for size in [*sizes, *[1] * len(events)]:
        batch, start = events[start : start + size], start + size
        rows = sorted(batch, key=lambda event: event.partition)
        partitions = [event.partition for event in rows]
        spans = [
            Span(p, partitions.index(p), partitions.index(p) + partitions.count(p))
            for p in sorted(set(partitions))
        ]
        times = np.array([event.time for event in rows], np.int64)
        for span in windows.in_turn(spans, times):
            part = rows[span.start : span.stop]
            windows.observe(
                span.partition,
                np.array([event.offset for event in part], np.int64),
                np.array([event.time for event in part], np.int64),
                np.array([[event.cell] for event in part], np.uint16),
            )
    return [*seen, held(windows)]


@given(streams, cuts)
def test_windows_at_each_turn_do_not_depend_on_how_records_are_cut(
    events: list[Event], sizes: list[int]
) -> None:
    events = by_turn(events)

    assert turned(events, sizes) == turned(events, []) == turned(events, [len(events)])


@given(streams, cuts)
def test_at_each_turn_windows_end_with_the_last_pane_that_is_over(
    events: list[Event], sizes: list[int]
) -> None:
    events = by_turn(events)

    ends = [windows[0][0] for windows in turned(events, sizes)]

    tops = np.maximum.accumulate([event.time for event in events])
    assert ends == sorted({int(top) // PANE * PANE + PANE for top in tops})


@given(streams, cuts, st.integers(1, 40))
def test_a_window_with_too_few_events_grows_by_whole_panes(
    events: list[Event], sizes: list[int], least: int
) -> None:
    windows = RollingWindows(
        PANE, LENGTHS, LATENESS, SIZE, tally=slice(0, SIZE), min_records=least
    )

    feed(windows, events, sizes)

    kept, end = in_time(events), windows.end_ms
    for length, window in zip(LENGTHS, windows.windows(), strict=True):
        spans = range(length, max(LENGTHS) + PANE, PANE)
        counts = {n: sum(end - n <= event.time < end for event in kept) for n in spans}
        wanted = next((n for n in spans if counts[n] >= least), max(LENGTHS))
        assert (window.length_ms, window.start_ms, window.end_ms) == (length, end - wanted, end)
        assert window.records == counts[wanted] == window.counts.sum()


@given(streams, cuts)
def test_windows_in_a_row_add_up_to_the_longest(events: list[Event], sizes: list[int]) -> None:
    windows = rolling()

    feed(windows, events, sizes)

    rows = windows.in_row(2 * PANE, max(LENGTHS) // (2 * PANE))
    assert rows.sum(axis=0).tolist() == windows.windows()[-1].counts.tolist()
    assert rows[-1:].sum(axis=0).tolist() == in_span(events, windows.end_ms, 2 * PANE)


def in_span(events: list[Event], end: int, length: int) -> list[int]:
    """Recount the events of one span by cell."""
    kept = [event for event in in_time(events) if end - length <= event.time < end]
    return [sum(event.cell == cell for event in kept) for cell in range(SIZE)]
