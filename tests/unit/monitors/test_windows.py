import numpy as np
import pytest

from sidecar.monitors.windows import PartitionPanes, RollingWindows

SIZE = 3


def rolling(
    *, pane: int = 10, lengths: tuple[int, ...] = (20, 50), lateness: int = 30
) -> RollingWindows:
    return RollingWindows(pane, lengths, lateness, SIZE)


def see(windows: RollingWindows, partition: int, *events: tuple[int, int]) -> int:
    """Show events as (time, cell)."""
    times, cells = np.array(events, np.int64).T
    state = windows.partitions.get(partition)
    offsets = (0 if state is None else state.next) + np.arange(len(times))
    return windows.observe(partition, offsets, times, cells[:, None].astype(np.uint16))


def held(windows: RollingWindows) -> list[tuple[int, int, list[int]]]:
    return [(at.start_ms, at.end_ms, at.counts.tolist()) for at in windows.windows()]


def test_windows_end_with_the_pane_of_the_newest_event() -> None:
    windows = rolling()

    see(windows, 0, (100, 0), (95, 1), (73, 2))

    assert held(windows) == [(90, 110, [1, 1, 0]), (60, 110, [1, 1, 1])]
    assert windows.newest_ms == 100


def test_panes_leave_as_event_time_goes_on() -> None:
    windows = rolling()
    see(windows, 0, (100, 0), (105, 0))

    see(windows, 0, (129, 1))

    assert held(windows) == [(110, 130, [0, 1, 0]), (80, 130, [2, 1, 0])]


def test_a_gap_longer_than_a_window_empties_it() -> None:
    windows = rolling()
    see(windows, 0, (100, 0), (105, 0))

    see(windows, 0, (10_000, 1))

    assert held(windows) == [(9_990, 10_010, [0, 1, 0]), (9_960, 10_010, [0, 1, 0])]


def test_an_event_as_late_as_allowed_lands_in_its_pane() -> None:
    windows = rolling()

    late = see(windows, 0, (100, 0), (70, 1), (69, 2))

    assert late == 1
    assert held(windows)[1] == (60, 110, [1, 1, 0])


def test_lateness_goes_by_the_newest_event_before_it() -> None:
    windows = rolling()

    assert see(windows, 0, (65, 0), (100, 0)) == 0
    assert see(windows, 0, (65, 0)) == 1


def test_an_event_before_the_longest_window_is_late_however_large_lateness_is() -> None:
    windows = rolling(lateness=1_000)

    assert see(windows, 0, (100, 0), (60, 1), (59, 2)) == 1


def test_each_partition_has_its_own_lateness() -> None:
    windows = rolling()

    late = see(windows, 0, (1_000, 0)) + see(windows, 1, (100, 1), (960, 2))

    assert late == 0
    assert held(windows) == [(990, 1_010, [1, 0, 0]), (960, 1_010, [1, 0, 1])]


def test_a_partition_ahead_that_is_revoked_lets_the_windows_go_back() -> None:
    windows = rolling()
    see(windows, 0, (61, 0), (100, 0))
    see(windows, 1, (150, 1))

    windows.revoke([1, 7])

    assert held(windows) == [(90, 110, [1, 0, 0]), (60, 110, [2, 0, 0])]
    assert windows.newest_ms == 100


def test_without_partitions_the_windows_are_empty() -> None:
    windows = rolling()
    see(windows, 0, (100, 0))

    windows.revoke([0])

    assert held(windows) == held(rolling()) == [(0, 0, [0, 0, 0])] * 2
    assert windows.newest_ms is None


def test_no_events_change_nothing() -> None:
    windows = rolling()

    nothing = np.empty(0, np.int64)
    assert windows.observe(0, nothing, nothing, np.empty((0, 1), np.uint16)) == 0
    assert windows.partitions == {}


def test_an_event_counts_in_each_of_its_cells() -> None:
    windows = rolling()

    windows.observe(
        0, np.array([5, 6]), np.array([100, 101]), np.array([[0, 2], [1, 2]], np.uint16)
    )

    assert held(windows)[0] == (90, 110, [1, 1, 2])


def test_panes_are_stored_in_the_narrowest_type() -> None:
    windows = rolling()

    see(windows, 0, *[(100, 0)] * 255)
    narrow = windows.partitions[0].panes[100].dtype.name
    see(windows, 0, (100, 0))

    assert (narrow, windows.partitions[0].panes[100].dtype.name) == ("uint8", "uint16")
    assert windows.partitions[0].panes[100].tolist() == [256, 0, 0]


def test_a_partition_keeps_the_panes_of_its_longest_window() -> None:
    windows = rolling()

    for time in range(0, 2_000, 5):
        see(windows, 0, (time, 0))
    see(windows, 0, (2_001, 0), (2_047, 0))

    assert sorted(windows.partitions[0].panes) == [2_000, 2_040]


def test_restored_state_takes_the_place_of_what_was_known() -> None:
    windows = rolling()
    see(windows, 0, (100, 0))
    state = PartitionPanes(
        88, {80: np.array([0, 5, 0], np.uint8), 30: np.array([9, 0, 0], np.uint8)}
    )

    windows.restore(0, state)

    assert held(windows) == [(70, 90, [0, 5, 0]), (40, 90, [0, 5, 0])]


def test_restoring_an_empty_state_forgets_the_partition() -> None:
    windows = rolling()
    see(windows, 0, (100, 0))

    windows.restore(0, PartitionPanes())

    assert held(windows) == held(rolling())


def test_windows_given_are_copies() -> None:
    windows = rolling()
    see(windows, 0, (100, 0))
    before = windows.windows()[0]

    see(windows, 0, (101, 0))

    assert (before.length_ms, before.counts.tolist()) == (20, [1, 0, 0])


@pytest.mark.parametrize("length", [0, 15])
def test_a_window_that_is_no_multiple_of_the_pane_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="multiple of the pane"):
        rolling(lengths=(length,))
