"""What every `Source` does."""

import pytest

from sidecar.errors import OwnershipLostError, SourceUnavailableError
from sidecar.events import RecordBatch
from sidecar.ports import Lag
from tests.contracts.benches import Bench, Recorder, by_partition, joined, take
from tests.fakes import Stored

STAMP = 1_700_000_000_000


def numbered(count: int) -> list[Stored]:
    return [Stored(b"k%d" % at, b"v%d" % at) for at in range(count)]


async def test_a_record_comes_as_it_was_written(bench: Bench) -> None:
    headers = [("content-type", b"application/json"), ("empty", b""), ("none", None)]
    bench.write(1, Stored(b"key", b"value", headers, STAMP), Stored(None, b"{}", (), STAMP + 7))
    bench.write(1, Stored(b"gone", None, (), STAMP + 9))
    source = await joined(bench.source())

    batches = await take(source, 3)

    await source.close(5)
    rows = [
        (batch.topic, key, value, list(head), int(stamp))
        for batch in batches
        for key, value, head, stamp in zip(
            batch.keys, batch.values, batch.headers, batch.timestamps_ms, strict=True
        )
    ]
    assert rows == [
        (bench.topic, b"key", b"value", headers, STAMP),
        (bench.topic, None, b"{}", [], STAMP + 7),
        (bench.topic, b"gone", None, [], STAMP + 9),
    ]


async def test_every_record_of_every_partition_comes_once_and_in_order(bench: Bench) -> None:
    bench.write(0, *numbered(70))
    bench.write(1, *numbered(50))
    source = await joined(bench.source())

    batches = await take(source, 120)

    last = await source.poll(1000, 0.2)
    await source.close(5)
    assert by_partition(batches) == {0: list(range(70)), 1: list(range(50))}
    assert last is None


async def test_spans_cover_all_rows_without_a_gap(bench: Bench) -> None:
    bench.write(0, *numbered(5))
    bench.write(1, *numbered(3))
    source = await joined(bench.source())

    batches = await take(source, 8)

    await source.close(5)
    for batch in batches:
        edges = [edge for span in batch.spans for edge in (span.start, span.stop)]
        inner = edges[1:-1]
        assert (edges[0], edges[-1]) == (0, len(batch))
        assert inner[::2] == inner[1::2]


async def test_a_poll_gives_no_more_than_asked_for(bench: Bench) -> None:
    bench.write(0, *numbered(25))
    source = await joined(bench.source())

    sizes: list[int] = []
    while sum(sizes) < 25:
        batch = await source.poll(10, 0.2)
        sizes.append(len(batch) if batch is not None else 0)

    await source.close(5)
    assert max(sizes) == 10


async def test_partitions_give_nothing_before_the_listener_resumes_them(bench: Bench) -> None:
    bench.write(0, *numbered(3))
    source = bench.source()
    recorder = Recorder(source, resume=False)
    await source.start(recorder)

    waiting = [await source.poll(1000, 0.1) for _ in range(5)]
    source.resume({0, 1})
    came = by_partition(await take(source, 3))

    await source.close(5)
    assert recorder.told == [("assigned", frozenset({0, 1}))]
    assert waiting == [None] * 5
    assert came == {0: [0, 1, 2]}


async def test_a_paused_partition_stands_still_and_the_others_go_on(bench: Bench) -> None:
    source = await joined(bench.source())
    source.pause({0, 99})
    bench.write(0, *numbered(4))
    bench.write(1, *numbered(2))

    first = by_partition(await take(source, 2))
    source.resume({0, 99})
    second = by_partition(await take(source, 4))

    await source.close(5)
    assert first == {1: [0, 1]}
    assert second == {0: [0, 1, 2, 3]}


async def test_a_pause_in_the_middle_loses_nothing(bench: Bench) -> None:
    bench.write(0, *numbered(30))
    source = await joined(bench.source())

    batches: list[RecordBatch] = []
    while sum(map(len, batches)) < 30:
        batch = await source.poll(4, 0.2)
        source.pause({0})
        source.resume({0})
        if batch is not None:
            batches.append(batch)

    await source.close(5)
    assert by_partition(batches) == {0: list(range(30))}


async def test_the_next_member_begins_at_the_committed_offset(bench: Bench) -> None:
    bench.write(0, *numbered(10))
    first = await joined(bench.source())
    await take(first, 10)
    await first.commit({0: 6})
    await first.close(5)

    second = await joined(bench.source())
    came = by_partition(await take(second, 4))

    await second.close(5)
    assert bench.committed(0) == 6
    assert came == {0: [6, 7, 8, 9]}


async def test_a_group_without_an_offset_begins_with_the_oldest_record(bench: Bench) -> None:
    bench.write(0, *numbered(3))
    source = await joined(bench.source(begin="earliest"))

    await take(source, 3)

    await source.close(5)
    assert bench.committed(0) == 0


async def test_a_group_that_begins_at_the_end_comes_back_to_that_place(bench: Bench) -> None:
    bench.write(0, *numbered(3))
    source = await joined(bench.source(begin="latest"))
    while bench.committed(0) is None or bench.committed(1) is None:
        assert await source.poll(1000, 0.2) is None
    bench.write(0, *numbered(2))

    first = by_partition(await take(source, 2))
    await source.rewind({0}, {})
    again = by_partition(await take(source, 2))

    await source.close(5)
    assert first == again == {0: [3, 4]}


async def test_rewind_goes_to_the_position_named_else_to_the_commit(bench: Bench) -> None:
    bench.write(0, *numbered(6))
    bench.write(1, *numbered(6))
    source = await joined(bench.source())
    await take(source, 12)
    await source.commit({0: 1, 1: 4})

    await source.rewind({0, 1, 99}, {0: 3})
    came = by_partition(await take(source, 5))

    await source.close(5)
    assert came == {0: [3, 4, 5], 1: [4, 5]}


async def test_a_commit_for_a_partition_of_somebody_else_is_refused(bench: Bench) -> None:
    source = await joined(bench.source())

    with pytest.raises(OwnershipLostError):
        await source.commit({0: 0, 7: 3})

    await source.close(5)


async def test_lag_counts_what_was_not_handed_out(bench: Bench) -> None:
    bench.write(0, *numbered(5))
    source = await joined(bench.source())
    await take(source, 5)
    source.pause({0, 1})
    bench.write(0, *numbered(2))
    bench.write(1, *numbered(3))

    lag = await source.lag()

    await source.close(5)
    assert dict(lag) == {0: Lag(5, 7), 1: Lag(0, 3)}
    assert [lag[0].records, lag[1].records] == [2, 3]


async def test_a_missing_topic_is_named_and_start_may_be_repeated(bench: Bench) -> None:
    missing = f"{bench.topic}-later"
    source = bench.source(missing)

    with pytest.raises(SourceUnavailableError, match=f"`{missing}` does not exist"):
        await source.start(Recorder(source))
    bench.create(missing)
    recorder = Recorder(source)
    await source.start(recorder)

    await source.close(5)
    assert recorder.told == [("assigned", frozenset({0, 1}))]


async def test_a_closed_source_gives_nothing_until_it_is_started_again(bench: Bench) -> None:
    bench.write(0, *numbered(2))
    source = await joined(bench.source())
    await source.close(5)

    with pytest.raises(SourceUnavailableError):
        await source.poll(10, 0.1)
    lag = await source.lag()
    await joined(source)
    came = by_partition(await take(source, 2))

    await source.close(5)
    assert dict(lag) == {}
    assert came == {0: [0, 1]}
