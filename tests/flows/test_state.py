"""Flow: windows outlast restarts, count each event once, and show every partition."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import pytest

from sidecar.errors import SourceUnavailableError
from sidecar.events import RecordBatch
from sidecar.monitors.snapshot import WindowSnapshot
from sidecar.ports import Place
from tests.fakes import MemoryLog, MemorySink, MemorySource, Stored
from tests.flows.harness import (
    DECISIONS,
    EVENTS,
    LETTERS,
    STATE,
    Sidecar,
    build,
    running,
    written,
)

TOPICS = (DECISIONS, LETTERS, STATE)
MINUTE = 60_000


def made(log: MemoryLog, *partitions: int, **rest: Any) -> Any:
    """Run a sidecar on a log that outlasts it; with partitions, on these alone."""
    source = Part(log, partitions) if partitions else MemorySource(log, EVENTS)
    return running(**{"source": source, "topics": TOPICS, "state": "one", **rest})


class Part(MemorySource):
    """A member of a group that has other members."""

    def __init__(self, log: MemoryLog, partitions: tuple[int, ...]) -> None:
        super().__init__(log, EVENTS)
        self._share: tuple[int, ...] | None = partitions

    async def deal(self, partitions: Collection[int]) -> None:
        share, self._share = self._share, None
        await super().deal(partitions if share is None else share)


class Overtaken(Part):
    """A member that a former owner, who does not know it yet, overtakes while it asks."""

    def __init__(self, log: MemoryLog, partitions: tuple[int, ...]) -> None:
        super().__init__(log, partitions)
        self.overtaking: Callable[[], Awaitable[None]] | None = None

    async def places(self, partitions: Collection[int]) -> Mapping[int, Place]:
        places = await super().places(partitions)
        if self.overtaking is not None:
            await self.overtaking()
        return places


def window(sidecar: Sidecar) -> WindowSnapshot:
    return sidecar.drift.snapshot().windows[-1]


def counts(sidecar: Sidecar) -> list[list[int]]:
    return [at.counts.tolist() for at in sidecar.drift.windows.windows()]


def two_partitions() -> MemoryLog:
    return written(MemoryLog(), 2, TOPICS)


async def stored(sidecar: Sidecar, log: MemoryLog) -> None:
    """Wait until everything that was sent is committed."""
    await sidecar.drained()
    await sidecar.until(
        lambda: all(
            log.committed.get((EVENTS, p)) == len(log.topics[EVENTS][p])
            for p in range(len(log.topics[EVENTS]))
        )
    )


def test_windows_outlast_a_restart() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as before:
            before.send_amounts(*range(50))
            await stored(before, log)
        async with made(log, state="two") as after:
            await after.until(lambda: window(after).records == 50)
            after.sent = 50
            after.send_amounts(*range(50, 80))
            await stored(after, log)

        assert window(after).records == 80
        assert after.sample("sidecar_state_restores_total") == 2
        assert after.sample("sidecar_state_gap_records_total") == 0

    asyncio.run(flow())


def test_what_is_read_again_after_a_crash_counts_once() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as before:
            before.send_amounts(*range(50))
            await stored(before, log)
        log.committed[EVENTS, 0] = 5  # the state was written, the commit was not
        async with made(log, state="two") as after:
            after.sent = 50
            await after.until(lambda: log.committed[EVENTS, 0] == 25)

        assert window(after).records == 50
        assert len(after.decisions()) == 70

    asyncio.run(flow())


def test_state_is_written_before_the_offsets_that_it_counts() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            sidecar.send_amounts(1.0, 2.0)
            await stored(sidecar, log)
            sidecar.source.faults["commit"].append(SourceUnavailableError("lost"))
            sidecar.send_amounts(3.0)
            await sidecar.until(lambda: sidecar.sample("sidecar_commit_failures_total") == 1)
            marks = [r for r in log.read(STATE, 0) if r.key == b"drift/0"]
            await stored(sidecar, log)

        assert len(marks) == 2

    asyncio.run(flow())


def test_each_replica_shows_all_partitions() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log, 0) as left, made(log, 1, state="two") as right:
            for at in range(60):
                left.send({"id": f"e{at}", "features": {"amount": float(at)}})
            await left.until(lambda: window(left).records == 60)
            await right.until(lambda: window(right).records == 60)
            together = [counts(left), counts(right)]
            own = [list(each.keeper.partitions()) for each in (left, right)]
        async with made(written_again(log), state="alone") as alone:
            await alone.until(lambda: window(alone).records == 60)

        assert own == [[(0, True), (1, False)], [(0, False), (1, True)]]
        assert together[0] == together[1] == counts(alone)

    asyncio.run(flow())


def written_again(log: MemoryLog) -> MemoryLog:
    """Give the same events on topics of their own, with no offsets and no state."""
    other = two_partitions()
    for partition, records in enumerate(log.topics[EVENTS]):
        other.write(EVENTS, partition, *records)
    return other


def test_a_partition_that_moves_is_counted_on() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log, 0) as left, made(log, 1, state="two") as right:
            left.send_amounts(*range(20))
            await left.until(lambda: window(left).records == 20)
            await right.source.deal([])
            await left.source.deal([0, 1])
            left.send_amounts(*range(20, 40))
            await left.until(lambda: window(left).records == 40)
            await right.until(lambda: window(right).records == 40)

        assert counts(left) == counts(right)

    asyncio.run(flow())


def test_another_config_begins_empty_and_says_so() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as before:
            before.send_amounts(*range(50))
            await stored(before, log)
        other = {"monitors": {"pane": "30s", "windows": ["5m"]}}
        async with made(log, state="two", **other) as after:
            await after.until(lambda: after.sample(RESETS, reason="config") == 2)
            after.sent = 50
            after.send_amounts(1.0, 2.0)
            await stored(after, log)

        assert window(after).records == 2
        panes = {r.key: r.value for part in log.topics[STATE] for r in part}
        # Two panes and two marks of each monitor.
        assert sum(value is not None for value in panes.values()) == 8

    asyncio.run(flow())


RESETS = "sidecar_state_resets_total"


def test_a_damaged_record_begins_empty_and_says_so() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as before:
            before.send_amounts(*range(50))
            await stored(before, log)
        pane = next(r.key for r in log.read(STATE, 0) if r.key != b"drift/0")
        log.write(STATE, 0, Stored(pane, b"\xc1 damaged"))
        async with made(log, state="two") as after:
            await after.until(lambda: after.sample(RESETS, reason="damaged") == 1)
            after.sent = 50
            after.send_amounts(1.0, 2.0)
            await stored(after, log)
        async with made(log, state="three") as third:
            await third.until(lambda: window(third).records == 27)

        assert third.sample(RESETS, reason="damaged") == 0

    asyncio.run(flow())


def test_a_topic_that_was_made_anew_begins_empty() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as before:
            before.send_amounts(*range(50))
            await stored(before, log)
        log.create(EVENTS, 2)
        log.committed.clear()
        async with made(log, state="two") as after:
            after.send_amounts(1.0, 2.0)
            await after.until(lambda: window(after).records == 2)

        assert after.sample(RESETS, reason="topic") == 2

    asyncio.run(flow())


def test_a_former_owner_that_goes_on_storing_is_no_topic_that_was_made_anew() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as former:
            former.send_amounts(*range(50))
            await stored(former, log)
            source = Overtaken(log, (0, 1))

            async def overtaking() -> None:
                former.send_amounts(*range(50, 80))
                await stored(former, log)

            source.overtaking = overtaking
            async with running(source=source, topics=TOPICS, state="two") as after:
                await after.until(lambda: window(after).records == 80)

        assert after.sample(RESETS, reason="topic") == 0

    asyncio.run(flow())


def test_offsets_that_were_moved_ahead_leave_a_gap_that_is_counted() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as before:
            before.send_amounts(*range(50))
            await stored(before, log)
        before.send_amounts(*range(50, 70))
        log.committed[EVENTS, 1] = 32
        async with made(log, state="two") as after:
            await after.until(lambda: window(after).records == 63)

        assert after.sample("sidecar_state_gap_records_total") == 7

    asyncio.run(flow())


def test_what_a_frozen_process_stores_is_written_over() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as before:
            before.send_amounts(*range(20))
            await stored(before, log)
            stale = log.read(STATE, 0)
        async with made(log, state="two") as after:
            await after.until(lambda: not after.worker.flow.restoring)
            after.sent = 20
            after.send_amounts(*range(20, 50))
            await stored(after, log)
            end = len(log.topics[STATE][0])
            log.write(STATE, 0, *stale)
            await asyncio.sleep(0.1)
            after.send_amounts(50.0)
            await after.until(lambda: len(log.topics[STATE][0]) > end + len(stale))
            rewritten = {r.key for r in log.read(STATE, 0)[end + len(stale) :]}
        async with made(log, state="three") as third:
            await third.until(lambda: window(third).records == 51)

        assert rewritten >= {record.key for record in stale}

    asyncio.run(flow())


class Slow(MemorySource):
    """A member that reads no further than it may."""

    ceiling = 10

    def _take(self, max_records: int) -> RecordBatch | None:
        topic = self.log.topics[EVENTS]
        self.log.topics[EVENTS] = [partition[: self.ceiling] for partition in topic]
        try:
            return super()._take(max_records)
        finally:
            self.log.topics[EVENTS] = topic


def test_of_two_owners_at_once_neither_loses_what_the_other_counted() -> None:
    async def flow() -> None:
        log = two_partitions()
        slow = Slow(log, EVENTS)
        async with made(log, source=slow) as older:
            older.send_amounts(*range(20))
            await stored(older, log)
            older.send_amounts(*range(20, 60))
            async with made(log, state="two") as younger:
                await younger.until(lambda: log.committed[EVENTS, 1] == 30)
            # It is behind, does not know that it lost the partitions, and stores what it has.
            slow.ceiling = 15
            log.grown.set()
            await older.until(lambda: log.committed[EVENTS, 1] == 15)
            slow.ceiling = 30
            await slow.deal([0, 1])
            await older.until(lambda: log.committed[EVENTS, 1] == 30)
            await older.until(lambda: window(older).records == 60)

    asyncio.run(flow())


def test_a_missing_state_topic_stops_the_flow_says_so_and_heals() -> None:
    async def flow() -> None:
        log = written(MemoryLog(), 2, (DECISIONS, LETTERS))
        async with made(log) as sidecar:
            sidecar.send_amounts(1.0)
            await sidecar.until(lambda: "sink" in sidecar.health.troubles)
            (cause,) = sidecar.health.not_ready(needs_kafka=True)
            log.create(STATE, 2)
            await stored(sidecar, log)

        assert (cause.code, cause.message) == ("topic_missing", STATE)
        assert window(sidecar).records == 1

    asyncio.run(flow())


def test_while_state_is_restored_nothing_is_read_and_readiness_says_so() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            sidecar.source.faults["places"].append(SourceUnavailableError("no broker"))
            await sidecar.until(lambda: _code(sidecar) == "state_unavailable")
            sidecar.send_amounts(1.0)
            await stored(sidecar, log)

        assert _code(sidecar) is None
        assert window(sidecar).records == 1

    asyncio.run(flow())


def _code(sidecar: Sidecar) -> str | None:
    trouble = sidecar.health.troubles.get("state")
    return None if trouble is None else trouble.code


def test_a_broken_sink_costs_no_count() -> None:
    async def flow() -> None:
        log = two_partitions()
        sink = MemorySink(log, TOPICS)
        async with made(log, sink=sink) as sidecar:
            sidecar.send_amounts(*range(20))
            await sidecar.until(lambda: window(sidecar).records > 0)
            sink.fail()
            await stored(sidecar, log)
        async with made(log, state="two") as after:
            await after.until(lambda: window(after).records == 20)

        assert window(sidecar).records == 20

    asyncio.run(flow())


def test_what_nobody_foresaw_while_partitions_are_got_ready_ends_the_process() -> None:
    async def flow() -> None:
        log = two_partitions()
        source = MemorySource(log, EVENTS)
        source.faults["places"].append(RuntimeError("nobody foresaw this"))
        made = build(
            partitions=2,
            threshold=0.0,
            clock=None,
            topics=TOPICS,
            refuses=lambda *_: False,
            observers=(),
            source=source,
            state="one",
        )
        with pytest.raises(ExceptionGroup, match="TaskGroup"):
            async with asyncio.timeout(8):
                await made.worker.run()

    asyncio.run(flow())
