"""The three hottest parts, timed: `make bench-kernels`. As tests they run once, untimed."""

import asyncio

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from loadtests.bundle import build_bundle
from loadtests.stages import Line, line, wire_batches
from tests.fakes import Stored
from tests.flows.harness import DECISIONS, EVENTS, running

pytestmark = pytest.mark.bench

BATCH_EVENTS = 4_096


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The stages of a service, with a batch that is decoded, scored and decided."""
    made = line(build_bundle(tmp_path_factory.mktemp("bundle")))
    made.wire = next(wire_batches())
    for stage in made.stages:
        stage()
    return made


def test_decode_of_a_batch(benchmark: BenchmarkFixture, stages: Line) -> None:
    benchmark(stages.decode)

    assert len(stages.decoded.events) == len(stages.records)
    assert not stages.decoded.rejections


def test_update_of_the_observers(benchmark: BenchmarkFixture, stages: Line) -> None:
    benchmark(stages.observe)

    # The same second of event time again and again, which no window has left behind.
    counted = [window.records for window in stages.parts.drift.snapshot().windows]
    assert counted
    assert all(records > 0 and records % len(stages.records) == 0 for records in counted)


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
