"""Flow: nothing is lost and nothing is committed too early, whatever fails."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence

from sidecar.errors import OwnershipLostError, SinkUnavailableError, SourceUnavailableError
from sidecar.events import DecisionBatch, Rejection
from tests.flows.harness import DECISIONS, EVENTS, LETTERS, running


def test_nothing_is_committed_before_it_is_acknowledged() -> None:
    async def flow() -> None:
        async with running() as sidecar:
            sidecar.send_amounts(95.0)
            await sidecar.drained()
            await sidecar.until(lambda: sidecar.log.committed.get((EVENTS, 0)) == 1)
            sidecar.sink.hold()
            sidecar.send_amounts(94.0, 93.0)
            await asyncio.sleep(0.1)
            before = sidecar.log.committed[EVENTS, 0]
            sidecar.sink.release()
            await sidecar.drained()

        assert before == 1
        assert sidecar.log.committed[EVENTS, 0] == 3

    asyncio.run(flow())


def test_a_broken_sink_is_rebuilt_and_everything_goes_again() -> None:
    async def flow() -> None:
        async with running() as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(*range(1, 11))
            await asyncio.sleep(0.05)
            sidecar.sink.starts.append(SinkUnavailableError("broker_unreachable", "still down"))
            sidecar.sink.fail()
            await sidecar.drained()
            await sidecar.until(lambda: "sink" not in sidecar.health.troubles)

        assert set(sidecar.answers()) == {f"e{at}" for at in range(10)}
        assert sidecar.books() == (10.0, 10.0)
        assert sidecar.sink.started == 2

    asyncio.run(flow())


def test_a_missing_output_topic_stops_the_flow_says_so_and_heals() -> None:
    async def flow() -> None:
        async with running(topics=(LETTERS,)) as sidecar:
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: "sink" in sidecar.health.troubles)
            (cause,) = sidecar.health.not_ready(needs_kafka=True)
            sidecar.log.create(DECISIONS)
            await sidecar.drained()

        assert cause.code == "topic_missing"
        assert set(sidecar.answers()) == {"e0"}

    asyncio.run(flow())


def test_a_refused_decision_becomes_a_dead_letter_of_its_event() -> None:
    def refuses(topic: str, key: bytes | None, _value: bytes | None) -> bool:
        return topic == DECISIONS and key == b"bad"

    async def flow() -> None:
        async with running(refuses=refuses) as sidecar:
            sidecar.send_amounts(95.0)
            sidecar.send({"id": "b", "features": {"amount": 1.0}}, key=b"bad")
            sidecar.send_amounts(94.0)
            await sidecar.drained()

        assert set(sidecar.answers()) == {"e0", "e2"}
        assert (sidecar.codes(), sidecar.letters()[0].key) == (["output_refused"], b"bad")
        assert sidecar.books() == (3.0, 3.0)

    asyncio.run(flow())


def test_a_refused_dead_letter_becomes_a_stub() -> None:
    async def flow() -> None:
        async with running(refuses=lambda topic, key, _: key == b"bad") as sidecar:
            sidecar.send(b"{", key=b"bad")
            await sidecar.drained()

        (stub,) = sidecar.letters()
        headers = dict(stub.headers)
        assert stub.key is None
        assert headers["sidecar.error.offset"] == b"0"
        assert sidecar.books() == (1.0, 1.0)

    asyncio.run(flow())


def test_a_broken_source_is_joined_again() -> None:
    async def flow() -> None:
        async with running() as sidecar:
            sidecar.send_amounts(95.0)
            await sidecar.drained()
            sidecar.source.faults["start"].append(SourceUnavailableError("no broker"))
            sidecar.source.faults["poll"].append(SourceUnavailableError("client broke"))
            await sidecar.until(lambda: not sidecar.source.faults["start"])
            sidecar.send_amounts(94.0)
            await sidecar.until(lambda: "e1" in sidecar.answers())

        assert Counter(d["event_id"] for d in sidecar.decisions())["e1"] == 1

    asyncio.run(flow())


def test_a_refused_commit_does_no_harm() -> None:
    async def flow() -> None:
        async with running() as sidecar:
            sidecar.source.faults["commit"].append(OwnershipLostError("rebalancing"))
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: sidecar.log.committed.get((EVENTS, 0)) == 1)

        assert sidecar.sample("sidecar_commit_failures_total") == 1.0

    asyncio.run(flow())


def test_partitions_that_leave_are_finished_and_committed_first() -> None:
    async def flow() -> None:
        async with running(partitions=2) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(*range(1, 21))
            await asyncio.sleep(0.05)
            leaving = asyncio.create_task(sidecar.source.deal([0]))
            await asyncio.sleep(0.02)
            sidecar.sink.release()
            await leaving

            assert sidecar.log.committed[EVENTS, 1] == 10
            assert sidecar.worker.tracker.partitions == {0}

        assert Counter(d["event_id"] for d in sidecar.decisions()).most_common(1)[0][1] == 1

    asyncio.run(flow())


def test_a_full_partition_is_paused_and_goes_on() -> None:
    async def flow() -> None:
        limits = {"in_flight_records": 4}
        async with running(limits=limits, model={"max_batch_records": 2}) as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(*range(1, 31))
            await sidecar.until(lambda: bool(sidecar.worker.flow.paused))
            in_flight = sidecar.worker.tracker.in_flight()
            sidecar.sink.release()
            await sidecar.drained()

        assert in_flight <= 6
        assert len(sidecar.decisions()) == 30

    asyncio.run(flow())


def test_too_many_dead_letters_pause_the_intake_and_lose_nothing() -> None:
    async def flow() -> None:
        limits = {"dead_letter_pause": "100ms"}
        async with running(limits=limits, model={"max_batch_records": 50}) as sidecar:
            sidecar.send(*[b"{"] * 300)
            await sidecar.until(lambda: "dead_letters" in sidecar.health.troubles)
            paused_at = len(sidecar.letters())
            cause = sidecar.health.not_ready(needs_kafka=True)[0].code
            alone = sidecar.health.not_ready(needs_kafka=False)
            await sidecar.drained()

        assert (cause, alone) == ("dead_letter_share", [])
        assert (paused_at < 300, len(sidecar.letters())) == (True, 300)
        assert sidecar.books() == (300.0, 300.0)

    asyncio.run(flow())


def test_stop_finishes_what_is_in_flight() -> None:
    async def flow() -> None:
        async with running() as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(95.0, 94.0)
            await sidecar.until(lambda: sidecar.worker.tracker.in_flight() == 2)
            sidecar.worker.stop()
            await asyncio.sleep(0.02)
            sidecar.sink.release()
            clean = await sidecar.ended

        assert clean
        assert sidecar.log.committed[EVENTS, 0] == 2

    asyncio.run(flow())


def test_stop_with_a_dead_sink_ends_and_says_that_something_is_left() -> None:
    async def flow() -> None:
        async with running() as sidecar:
            sidecar.sink.hold()
            sidecar.send_amounts(95.0)
            await sidecar.until(lambda: sidecar.worker.tracker.in_flight() == 1)
            sidecar.sink.starts.extend(
                [SinkUnavailableError("broker_unreachable", "down")] * 99
            )
            sidecar.sink.fail()
            await sidecar.until(lambda: "sink" in sidecar.health.troubles)
            sidecar.worker.stop()
            clean = await sidecar.ended

        assert not clean
        assert sidecar.log.committed == {(EVENTS, 0): 0}

    asyncio.run(flow())


class _Broken:
    name = "broken"

    def observe(self, _decisions: DecisionBatch, _rejections: Sequence[Rejection]) -> None:
        raise RuntimeError("a bug")

    def revoked(self, _partitions: Collection[int]) -> None:
        return None

    def released(self, _partitions: Collection[int]) -> None:
        return None


def test_an_observer_that_raises_is_switched_off_and_changes_no_output_byte() -> None:
    async def flow(*observers: _Broken) -> tuple[list[bytes | None], float]:
        async with running(observers=observers) as sidecar:
            sidecar.send_amounts(*range(1, 40))
            await sidecar.drained()
        failures = sidecar.sample("sidecar_observer_failures_total", observer="broken")
        return list(sidecar.log.values(DECISIONS)), failures

    plain, _ = asyncio.run(flow())
    watched, failures = asyncio.run(flow(_Broken()))

    assert watched == plain
    assert failures == 1.0
