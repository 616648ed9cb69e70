"""What every `Sink` does."""

import asyncio

import pytest

from sidecar.errors import SinkUnavailableError
from sidecar.events import Headers, OutboundBatch, OutboundSlice
from tests.contracts.benches import Bench


def slice_of(
    topic: str, partition: int, *values: bytes | None, headers: list[Headers] | None = None
) -> OutboundSlice:
    keys = [b"k-%d" % at for at in range(len(values))]
    return OutboundSlice(topic, partition, keys, values, headers, range(len(values)))


async def test_what_is_acknowledged_can_be_read(bench: Bench) -> None:
    headers: list[Headers] = [(("code", b"empty"), ("none", None)), ()]
    batch = OutboundBatch((slice_of(bench.topic, 1, b"a", None, headers=headers),))
    sink = bench.sink()
    await sink.start()

    refusals = await (await sink.send(batch))

    await sink.close(5)
    records = [(r.key, r.value, list(r.headers)) for r in bench.read(1, 2)]
    assert list(refusals) == []
    assert records == [
        (b"k-0", b"a", [("code", b"empty"), ("none", None)]),
        (b"k-1", None, []),
    ]


async def test_an_input_partition_beyond_the_last_wraps_around(bench: Bench) -> None:
    parts = (slice_of(bench.topic, 2, b"two"), slice_of(bench.topic, 3, b"three"))
    sink = bench.sink()
    await sink.start()

    await (await sink.send(OutboundBatch(parts)))

    await sink.close(5)
    assert [r.value for r in bench.read(0, 1)] == [b"two"]
    assert [r.value for r in bench.read(1, 1)] == [b"three"]


async def test_batches_under_way_together_arrive_in_the_order_they_were_sent(
    bench: Bench,
) -> None:
    values = [b"%d" % number for number in range(600)]
    sink = bench.sink()
    await sink.start()

    under_way = []
    for start in range(0, 600, 50):
        batch = OutboundBatch((slice_of(bench.topic, 0, *values[start : start + 50]),))
        under_way.append(await sink.send(batch))
    refusals = await asyncio.gather(*under_way)

    await sink.close(5)
    assert refusals == [[]] * 12
    assert [r.value for r in bench.read(0, 600)] == values


async def test_a_batch_with_nothing_in_it_is_acknowledged(bench: Bench) -> None:
    sink = bench.sink()
    await sink.start()

    refusals = await (await sink.send(OutboundBatch(())))

    await sink.close(5)
    assert list(refusals) == []


async def test_close_writes_what_was_taken(bench: Bench) -> None:
    sink = bench.sink()
    await sink.start()

    acknowledged = await sink.send(OutboundBatch((slice_of(bench.topic, 0, b"last"),)))
    await sink.close(5)

    assert list(await acknowledged) == []
    assert [r.value for r in bench.read(0, 1)] == [b"last"]


@pytest.mark.parametrize("closed", [False, True], ids=["never_started", "closed"])
async def test_a_sink_that_is_not_started_takes_nothing(bench: Bench, closed: bool) -> None:
    sink = bench.sink()
    if closed:
        await sink.start()
        await sink.close(5)

    with pytest.raises(SinkUnavailableError) as raised:
        await sink.send(OutboundBatch((slice_of(bench.topic, 0, b"x"),)))

    await sink.start()
    refusals = await (await sink.send(OutboundBatch((slice_of(bench.topic, 0, b"y"),))))
    await sink.close(5)
    assert raised.value.reason == ("closed" if closed else "not_started")
    assert list(refusals) == []


async def test_a_missing_topic_is_the_reason_until_it_is_there(bench: Bench) -> None:
    missing = f"{bench.topic}-later"
    sink = bench.sink(missing)

    with pytest.raises(SinkUnavailableError, match=missing) as raised:
        await sink.start()
    bench.create(missing)
    await sink.start()
    refusals = await (await sink.send(OutboundBatch((slice_of(missing, 0, b"x"),))))

    await sink.close(5)
    assert raised.value.reason == "topic_missing"
    assert list(refusals) == []
