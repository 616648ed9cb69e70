"""Unit: getting the source and the sink going."""

import asyncio
import random

from sidecar.errors import SinkUnavailableError
from sidecar.runtime.flow import Flow
from sidecar.runtime.health import Health, State
from sidecar.runtime.offsets import OffsetTracker
from sidecar.runtime.recovery import Recovery
from sidecar.telemetry.metrics import Metrics
from tests.fakes import FakeClock, MemoryLog, MemorySink, MemorySource
from tests.telemetry_samples import MODEL


class _NeverUp(MemorySink):
    """Fails before it waits for anything, as a sink does whose password file is missing."""

    async def start(self) -> None:
        raise SinkUnavailableError("authentication_failed", "no such file")


def recovery(sink: MemorySink, stopping: asyncio.Event) -> Recovery:
    source, tracker = MemorySource(MemoryLog(), "events"), OffsetTracker()
    return Recovery(
        source=source,
        sink=sink,
        tracker=tracker,
        flow=Flow(source, tracker, 100),
        health=Health(State.READY),
        metrics=Metrics(FakeClock(), topic="events", model=MODEL, rules=[], observers=[]),
        jitter=random.Random(1),
        stopping=stopping,
    )


class _Unused:
    async def assigned(self, partitions: object) -> None:
        raise AssertionError("the sink never starts, so nothing is assigned")

    async def revoked(self, partitions: object) -> None:
        raise AssertionError("nothing was assigned")


async def test_a_stop_ends_the_tries_of_a_sink_that_fails_at_once() -> None:
    stopping = asyncio.Event()
    stopping.set()

    async with asyncio.timeout(5):
        connected = await recovery(_NeverUp(MemoryLog(), []), stopping).connect(_Unused())

    assert not connected
