"""Flow: requests and responses of KServe's payload log become one decision each pair."""

import asyncio
from typing import Any

import pytest

from sidecar.errors import SinkUnavailableError, SourceUnavailableError
from sidecar.pipeline.kserve import REQUEST_TYPE, RESPONSE_TYPE
from tests.fakes import MemorySource, Stored
from tests.flows.harness import DECISIONS, EVENTS, Sidecar, running
from tests.kserve_samples import FIRST_MS, answered, asked, logged

KSERVE: dict[str, Any] = {"format": "kserve"}


def put(sidecar: Sidecar, *stored: Stored, partition: int = 0) -> None:
    sidecar.log.write(EVENTS, partition, *stored)
    sidecar.sent += len(stored)


async def read(sidecar: Sidecar, waiting: int = 0) -> None:
    """Wait until all is read and has its outcome, but for what waits."""
    tracker = sidecar.worker.tracker
    await sidecar.until(
        lambda: (
            sum(tracker.positions().values()) >= sidecar.sent
            and tracker.unsettled() == tracker.held() == waiting
        )
    )


def committed(sidecar: Sidecar, partition: int = 0) -> int:
    return sidecar.log.committed[EVENTS, partition]


def balance(sidecar: Sidecar) -> None:
    received, out = sidecar.books()
    assert received == out + sidecar.worker.tracker.unsettled()


def places(sidecar: Sidecar) -> list[tuple[str, str]]:
    return sorted(
        (each["event_id"], each["id"].partition("-")[2]) for each in sidecar.decisions()
    )


@pytest.mark.parametrize("first", ["request", "response"])
@pytest.mark.parametrize("batches", [1, 2], ids=["one batch", "two batches"])
def test_a_pair_is_one_decision_where_the_response_stands(first: str, batches: int) -> None:
    async def flow() -> None:
        pair = [asked("a"), answered("a")]
        pair = pair if first == "request" else pair[::-1]
        async with running(input=KSERVE) as sidecar:
            for at in range(batches):
                put(sidecar, *(pair if batches == 1 else pair[at : at + 1]))
                await read(sidecar, waiting=0 if at == batches - 1 else 1)
            await sidecar.until(lambda: committed(sidecar) == 2)

        (decision,) = sidecar.decisions()
        del decision["id"], decision["event_time"]
        assert decision == {
            "event_id": "a",
            "model": "credit",
            "version": "6b",
            "source": "upstream",
            "reason": "upstream",
            "label": "approve",
            "score": 0.75,
            "confidence": 0.75,
        }
        assert places(sidecar) == [("a", "0-1" if first == "request" else "0-0")]
        assert [each.key for each in sidecar.log.read(DECISIONS)] == [b"a-response"]
        assert sidecar.sample("sidecar_records_joined_total") == 1
        assert sidecar.letters() == []
        assert sidecar.scorer.calls == []
        balance(sidecar)

    asyncio.run(flow())


def test_a_pair_may_stand_in_two_partitions() -> None:
    async def flow() -> None:
        async with running(partitions=2, input=KSERVE) as sidecar:
            put(sidecar, answered("a"), asked("b"), partition=1)
            await read(sidecar, waiting=2)
            put(sidecar, asked("a"), answered("b"), partition=0)
            await read(sidecar)
            await sidecar.until(lambda: [committed(sidecar, p) for p in (0, 1)] == [2, 2])

        assert places(sidecar) == [("a", "1-0"), ("b", "0-1")]
        balance(sidecar)

    asyncio.run(flow())


def test_what_waits_too_long_becomes_a_dead_letter_with_its_bytes() -> None:
    async def flow() -> None:
        lonely = [asked("a"), answered("b", at_s=1)]
        async with running(input={**KSERVE, "kserve": {"max_wait": "60s"}}) as sidecar:
            put(sidecar, *lonely)
            await read(sidecar, waiting=2)
            put(sidecar, asked("c", at_s=60), answered("c", at_s=60))
            await read(sidecar, waiting=2)
            assert sidecar.letters() == []
            assert committed(sidecar) == 0
            put(sidecar, asked("d", at_s=62), answered("d", at_s=62))
            await read(sidecar)
            await sidecar.until(lambda: committed(sidecar) == 6)

        letters = sidecar.letters()
        assert sidecar.codes() == ["no_response", "no_request"]
        assert [(each.key, each.value) for each in letters] == [
            (each.key, each.value) for each in lonely
        ]
        assert [list(each.headers[:8]) for each in letters] == [
            list(each.headers) for each in lonely
        ]
        assert [dict(each.headers)["sidecar.error.offset"] for each in letters] == [b"0", b"1"]
        assert [each for each, _ in places(sidecar)] == ["c", "d"]
        balance(sidecar)

    asyncio.run(flow())


def test_an_idle_topic_gives_up_nothing_and_a_stop_loses_nothing() -> None:
    async def flow() -> None:
        async with running(input={**KSERVE, "kserve": {"max_wait": "1ms"}}) as sidecar:
            put(sidecar, asked("a"))
            await read(sidecar, waiting=1)
            await asyncio.sleep(0.05)
            assert sidecar.sample("sidecar_waiting_records") == 1

        assert sidecar.ended is not None
        assert sidecar.ended.result() is True
        assert (sidecar.letters(), committed(sidecar)) == ([], 0)
        again = MemorySource(sidecar.log, EVENTS)
        async with running(source=again, input=KSERVE) as other:
            put(other, answered("a"))
            other.sent = 2
            await read(other)
            await other.until(lambda: committed(other) == 2)
        assert places(other) == [("a", "0-1")]

    asyncio.run(flow())


def test_more_than_may_wait_gives_up_the_oldest() -> None:
    async def flow() -> None:
        async with running(input={**KSERVE, "kserve": {"max_pending": 2}}) as sidecar:
            put(sidecar, asked("a"), asked("b"))
            await read(sidecar, waiting=2)
            put(sidecar, asked("c"), answered("b"))
            await read(sidecar, waiting=1)

        assert sidecar.codes() == ["no_response"]
        assert [each.key for each in sidecar.letters()] == [b"a-request"]
        assert places(sidecar) == [("b", "0-3")]
        balance(sidecar)

    asyncio.run(flow())


def test_bad_records_tombstones_and_neighbours() -> None:
    async def flow() -> None:
        bad = [
            logged(REQUEST_TYPE, "x", {"inputs": []}, 0),
            logged(RESPONSE_TYPE, "x", {"error": "no"}, 0),
            logged("other.type", "x", {"inputs": []}, 0),
            Stored(b"k", b'{"id": "x", "features": {"amount": 1}}', (), FIRST_MS),
            Stored(b"k", b"", asked("x").headers, FIRST_MS),
            Stored(readable=False),
        ]
        async with running(input=KSERVE) as sidecar:
            put(sidecar, asked("a"), *bad, Stored(b"k"), answered("a"))
            await read(sidecar)

        assert sidecar.codes() == [
            "missing_feature",
            "missing_field",
            "unsupported_format",
            "missing_field",
            "empty",
            "unreadable_record",
        ]
        assert sidecar.sample("sidecar_tombstones_total") == 1
        assert places(sidecar) == [("a", "0-8")]
        balance(sidecar)

    asyncio.run(flow())


# --- when something breaks -------------------------------------------------------------------


def test_a_broken_sink_costs_no_pair_and_doubles_nothing_that_is_counted() -> None:
    async def flow() -> None:
        async with running(partitions=2, input=KSERVE) as sidecar:
            put(sidecar, asked("a"), asked("b"), asked("c"), answered("c"))
            put(sidecar, answered("d"), partition=1)
            await read(sidecar, waiting=3)
            sidecar.sink.hold()
            put(sidecar, answered("a"), asked("d"), asked("e"))
            await sidecar.until(sidecar.worker.tracker.moving)
            sidecar.sink.fail()
            await read(sidecar, waiting=2)
            put(sidecar, answered("b"), answered("e"), partition=1)
            await read(sidecar)
            await sidecar.until(lambda: [committed(sidecar, p) for p in (0, 1)] == [7, 3])

        assert places(sidecar) == [
            ("a", "0-4"), ("b", "1-1"), ("c", "0-3"), ("d", "1-0"), ("e", "1-2")
        ]  # fmt: skip
        assert sidecar.letters() == []
        assert sidecar.sample("sidecar_records_joined_total") == 5
        balance(sidecar)

    asyncio.run(flow())


def test_a_dead_letter_that_was_not_written_is_written_later() -> None:
    async def flow() -> None:
        async with running(input=KSERVE) as sidecar:
            put(sidecar, asked("a"))
            await read(sidecar, waiting=1)
            sidecar.sink.hold()
            put(sidecar, asked("b", at_s=90))
            await sidecar.until(sidecar.worker.tracker.moving)
            sidecar.sink.fail()
            await read(sidecar, waiting=1)

        assert [each.key for each in sidecar.letters()] == [b"a-request"]
        balance(sidecar)

    asyncio.run(flow())


@pytest.mark.parametrize("how", ["rebalance", "broken client"])
def test_what_waits_is_read_again_by_the_next_owner(how: str) -> None:
    async def flow() -> None:
        async with running(input=KSERVE) as sidecar:
            put(sidecar, asked("a"), asked("b"), answered("b"), asked("c"))
            await read(sidecar, waiting=2)
            if how == "rebalance":
                async with asyncio.timeout(5):  # what waits holds no rebalance up
                    await sidecar.source.deal([0])
            else:
                sidecar.source.faults["poll"].append(SourceUnavailableError("gone"))
                sidecar.log.grown.set()
                await sidecar.until(lambda: sidecar.sample("sidecar_rebalances_total") == 2)
            await read(sidecar, waiting=2)
            put(sidecar, answered("a"), answered("c"))
            await read(sidecar)

        assert sorted(set(places(sidecar))) == [("a", "0-4"), ("b", "0-2"), ("c", "0-5")]
        assert sidecar.letters() == []
        balance(sidecar)

    asyncio.run(flow())


def test_what_waits_leaves_with_its_partition() -> None:
    async def flow() -> None:
        async with running(partitions=2, input=KSERVE) as sidecar:
            put(sidecar, asked("a"), asked("b"))
            await read(sidecar, waiting=2)
            await sidecar.source.deal([1])
            put(sidecar, answered("a"), partition=1)
            sidecar.sent -= 2
            await read(sidecar, waiting=1)
            assert sidecar.sample("sidecar_waiting_records") == 1
            assert sidecar.sample("sidecar_records_returned_total") == 2

        assert (sidecar.decisions(), sidecar.letters()) == ([], [])
        balance(sidecar)

    asyncio.run(flow())


def test_a_response_behind_the_committed_offset_finds_its_request_before_it() -> None:
    async def flow() -> None:
        async with running(input=KSERVE) as sidecar:
            put(sidecar, asked("a"), asked("b"), answered("b"), asked("c"), answered("a"))
            put(sidecar, answered("c"), asked("d"))
            await read(sidecar, waiting=1)
            await sidecar.until(lambda: committed(sidecar) == 6)
        # As if it had been committed in the middle of three pairs.
        sidecar.log.committed[EVENTS, 0] = 4
        source = MemorySource(sidecar.log, EVENTS)
        async with running(source=source, input=KSERVE) as other:
            other.sent = 7
            await read(other, waiting=1)
            assert other.sample("sidecar_records_received_total") == 3

        assert other.letters() == []
        assert set(places(other)) == {("a", "0-4"), ("b", "0-2"), ("c", "0-5")}
        balance(other)

    asyncio.run(flow())


def test_without_looking_back_such_a_response_is_refused() -> None:
    async def flow() -> None:
        async with running(input=KSERVE) as sidecar:
            put(sidecar, asked("a"), answered("a"))
            await read(sidecar)
        sidecar.log.committed[EVENTS, 0] = 1
        settings = {**KSERVE, "kserve": {"look_back": 0, "max_wait": "1s"}}
        source = MemorySource(sidecar.log, EVENTS)
        async with running(source=source, input=settings) as other:
            put(other, asked("b", at_s=5))
            other.sent = 3
            await read(other, waiting=1)

        assert other.codes() == ["no_request"]

    asyncio.run(flow())


def test_a_sink_that_is_away_at_the_start_is_waited_for() -> None:
    async def flow() -> None:
        async with running(input=KSERVE) as sidecar:
            sidecar.sink.starts.append(SinkUnavailableError("topic_missing", "away"))
            put(sidecar, asked("a"), answered("a"))
            await read(sidecar)

        assert places(sidecar) == [("a", "0-1")]

    asyncio.run(flow())
