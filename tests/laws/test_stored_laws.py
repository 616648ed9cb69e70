"""Whatever happens between storing and restoring, each event counts once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.monitors.stored import StoredMark, StoredPartition, encode_changes, parse_key
from sidecar.monitors.windows import RollingWindows
from tests.laws.test_windows_laws import (
    LATENESS,
    LENGTHS,
    PANE,
    SIZE,
    Event,
    feed,
    held,
    recount,
    rolling,
    streams,
)

FINGERPRINT = "same"
Log = list[tuple[bytes, bytes | None]]
one_partition = streams.map(lambda events: [event for event in events if event.partition == 0])
moments = st.lists(st.integers(0, 120), max_size=6).map(sorted)


def store(windows: RollingWindows, log: Log, offset: int, writer: str = "a") -> None:
    """Store what changed, as the first offset that is not counted says."""
    state = windows.partitions.get(0)
    mark = StoredMark(FINGERPRINT, offset, None if state is None else state.newest_ms, writer)
    log += encode_changes("drift", 0, mark, *windows.take_changes(0))


def followed(log: Log) -> StoredPartition:
    """Give what is known of the partition to who reads the log."""
    stored = StoredPartition(FINGERPRINT, SIZE)
    for key, value in log:
        parsed = parse_key(key)
        assert parsed is not None
        stored.put(parsed.start_ms, value)
    return stored


def restored(log: Log) -> tuple[RollingWindows, int]:
    """Give the windows that a process restores from the log, and what they count up to."""
    stored = followed(log)
    windows = RollingWindows(PANE, LENGTHS, LATENESS, SIZE)
    if stored.mark is None:
        return windows, 0
    windows.follow(0, stored.mark.newest_ms, stored.mark.next, stored.take())
    windows.park(0, stored.take_ahead())
    return windows, stored.mark.next


def position(events: list[Event], at: int) -> int:
    return events[at - 1].offset + 1 if at else 0


@given(one_partition, moments, st.integers(0, 120), st.integers(0, 120))
def test_a_restart_from_the_log_changes_nothing(
    events: list[Event], stores: list[int], crash: int, back: int
) -> None:
    before, log, done = rolling(), Log(), 0
    for at in [*(at for at in stores if at <= crash), crash]:
        feed(before, events[done:at], [])
        done = min(at, len(events))
        store(before, log, position(events, done))

    after, counted_to = restored(log)
    feed(after, events[max(0, done - back) :], [])  # what was not committed comes again

    assert counted_to == position(events, done)
    if events:
        assert held(after) == recount(events)


@given(one_partition, st.integers(0, 60), st.integers(0, 60), st.data())
def test_a_store_that_was_cut_short_counts_nothing_twice(
    events: list[Event], first: int, more: int, data: st.DataObject
) -> None:
    before, log = rolling(), Log()
    feed(before, events[:first], [])
    store(before, log, position(events, min(first, len(events))))
    feed(before, events[first : first + more], [])
    whole = Log()
    store(before, whole, position(events, min(first + more, len(events))))
    # The mark comes last: any of the records before it may be all that was written.
    log += data.draw(st.lists(st.sampled_from(whole[:-1]), unique=True)) if whole[:-1] else []

    after, _ = restored(log)
    feed(after, events[first:], data.draw(st.lists(st.integers(1, 9), max_size=9)))

    if events:
        assert held(after) == recount(events)


@given(one_partition, st.integers(0, 60), st.integers(0, 60))
def test_what_a_frozen_process_stores_late_does_not_count(
    events: list[Event], frozen: int, more: int
) -> None:
    zombie, owner, log = rolling(), rolling(), Log()
    feed(zombie, events[:frozen], [])
    feed(owner, events[: frozen + more], [])
    store(owner, log, position(events, min(frozen + more, len(events))), "owner")

    store(zombie, log, position(events, min(frozen, len(events))), "zombie")
    after, counted_to = restored(log)
    feed(after, events, [])

    assert counted_to == position(events, min(frozen + more, len(events)))
    if events:
        assert held(after) == recount(events)


@given(one_partition, st.integers(0, 60), st.integers(0, 60))
def test_what_a_frozen_process_stores_late_is_mended_before_the_topic_is_compacted(
    events: list[Event], frozen: int, more: int
) -> None:
    zombie, owner, log = rolling(), rolling(), Log()
    done = min(frozen + more, len(events))
    feed(zombie, events[:frozen], [])
    feed(owner, events[:done], [])
    store(owner, log, position(events, done), "owner")
    store(zombie, log, position(events, min(frozen, len(events))), "zombie")

    if followed(log).outdated:
        owner.note_changed(0)
        store(owner, log, position(events, done), "owner")
    after, counted_to = restored(list(dict(log).items()))
    feed(after, events, [])

    assert counted_to == position(events, done)
    if events:
        assert held(after) == recount(events)


@given(one_partition, st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_who_follows_sees_what_is_counted(events: list[Event], sizes: list[int]) -> None:
    owner, follower, done = rolling(), rolling(), 0
    stored = StoredPartition(FINGERPRINT, SIZE)
    for size in sizes:
        log: Log = []
        feed(owner, events[done : done + size], [])
        done = min(done + size, len(events))
        store(owner, log, position(events, done))
        for key, value in log:
            parsed = parse_key(key)
            assert parsed is not None
            stored.put(parsed.start_ms, value)
        assert stored.mark is not None
        follower.follow(0, stored.mark.newest_ms, stored.mark.next, stored.take())

        if done:
            assert held(follower) == held(owner)


def test_counts_of_every_width_come_back() -> None:
    windows = RollingWindows(PANE, LENGTHS, LATENESS, 2)
    for count in (200, 70_000):
        times = np.full(count, 1_000, np.int64)
        state = windows.partitions.get(0)
        offsets = np.arange(count) + (0 if state is None else state.next)
        windows.observe(0, offsets, times, np.zeros((count, 1), np.uint16))
        log: Log = []
        store(windows, log, 0)

        stored = StoredPartition(FINGERPRINT, 2)
        for key, value in log:
            parsed = parse_key(key)
            assert parsed is not None
            stored.put(parsed.start_ms, value)

        assert stored.mark is not None
        stored.mark.next = 10**6
        (pane,) = stored.take_ahead().values()
        assert pane.counts.tolist() == windows.windows()[0].counts.tolist()
