"""Flow: brokers that answer nobody are noticed, also when no record is under way."""

import asyncio
from collections.abc import Mapping

from sidecar.errors import SourceUnavailableError
from sidecar.ports import Lag
from tests.fakes import MemoryLog, MemorySource
from tests.flows.harness import DECISIONS, EVENTS, LETTERS, running, written
from tests.virtual_time import LoopClock, run_virtually


class Mute(MemorySource):
    """A source whose client waits for brokers, as clients do: only the lag cannot be had."""

    silent = False

    async def lag(self) -> Mapping[int, Lag]:
        if self.silent:
            raise SourceUnavailableError("broker:9092: connection refused")
        return await super().lag()


def test_brokers_that_do_not_answer_are_the_reason_until_they_do() -> None:
    async def flow() -> None:
        source = Mute(written(MemoryLog(), 1, (DECISIONS, LETTERS)), EVENTS)
        async with running(source=source, clock=LoopClock()) as sidecar:
            sidecar.send_amounts(95.0)
            await sidecar.drained()
            source.silent = True
            await asyncio.sleep(5.0)
            causes = sidecar.health.not_ready(needs_kafka=True)
            beside_a_service = sidecar.health.not_ready(needs_kafka=False)
            source.silent = False
            await asyncio.sleep(5.0)
            after = sidecar.health.not_ready(needs_kafka=True)

        assert [(cause.code, cause.message) for cause in causes] == [
            ("kafka_unreachable", "broker:9092: connection refused")
        ]
        assert beside_a_service == []
        assert after == []
        assert sidecar.sink.started == 1

    run_virtually(flow())
