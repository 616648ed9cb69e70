"""Unit: runtime.schemas: what is asked, what is kept, and for how long."""

import asyncio
from typing import Any

import pytest

from sidecar.config.settings import RegistrySettings
from sidecar.config.values import Duration
from sidecar.errors import RegistryUnavailableError
from sidecar.ports import PlainJson, UnknownSchema
from sidecar.runtime.schemas import SchemaBook
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.status import ModelView
from tests.event_samples import encoded, event, records
from tests.fakes import FakeClock, MemoryRegistry

MODEL = ModelView(name="credit", version="7", digest="0" * 64, task="binary")


def named(*numbers: int) -> list[bytes]:
    return [b"\x00" + number.to_bytes(4, "big") + b"{}" for number in numbers]


def book(registry: MemoryRegistry, clock: FakeClock, **settings: Any) -> SchemaBook:
    of = RegistrySettings(url="http://registry:8081", unknown_for=Duration(60_000), **settings)
    return SchemaBook(registry, of, clock, Metrics(clock, topic="events", model=MODEL))


async def test_a_batch_gets_the_schemas_that_it_names() -> None:
    registry = MemoryRegistry({1: PlainJson()})
    of = book(registry, FakeClock())

    found = await of.of(records(*named(1, 2, 1), encoded(event()), None))

    assert found == {1: PlainJson(), 2: UnknownSchema("not there")}
    assert sorted(registry.asked) == [1, 2]


async def test_what_is_known_is_kept_for_good_and_what_is_not_for_a_while() -> None:
    registry, clock = MemoryRegistry({1: PlainJson()}), FakeClock()
    of = book(registry, clock)

    for passed in (0, 59, 1, 10_000):
        clock.advance(passed)
        await of.of(records(*named(1, 2)))

    assert (registry.asked.count(1), registry.asked.count(2)) == (1, 3)


async def test_the_least_recently_used_is_forgotten_first() -> None:
    registry = MemoryRegistry({number: PlainJson() for number in range(5)})
    of = book(registry, FakeClock(), max_schemas=2)

    for number in (0, 1, 0, 2, 0, 1):
        await of.of(records(*named(number)))

    assert registry.asked == [0, 1, 2, 1]


async def test_a_batch_may_name_more_schemas_than_are_kept() -> None:
    registry = MemoryRegistry({number: PlainJson() for number in range(9)})

    found = await book(registry, FakeClock(), max_schemas=2).of(records(*named(*range(9))))

    assert found.keys() == set(range(9))


async def test_no_more_questions_at_a_time_than_allowed() -> None:
    registry = MemoryRegistry({})
    registry.hold()

    asking = asyncio.create_task(
        book(registry, FakeClock(), parallel=3).of(records(*named(*range(9))))
    )
    await asyncio.sleep(0.01)
    at_once = len(registry.asked)
    registry.release()

    assert (at_once, len(await asking)) == (3, 9)


async def test_after_a_failure_only_the_rest_is_asked_for() -> None:
    registry = MemoryRegistry({1: PlainJson(), 2: PlainJson()})
    of = book(registry, FakeClock(), parallel=1)
    await of.of(records(*named(1)))
    registry.leave()

    with pytest.raises(RegistryUnavailableError):
        await of.of(records(*named(1, 2)))
    registry.come_back()
    await of.of(records(*named(1, 2)))

    assert registry.asked == [1, 2, 2]
