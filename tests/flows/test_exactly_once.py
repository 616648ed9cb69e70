"""Flow: what is decided becomes visible together with its offsets and its counts, or not."""

import asyncio
from collections import Counter
from typing import Any

import msgspec

from tests.fakes import MemoryLog, MemorySource, MemoryTransactions
from tests.flows.harness import DECISIONS, EVENTS, LETTERS, STATE, Sidecar, running, written

TOPICS = (DECISIONS, LETTERS, STATE)
DELIVERY = {"mode": "exactly_once", "transaction_interval": "100ms"}


def made(log: MemoryLog, state: str = "one", **rest: Any) -> Any:
    rest.setdefault("sink", MemoryTransactions(log, TOPICS, EVENTS))
    return running(
        source=MemorySource(log, EVENTS), topics=TOPICS, state=state, delivery=DELIVERY, **rest
    )


def two_partitions() -> MemoryLog:
    return written(MemoryLog(), 2, TOPICS)


def committed(log: MemoryLog) -> bool:
    return all(
        log.committed.get((EVENTS, p), 0) == len(log.topics[EVENTS][p]) for p in range(2)
    )


def times_decided(sidecar: Sidecar) -> Counter[int]:
    """Count how many events have so many decisions."""
    return Counter(Counter(d["event_id"] for d in sidecar.decisions()).values())


def window_records(sidecar: Sidecar) -> int:
    return sidecar.drift.snapshot().windows[-1].records


def test_offsets_decisions_and_counts_become_visible_together() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(*range(10))
            await sidecar.until(lambda: window_records(sidecar) == 10)
            await asyncio.sleep(0.2)
            before = len(sidecar.decisions()), len(log.read(STATE)), sidecar.books()
            sidecar.sink.release()
            await sidecar.until(lambda: committed(log))
            await sidecar.drained()

        assert before == (0, 0, (10.0, 0.0))
        assert times_decided(sidecar) == {1: 10}
        assert sidecar.books() == (10.0, 10.0)
        assert stored_offsets(log) == {b"drift/0": 5, b"drift/1": 5}

    asyncio.run(flow())


def stored_offsets(log: MemoryLog) -> dict[bytes, int]:
    """Give up to which offset each partition is counted, as its last mark says."""
    marks = {r.key: r.value for part in log.topics[STATE] for r in part}
    return {
        key: msgspec.msgpack.decode(marks[key] or b"")["next"]
        for key in (b"drift/0", b"drift/1")
    }


def test_a_failed_transaction_leaves_no_trace_and_everything_goes_again() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(*range(30))
            await sidecar.until(lambda: window_records(sidecar) == 30)
            sidecar.sink.fail()
            sidecar.sink.release()
            await sidecar.until(lambda: committed(log))
            await sidecar.drained()

        assert times_decided(sidecar) == {1: 30}
        assert window_records(sidecar) == 30
        assert sidecar.books() == (60.0, 60.0)  # 30 of them given back without an outcome
        assert sidecar.sample("sidecar_records_returned_total") == 30

    asyncio.run(flow())


def test_a_commit_whose_answer_is_lost_is_not_repeated() -> None:
    async def flow() -> None:
        log = two_partitions()
        sink = MemoryTransactions(log, TOPICS, EVENTS)
        sink.in_doubt = 1
        async with made(log, sink=sink) as sidecar:
            sidecar.send_amounts(*range(30))
            await sidecar.until(lambda: committed(log) and len(sink.began) > 1)
            sidecar.send_amounts(*range(30, 40))
            await sidecar.until(lambda: committed(log))

        assert times_decided(sidecar) == {1: 40}
        assert window_records(sidecar) == 40

    asyncio.run(flow())


def test_who_lost_its_partitions_writes_nothing_more() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as frozen:
            frozen.sink.hold()
            frozen.send_amounts(*range(20))
            await frozen.until(lambda: window_records(frozen) == 20)
            async with made(log, state="two") as owner:
                await owner.until(lambda: committed(log))
                frozen.sink.release()
                await frozen.until(lambda: frozen.sample("sidecar_commit_failures_total") > 0)
                await frozen.source.close(1)
                frozen.worker.stop()
            counted = window_records(owner)

        assert times_decided(owner) == {1: 20}
        assert counted == 20

    asyncio.run(flow())


def test_partitions_that_leave_are_committed_first() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            sidecar.send_amounts(*range(20))
            await sidecar.until(lambda: bool(sidecar.worker.tracker.in_flight()))
            await sidecar.source.deal([0])
            left = log.committed[EVENTS, 1]
            await sidecar.source.deal([0, 1])
            await sidecar.until(lambda: committed(log))

        assert left == 10
        assert times_decided(sidecar) == {1: 20}

    asyncio.run(flow())


def test_between_two_shares_nothing_is_stored_for_what_left() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            sidecar.send_amounts(*range(20))
            await sidecar.until(lambda: committed(log))
            source = sidecar.source
            listener = source._listener
            assert listener is not None
            await listener.revoked({0, 1})
            stored = log.values(STATE)
            sidecar.drift.alerts.watch_from(1)
            await asyncio.sleep(0.3)  # some commits are due
            between = log.values(STATE)
            failed = sidecar.sample("sidecar_commit_failures_total")
            await listener.assigned({0, 1})

        assert (between, failed) == (stored, 0)

    asyncio.run(flow())


def test_tombstones_alone_are_committed_too() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            sidecar.send(None, None)
            await sidecar.until(lambda: committed(log))
            await sidecar.drained()

        assert sidecar.books() == (2.0, 2.0)

    asyncio.run(flow())


def test_a_full_partition_is_committed_before_its_time() -> None:
    async def flow() -> None:
        log = two_partitions()
        slow = {**DELIVERY, "transaction_interval": "1h"}
        async with running(
            source=MemorySource(log, EVENTS),
            sink=MemoryTransactions(log, TOPICS, EVENTS),
            topics=TOPICS,
            state="one",
            delivery=slow,
            limits={"in_flight_records": 20},
        ) as sidecar:
            sidecar.send_amounts(*range(200))
            await sidecar.until(lambda: len(sidecar.decisions()) > 150)

        assert times_decided(sidecar) == {1: 200}

    asyncio.run(flow())


def test_a_commit_under_way_comes_to_its_end_when_the_process_stops() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(*range(20))
            await sidecar.until(lambda: window_records(sidecar) == 20)
            await asyncio.sleep(0.2)
            sidecar.worker.stop()
            await asyncio.sleep(0.7)
            sidecar.sink.release()
            clean = await sidecar.ended

        assert clean
        assert committed(log)
        assert times_decided(sidecar) == {1: 20}

    asyncio.run(flow())
