"""Flow: what the tasks of the worker may do to one another, one meeting at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import pytest

from sidecar.errors import (
    OffsetOrderError,
    SinkUnavailableError,
    SourceUnavailableError,
    StalledError,
)
from sidecar.events import OutboundBatch, RecordBatch, Refusal
from sidecar.ports import Lag, PartitionListener, Place
from tests.fakes import MemoryLog, MemorySink, MemorySource
from tests.flows.harness import DECISIONS, EVENTS, LETTERS, STATE, Sidecar, running, written
from tests.virtual_time import LoopClock, run_virtually

ONE_BY_ONE = {"max_batch_records": 1, "linger": "0s"}
HOUR_S = 3_600.0


def once(flow: Callable[[], Awaitable[None]]) -> None:
    """Run a flow in virtual time."""

    async def main() -> None:
        await flow()

    run_virtually(main())


def seconds() -> float:
    return asyncio.get_running_loop().time()


def source(partitions: int = 1) -> MemorySource:
    return MemorySource(written(MemoryLog(), partitions, (DECISIONS, LETTERS)), EVENTS)


def first_answers(sidecar: Sidecar) -> list[str]:
    """Give the decided events in the order of their first decision."""
    return list(dict.fromkeys(decision["event_id"] for decision in sidecar.decisions()))


# --- a sink that breaks ----------------------------------------------------------------------


def test_a_batch_that_was_in_the_model_does_not_overtake_the_one_that_failed() -> None:
    async def flow() -> None:
        async with running(model=ONE_BY_ONE, clock=LoopClock()) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: sidecar.scorer.calls == [1])
            thought = asyncio.Event()
            sidecar.scorer.thinks = thought.wait
            sidecar.send_amounts(94.0)
            await sidecar.until(lambda: sidecar.scorer.calls == [1, 1])
            sidecar.sink.fail()
            await sidecar.until(lambda: sidecar.sink.started == 2)
            thought.set()
            await sidecar.drained()

        assert first_answers(sidecar) == ["e0", "e1"]

    once(flow)


def test_going_back_forgets_answers_that_lie_ahead() -> None:
    async def flow() -> None:
        fallback = {"cache": {"max_age": "10m"}}
        async with running(threshold=0.9, fallback=fallback, clock=LoopClock()) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(55.0, 99.0)
            await sidecar.until(lambda: sidecar.scorer.calls == [2])
            sidecar.sink.fail()
            await sidecar.drained()

        assert sidecar.answers()["e0"] == ("default", "low_confidence", None)

    once(flow)


class _Counted(MemorySink):
    """Counts its starts over time, each of which takes a moment."""

    async def start(self) -> None:
        await asyncio.sleep(0.001)
        await super().start()


def test_a_sink_that_starts_and_takes_nothing_is_rebuilt_at_a_slow_pace() -> None:
    async def flow() -> None:
        reads = source()
        sink = _Counted(reads.log, (DECISIONS, LETTERS), refuses=lambda *_: True)
        async with running(source=reads, sink=sink, clock=LoopClock()) as sidecar:
            sidecar.send_amounts(95.0)
            await asyncio.sleep(60.0)
            sidecar.worker.stop()

            assert sink.started < 30
            assert not await sidecar.ended

    once(flow)


def test_a_sink_that_is_away_for_hours_is_no_stalled_source() -> None:
    async def flow() -> None:
        async with running(clock=LoopClock()) as sidecar:
            sidecar.sink.starts.extend([SinkUnavailableError("broker_unreachable", "")] * 9_999)
            sidecar.sink.fail()
            sidecar.send_amounts(*range(1, 11))
            await asyncio.sleep(3 * HOUR_S)
            sidecar.sink.starts.clear()
            await sidecar.drained()

        assert len(first_answers(sidecar)) == 10

    once(flow)


# --- partitions that leave -------------------------------------------------------------------


def test_a_revocation_does_not_wait_for_a_batch_that_the_sink_did_not_take() -> None:
    async def flow() -> None:
        async with running(clock=LoopClock()) as sidecar:
            thought = asyncio.Event()
            sidecar.scorer.thinks = thought.wait
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: sidecar.scorer.calls == [1])
            leaving = asyncio.create_task(sidecar.source.deal([]))
            sidecar.sink.fail()
            began = seconds()
            thought.set()
            await leaving
            took = seconds() - began
            await sidecar.source.deal([0])
            await sidecar.drained()

        assert took < 1.0
        assert first_answers(sidecar) == ["e0"]

    once(flow)


def test_a_full_partition_hands_out_nothing_more_while_it_is_revoked() -> None:
    async def flow() -> None:
        limits = {"in_flight_records": 4}
        async with running(model=ONE_BY_ONE, limits=limits, clock=LoopClock()) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(*range(1, 31))
            await sidecar.until(lambda: sidecar.worker.flow.paused == {0})
            read = sidecar.worker.tracker.in_flight()
            leaving = asyncio.create_task(sidecar.source.deal([]))
            await asyncio.sleep(0.01)
            sidecar.sink.release()
            await leaving

            assert sidecar.log.committed[EVENTS, 0] == read
            await sidecar.source.deal([0])
            await sidecar.drained()

    once(flow)


def test_a_revocation_of_a_broken_client_leaves_the_next_share_alone() -> None:
    async def flow() -> None:
        async with running(model=ONE_BY_ONE, clock=LoopClock()) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: sidecar.worker.tracker.in_flight() == 1)
            listener = sidecar.source._listener
            leaving = asyncio.create_task(listener.revoked({0}))
            sidecar.source.faults["poll"].append(SourceUnavailableError("the client broke"))
            await sidecar.until(lambda: sidecar.sample("sidecar_rebalances_total") == 2)
            await leaving
            sidecar.sink.release()
            sidecar.send_amounts(94.0)
            await sidecar.drained()

        assert first_answers(sidecar) == ["e0", "e1"]

    once(flow)


class _LateStart(MemorySource):
    """Gets partitions, and then finds that it did not join after all; the second time less."""

    shares: Sequence[Collection[int]] = ()

    async def start(self, listener: PartitionListener) -> None:
        self._listener = listener
        share, *self.shares = self.shares
        await self.deal(share)
        if self.shares:
            await self.close(0.0)
            self.faults["start"].append(SourceUnavailableError("the group did not answer"))
            self._fail("start")


def test_a_share_that_was_never_revoked_is_gone_with_the_next_one() -> None:
    async def flow() -> None:
        late = _LateStart(written(MemoryLog(), 2, (DECISIONS, LETTERS)), EVENTS)
        late.shares = [{0, 1}, {0}]
        async with running(source=late, clock=LoopClock()) as sidecar:
            await sidecar.until(lambda: not late.shares)
            await asyncio.sleep(0.1)

            assert sidecar.worker.tracker.partitions == {0}

    once(flow)


# --- a source that is silent, breaks, or gives what it should not ---------------------------


class _Silent(MemorySource):
    """Says that there are records and hands out none."""

    unreachable = False

    async def lag(self) -> Mapping[int, Lag]:
        if self.unreachable:
            raise SourceUnavailableError("connection refused")
        return await super().lag()

    async def poll(self, max_records: int, timeout_s: float) -> RecordBatch | None:
        self._alive()
        await asyncio.sleep(timeout_s)
        self._alive()
        return None


def test_a_silent_source_is_built_anew_once_and_then_ends_the_process() -> None:
    async def flow() -> None:
        silent = _Silent(written(MemoryLog(), 1, (DECISIONS, LETTERS)), EVENTS)
        with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012  raised at the end of the block
            async with running(source=silent, clock=LoopClock()) as sidecar:
                sidecar.send_amounts(95.0)
                await asyncio.wait((sidecar.ended,), timeout=HOUR_S)

        assert raised.group_contains(StalledError)
        assert sidecar.sample("sidecar_rebalances_total") == 2.0

    once(flow)


def test_brokers_that_are_away_for_hours_are_no_stalled_source() -> None:
    async def flow() -> None:
        silent = _Silent(written(MemoryLog(), 1, (DECISIONS, LETTERS)), EVENTS)
        seldom = {"commit_interval": "1s"}
        async with running(source=silent, clock=LoopClock(), delivery=seldom) as sidecar:
            sidecar.send_amounts(95.0)
            await asyncio.sleep(60.0)
            silent.unreachable = True
            await asyncio.sleep(3 * HOUR_S)

        assert sidecar.sample("sidecar_rebalances_total") == 1.0

    once(flow)


def test_a_rebalance_that_takes_long_is_no_stalled_source() -> None:
    class Slow(MemorySource):
        async def deal(self, partitions: Collection[int]) -> None:
            assert self._listener is not None
            if self._positions:
                await self._listener.revoked(set(self._positions))
                await asyncio.sleep(600.0)
            self._positions.clear()
            await super().deal(partitions)

    async def flow() -> None:
        slow = Slow(written(MemoryLog(), 1, (DECISIONS, LETTERS)), EVENTS)
        async with running(source=slow, clock=LoopClock()) as sidecar:
            await asyncio.sleep(1.0)
            leaving = asyncio.create_task(slow.deal([0]))
            await asyncio.sleep(1.0)
            sidecar.send_amounts(95.0)
            await leaving
            await sidecar.drained()

        assert sidecar.sample("sidecar_rebalances_total") == 2.0

    once(flow)


def test_stop_while_the_source_is_away_says_what_was_left() -> None:
    async def flow() -> None:
        async with running(clock=LoopClock()) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: sidecar.worker.tracker.in_flight() == 1)
            sidecar.source.faults["start"].extend([SourceUnavailableError("no broker")] * 99)
            sidecar.source.faults["poll"].append(SourceUnavailableError("the client broke"))
            await sidecar.until(lambda: "source" in sidecar.health.troubles)
            sidecar.sink.release()
            sidecar.worker.stop()

            assert not await sidecar.ended

    once(flow)


class _Repeating(MemorySource):
    """Hands out its first record again and again."""

    async def poll(self, max_records: int, timeout_s: float) -> RecordBatch | None:
        self._positions.update(dict.fromkeys(self._positions, 0))
        return await super().poll(max_records, timeout_s)


def test_a_fatal_error_in_one_task_ends_all_of_them_and_commits_nothing_more() -> None:
    async def flow() -> None:
        repeating = _Repeating(written(MemoryLog(), 1, (DECISIONS, LETTERS)), EVENTS)
        with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012  raised at the end of the block
            async with running(
                source=repeating, model=ONE_BY_ONE, clock=LoopClock()
            ) as sidecar:
                sidecar.sink.hold()
                sidecar.send_amounts(95.0)
                await asyncio.wait((sidecar.ended,))

        assert raised.group_contains(OffsetOrderError)
        assert repeating.log.committed == {(EVENTS, 0): 0}
        sidecar.sink.release()
        await sidecar.sink.close(1.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    once(flow)


class _Hasty(MemorySource):
    """Hands out the records behind those that have to be read again."""

    async def rewind(self, partitions: Collection[int], positions: Mapping[int, int]) -> None:
        return None


def test_records_that_should_come_again_and_do_not_end_the_process() -> None:
    async def flow() -> None:
        hasty = _Hasty(written(MemoryLog(), 1, (DECISIONS, LETTERS)), EVENTS)
        with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012  raised at the end of the block
            async with running(source=hasty, model=ONE_BY_ONE, clock=LoopClock()) as sidecar:
                sidecar.sink.hold()
                sidecar.send_amounts(95.0)
                await sidecar.until(lambda: sidecar.scorer.calls == [1])
                sidecar.sink.fail()
                await sidecar.until(lambda: sidecar.sink.started == 2)
                sidecar.send_amounts(94.0)
                await asyncio.wait((sidecar.ended,), timeout=10.0)

        assert raised.group_contains(OffsetOrderError)
        assert hasty.log.committed == {(EVENTS, 0): 0}

    once(flow)


class _Ignorant(MemorySource):
    """Hands out records of paused partitions, as a client may with what it has already."""

    def pause(self, partitions: Collection[int]) -> None:
        return None


def test_records_that_come_before_the_source_went_back_do_not_count() -> None:
    async def flow() -> None:
        ignorant = _Ignorant(written(MemoryLog(), 1, (DECISIONS, LETTERS)), EVENTS)
        async with running(source=ignorant, model=ONE_BY_ONE, clock=LoopClock()) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: sidecar.scorer.calls == [1])
            sidecar.sink.starts.append(SinkUnavailableError("broker_unreachable", "down"))
            sidecar.sink.fail()
            await sidecar.until(lambda: "sink" in sidecar.health.troubles)
            sidecar.send_amounts(94.0, 93.0)
            await sidecar.drained()

        assert first_answers(sidecar) == ["e0", "e1", "e2"]
        assert sidecar.books() == (3.0, 3.0)

    once(flow)


# --- an end at any moment --------------------------------------------------------------------


def test_a_cancelled_worker_ends_although_the_source_takes_long_to_give_up() -> None:
    async def flow() -> None:
        async with running(clock=LoopClock()) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: sidecar.scorer.calls == [1])
            sidecar.source.faults["poll"].append(SourceUnavailableError("the client broke"))
            sidecar.source.start = _tenacious
            await sidecar.until(lambda: "source" in sidecar.health.troubles)
            sidecar.worker.stop()
            await asyncio.sleep(1.0)
            sidecar.ended.cancel()
            done, _ = await asyncio.wait((sidecar.ended,), timeout=10.0)

            assert done

    with pytest.raises(asyncio.CancelledError):
        once(flow)


async def _tenacious(_listener: PartitionListener) -> None:
    try:
        await asyncio.sleep(HOUR_S)
    finally:
        await asyncio.sleep(5.0)


# --- too many dead letters -------------------------------------------------------------------


class _Paced(MemorySink):
    """Delivers batches one by one, each after the next of some delays."""

    delays: Sequence[float] = ()
    line: asyncio.Lock

    async def _deliver(self, batch: OutboundBatch) -> Sequence[Refusal]:
        async with self.line:
            delay, *self.delays = self.delays or [0.0]
            await asyncio.sleep(delay)
            return await super()._deliver(batch)


def test_a_pause_for_dead_letters_is_not_cut_short_by_an_earlier_one() -> None:
    async def flow() -> None:
        reads = source()
        sink = _Paced(reads.log, (DECISIONS, LETTERS))
        sink.line = asyncio.Lock()
        sink.delays = [3.0, 2.0, 1.0, 0.5]
        async with running(
            source=reads,
            sink=sink,
            clock=LoopClock(),
            model={"max_batch_records": 100},
            limits={"dead_letter_pause": "10s", "in_flight_records": 200},
        ) as sidecar:
            sidecar.send(*[b"{"] * 500)
            await sidecar.until(lambda: len(sidecar.letters()) >= 300, timeout_s=60.0)
            paused_s = seconds()
            await sidecar.until(lambda: not sidecar.worker.flow.holds, timeout_s=60.0)

            assert seconds() - paused_s > 9.0

    once(flow)


class _Unanswering(MemorySource):
    """Tells nobody where partitions stand, until it is built anew."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log, EVENTS)
        self.starts = 0

    async def start(self, listener: PartitionListener) -> None:
        self.starts += 1
        await super().start(listener)

    async def places(self, partitions: Collection[int]) -> Mapping[int, Place]:
        if self.starts == 1:
            await asyncio.sleep(5.0)
            raise SourceUnavailableError("the client did not answer")
        return await super().places(partitions)


def test_a_source_that_does_not_say_where_partitions_stand_is_built_anew() -> None:
    async def flow() -> None:
        source = _Unanswering(written(MemoryLog(), 1, (DECISIONS, LETTERS, STATE)))
        async with running(source=source, state="one", clock=LoopClock()) as sidecar:
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: len(sidecar.decisions()) == 1, 120.0)

        assert source.starts == 2

    once(flow)


def test_many_records_bring_a_commit_forward_but_not_more_than_four_a_second() -> None:
    async def flow() -> None:
        seldom = {"commit_interval": "1h"}
        async with running(clock=LoopClock(), delivery=seldom) as sidecar:
            committed = []
            for _ in range(3):
                sidecar.send_amounts(*[95.0] * 6_000)
                await asyncio.sleep(0.01)
                committed.append(sidecar.log.committed.get((EVENTS, 0)))
                await asyncio.sleep(0.29)
                committed.append(sidecar.log.committed.get((EVENTS, 0)))

        assert committed == [0, 6_000, 6_000, 12_000, 12_000, 18_000]

    once(flow)
