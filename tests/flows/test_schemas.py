"""Flow: records that name a schema wait for the registry, and nothing is lost meanwhile."""

import asyncio
import json

from sidecar.clock import Clock
from sidecar.errors import SinkUnavailableError
from sidecar.ports import PlainJson
from tests.fakes import MemoryRegistry
from tests.flows.harness import EVENTS, Sidecar, running
from tests.virtual_time import LoopClock, run_virtually

PAUSED = "sidecar_paused"
LOOKUPS = "sidecar_registry_lookups_total"


def named(schema_id: int, event_id: str, amount: float = 95.0) -> bytes:
    """An event in JSON, behind the prefix of a schema."""
    event = {"id": event_id, "features": {"amount": amount}}
    return b"\x00" + schema_id.to_bytes(4, "big") + json.dumps(event).encode()


def registry(*numbers: int) -> MemoryRegistry:
    return MemoryRegistry({number: PlainJson() for number in numbers})


def away(sidecar: Sidecar) -> bool:
    return "registry" in sidecar.health.troubles


def test_each_schema_is_asked_for_once() -> None:
    schemas = registry(1, 2)

    async def flow() -> None:
        async with running(registry=schemas, model={"max_batch_records": 3}) as sidecar:
            sidecar.send(*[named(1 + at % 2, f"e{at}") for at in range(50)])
            await sidecar.drained()

        assert set(sidecar.answers()) == {f"e{at}" for at in range(50)}
        assert sidecar.sample(LOOKUPS, outcome="found") == 2.0

    asyncio.run(flow())
    assert sorted(schemas.asked) == [1, 2]


def test_records_that_name_no_schema_ask_for_nothing() -> None:
    schemas = registry()
    schemas.leave()

    async def flow() -> None:
        async with running(registry=schemas) as sidecar:
            sidecar.send_amounts(95.0, 2.0)
            await sidecar.drained()

        assert set(sidecar.answers()) == {"e0", "e1"}

    asyncio.run(flow())
    assert schemas.asked == []


def test_a_registry_that_is_away_for_hours_costs_no_record() -> None:
    schemas = registry(1)
    schemas.leave()
    clock: Clock = LoopClock()

    async def flow() -> None:
        async with running(
            registry=schemas, clock=clock, partitions=2, delivery={"commit_interval": "1s"}
        ) as sidecar:
            sidecar.send(*[named(1, f"e{at}") for at in range(6)])
            await asyncio.sleep(3 * 3600)
            (cause,) = sidecar.health.not_ready(needs_kafka=True)
            beside_a_service = sidecar.health.not_ready(needs_kafka=False)
            waiting = (
                sidecar.answers(),
                sidecar.letters(),
                sidecar.sample(PAUSED, reason="registry"),
            )
            committed = dict(sidecar.log.committed)
            sidecar.send(named(1, "e6"), named(1, "e7"))
            schemas.come_back()
            await sidecar.until(lambda: len(sidecar.answers()) == 8, 60)
            await sidecar.drained()

        assert (cause.code, beside_a_service) == ("registry_unreachable", [])
        assert waiting == ({}, [], 1.0)
        assert set(committed.values()) == {0}
        assert len(sidecar.decisions()) == 8
        assert sidecar.letters() == []
        assert not away(sidecar)
        assert sidecar.sample(PAUSED, reason="registry") == 0.0
        assert sidecar.sample(LOOKUPS, outcome="unavailable") > 1_000
        assert sidecar.books() == (8.0, 8.0)

    run_virtually(flow())


def test_a_registry_that_never_answers_is_away() -> None:
    schemas = registry(1)
    schemas.hold()
    clock: Clock = LoopClock()

    async def flow() -> None:
        async with running(registry=schemas, clock=clock) as sidecar:
            sidecar.send(named(1, "e0"))
            await asyncio.sleep(60)
            (cause,) = sidecar.health.not_ready(needs_kafka=True)
            schemas.release()
            await sidecar.drained()

        assert cause.code == "registry_unreachable"
        assert "did not answer within 5s" in cause.message
        assert set(sidecar.answers()) == {"e0"}

    run_virtually(flow())


def test_a_schema_that_is_not_there_is_a_dead_letter_and_is_not_asked_for_each_time() -> None:
    schemas = registry(1)
    clock: Clock = LoopClock()

    async def flow() -> None:
        async with running(registry=schemas, clock=clock) as sidecar:
            sidecar.send(named(1, "e0"), named(9, "e1"), named(1, "e2"))
            await sidecar.drained()
            sidecar.send(named(9, "e3"))
            await sidecar.drained()
            soon = schemas.asked.count(9)
            schemas.schemas[9] = PlainJson()
            await asyncio.sleep(61)
            sidecar.send(named(9, "e4"))
            await sidecar.drained()

        assert sidecar.codes() == ["unknown_schema", "unknown_schema"]
        assert set(sidecar.answers()) == {"e0", "e2", "e4"}
        assert (soon, schemas.asked.count(9), schemas.asked.count(1)) == (1, 2, 1)

    run_virtually(flow())


def test_stop_does_not_wait_for_the_registry_and_commits_what_was_before() -> None:
    schemas = registry(1)

    async def flow() -> None:
        async with running(registry=schemas) as sidecar:
            sidecar.send(named(1, "e0"))
            await sidecar.drained()
            schemas.leave()
            sidecar.send(named(2, "e1"))
            await sidecar.until(lambda: away(sidecar))
            sidecar.worker.stop()
            async with asyncio.timeout(2):
                clean = await sidecar.ended

        assert not clean
        assert sidecar.log.committed[EVENTS, 0] == 1
        assert sidecar.letters() == []

    asyncio.run(flow())


def test_partitions_leave_at_once_while_a_batch_waits_for_the_registry() -> None:
    schemas = registry(1)
    schemas.leave()
    clock: Clock = LoopClock()

    async def flow() -> None:
        async with running(registry=schemas, clock=clock, partitions=2) as sidecar:
            sidecar.send(*[named(1, f"e{at}") for at in range(4)])
            await sidecar.until(lambda: away(sidecar))
            began = clock.monotonic()
            await sidecar.source.deal([0])
            took = clock.monotonic() - began
            await asyncio.sleep(30)
            still = sidecar.health.not_ready(needs_kafka=True)[0].code
            schemas.come_back()
            await sidecar.until(lambda: set(sidecar.answers()) == {"e0", "e2"}, 60)

        assert took < 1
        assert still == "registry_unreachable"
        assert sidecar.log.committed == {(EVENTS, 0): 2, (EVENTS, 1): 0}
        assert sidecar.sample("sidecar_records_returned_total") >= 2
        assert sidecar.books()[0] == sidecar.books()[1]

    run_virtually(flow())


def test_partitions_that_leave_wait_for_what_is_under_way_before_the_batch_that_waits() -> None:
    schemas = registry(1)
    clock: Clock = LoopClock()

    async def flow() -> None:
        async with running(registry=schemas, clock=clock) as sidecar:
            sidecar.sink.hold()
            sidecar.send(named(1, "e0"))
            await sidecar.until(lambda: schemas.asked == [1])
            schemas.leave()
            sidecar.send(named(2, "e1"))
            await sidecar.until(lambda: away(sidecar))
            leaving = asyncio.create_task(sidecar.source.deal([]))
            await asyncio.sleep(2)
            early = leaving.done()
            sidecar.sink.release()
            async with asyncio.timeout(2):
                await leaving

        assert not early
        assert sidecar.log.committed == {(EVENTS, 0): 1}
        assert set(sidecar.answers()) == {"e0"}

    run_virtually(flow())


def test_a_sink_that_breaks_while_a_batch_waits_loses_nothing() -> None:
    schemas = registry(1)
    clock: Clock = LoopClock()

    async def flow() -> None:
        async with running(registry=schemas, clock=clock) as sidecar:
            sidecar.sink.hold()
            sidecar.send(named(1, "e0"))
            await sidecar.until(lambda: schemas.asked == [1])
            schemas.leave()
            sidecar.send(named(2, "e1"), named(1, "e2"))
            await sidecar.until(lambda: away(sidecar))
            sidecar.sink.starts.append(SinkUnavailableError("broker_unreachable", "down"))
            sidecar.sink.fail()
            await asyncio.sleep(20)
            schemas.schemas[2] = PlainJson()
            schemas.come_back()
            await sidecar.until(lambda: set(sidecar.answers()) == {"e0", "e1", "e2"}, 60)
            await sidecar.drained()

        assert sidecar.letters() == []
        assert sidecar.books() == (3.0, 3.0)
        assert sidecar.log.committed == {(EVENTS, 0): 3}

    run_virtually(flow())
