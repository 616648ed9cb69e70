"""The three hottest parts, timed: `make bench-kernels`. As tests they run once, untimed."""

import asyncio
from itertools import takewhile

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from loadtests.bundle import build_bundle
from loadtests.stages import Line, line, wire_batches
from tests.fakes import Stored
from tests.flows.harness import DECISIONS, EVENTS, running

pytestmark = pytest.mark.bench

BATCH_EVENTS = 4_096
ROUNDS = 40


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The stages of a service."""
    return line(build_bundle(tmp_path_factory.mktemp("bundle")))


def test_decode_of_a_batch(benchmark: BenchmarkFixture, stages: Line) -> None:
    stages.wire = next(wire_batches(BATCH_EVENTS, 1))
    stages.read()

    benchmark(stages.decode)

    assert len(stages.decoded.events) == len(stages.records)
    assert not stages.decoded.rejections


def test_update_of_the_observers(benchmark: BenchmarkFixture, stages: Line) -> None:
    batches = wire_batches(BATCH_EVENTS, ROUNDS)

    def decided() -> None:
        stages.wire = next(batches)
        for stage in takewhile(lambda stage: stage != stages.observe, stages.stages):
            stage()

    benchmark.pedantic(stages.observe, setup=decided, rounds=ROUNDS)  # type: ignore[no-untyped-call]

    rounds = ROUNDS if benchmark.enabled else 1
    longest = stages.parts.drift.snapshot().windows[-1]
    assert longest.records == rounds * BATCH_EVENTS


def test_a_batch_through_the_worker(benchmark: BenchmarkFixture) -> None:
    """From bytes on a log in memory to bytes on another: all but Kafka and the real model."""
    event = b'{"id":"e%d","features":{"amount":%d.5}}'
    batch = [Stored(b"k", event % (at, at % 100)) for at in range(BATCH_EVENTS)]

    with asyncio.Runner() as runner:
        context = running()
        sidecar = runner.run(context.__aenter__())

        async def through() -> None:
            sidecar.log.write(EVENTS, 0, *batch)
            sidecar.sent += len(batch)
            await sidecar.drained()

        benchmark(lambda: runner.run(through()))
        runner.run(context.__aexit__(None, None, None))

    assert sidecar.sent
    assert len(sidecar.log.values(DECISIONS)) == sidecar.sent
