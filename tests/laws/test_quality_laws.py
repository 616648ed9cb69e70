"""The counts of quality depend on the records alone, and outlast what windows outlast."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.events import Reason, RejectCode, Source
from sidecar.monitors.quality import QualityMonitor
from sidecar.monitors.quality_snapshot import QualitySnapshot
from sidecar.monitors.windows import PartitionPanes
from tests.quality_samples import START, Line, monitor, settled

MINUTE = 60_000

faults = st.sampled_from(
    [
        (RejectCode.WRONG_TYPE, "$.features.age"),
        (RejectCode.OUT_OF_LIMITS, "$.data.features.rooms"),
        (RejectCode.MISSING_FEATURE, "$.features.other"),
        (RejectCode.TOO_LARGE, "$"),
    ]
)
answers = st.sampled_from(
    [
        (Source.MODEL, Reason.CONFIDENT, -1),
        (Source.UPSTREAM, Reason.UPSTREAM, -1),
        (Source.RULE, Reason.LOW_CONFIDENCE, 0),
        (Source.DEFAULT, Reason.MODEL_ERROR, -1),
    ]
)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """One record, its time relative to the one before."""
    fault = draw(st.none() | faults)
    source, reason, rule = draw(answers)
    return Line(
        partition=draw(st.integers(0, 2)),
        time_ms=draw(st.sampled_from([0, 0, 1, MINUTE, 3 * MINUTE, -2 * MINUTE, -20 * MINUTE])),
        age_ms=draw(st.sampled_from([0, 5, 60_000, 10**7])),
        id=draw(st.sampled_from("abcdefgh")),
        age=draw(st.sampled_from([np.nan, 30.0, 99.0])),
        country=draw(st.sampled_from(["de", "fr", "xx", "yy"])),
        source=source,
        reason=reason,
        rule=rule,
        shadow=draw(st.integers(-1, 1)),
        refused=fault and fault[0],
        path=fault[1] if fault else "$",
    )


def walked(drawn: Sequence[Line]) -> list[Line]:
    time_ms, made = START, []
    for line in drawn:
        time_ms += line.time_ms
        made.append(Line(**{**vars(line), "time_ms": time_ms}))
    return made


streams = st.lists(lines(), min_size=1, max_size=60).map(walked)
cuts = st.lists(st.integers(1, 20), max_size=30)


def feed(into: QualityMonitor, stream: Sequence[Line], sizes: Sequence[int]) -> None:
    """Show records in batches of these sizes, the rest one by one."""
    start = 0
    for size in [*sizes, *[1] * len(stream)]:
        batch = stream[start : start + size]
        if batch:
            into.observe(*settled(batch, start))
        start += size


def counted(into: QualityMonitor) -> QualitySnapshot:
    return into.snapshot(None)


def reached(into: QualityMonitor) -> dict[int, tuple[int | None, int]]:
    return {at: (state.newest_ms, state.next) for at, state in into.windows.partitions.items()}


@given(streams, cuts)
def test_nothing_depends_on_how_records_are_cut_into_batches(
    stream: list[Line], sizes: list[int]
) -> None:
    whole, parts = monitor(compares=True), monitor(compares=True)

    whole.observe(*settled(stream))
    feed(parts, stream, sizes)

    assert counted(parts) == counted(whole)
    assert reached(parts) == reached(whole)


@given(streams)
def test_partitions_counted_apart_add_up_to_all_of_them(stream: list[Line]) -> None:
    whole, sum_of_parts = monitor(), monitor()
    feed(whole, stream, [])

    for partition in range(3):
        alone = monitor()
        for offset, line in enumerate(stream):
            if line.partition == partition:
                alone.observe(*settled([line], offset))
        for own, state in alone.windows.partitions.items():
            sum_of_parts.windows.follow(own, state.newest_ms, state.next, state.panes)

    assert counted(sum_of_parts).windows == counted(whole).windows


@given(streams, st.integers(0, 60), st.integers(0, 60))
def test_a_restart_changes_no_count_but_of_ids_that_it_forgot(
    stream: list[Line], stop: int, again: int
) -> None:
    """What was read after the last store comes again; what was stored is passed over."""
    whole, before, after = monitor(), monitor(), monitor()
    unlike = [Line(**{**vars(line), "id": str(at)}) for at, line in enumerate(stream)]
    feed(whole, unlike, [])
    feed(before, unlike[:stop], [7, 5])

    for partition, state in before.windows.partitions.items():
        kept = PartitionPanes(state.newest_ms, dict(state.panes), state.next)
        after.windows.restore(partition, kept)
    first = max(0, stop - again)
    for offset, line in enumerate(unlike[first:], first):
        after.observe(*settled([line], offset))

    assert counted(after).windows == counted(whole).windows
