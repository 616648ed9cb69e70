"""One run of one contestant, measured from outside in its steady state."""

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from loadtests import data
from loadtests.contestants import Contestant
from loadtests.processes import ProcessTree, Usage
from loadtests.scrapes import UNSEEN, Scrape, scrape
from loadtests.topics import PARTITIONS, Topics
from sidecar.clock import SystemClock

_CLOCK = SystemClock()
_SAMPLE_S = 0.2
_SCRAPE_S = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What every run of a race has in common."""

    events: str
    """Topic with the records to read."""
    records: int
    """How many it has."""
    model: Path
    bundle: Path
    logs: Path
    """Folder for what the contestants print."""
    warm_up: float = 0.2
    """Share of the records before the measured part."""
    last: float = 0.95
    """Share of the records at which the measured part ends."""
    longest_s: float = 120.0
    """Time after which a run is ended, however far it came."""
    partitions: int = PARTITIONS
    """Of every topic."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a running contestant."""

    at_s: float
    written: int
    usage: Usage
    stages_s: Mapping[str, float]
    """Its own stage timers, when it is scraped."""
    scrape: Scrape = UNSEEN
    """What else its metrics said."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one run cost."""

    contestant: str
    events: int
    """Records written in the measured part."""
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    written: int
    """Records written in the whole run; the same as were read, when it finished."""
    exit_code: int
    stages_us: Mapping[str, float]
    """Wall microseconds per event by stage, from the contestant's own timers."""
    late_in_run: float = 1.0
    """Throughput per CPU of the last third of the measured part, over that of the first."""
    loop_lag_ms: float = 0.0
    """Longest delay of its event loop, by its own gauge."""
    scrape_ms: float = 0.0
    """Longest scrape, from outside."""
    answers: Mapping[str, float] = field(default_factory=dict)
    """Share of each reason and of each code of rejection, by its own counters."""

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU per event."""
        return self.cpu_s / self.events * 1e6

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.wall_s


class RunFailedError(Exception):
    """A contestant ended by itself, or wrote too little to measure."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started contestant and what it writes to."""

    tree: ProcessTree
    topics: Topics
    outputs: Sequence[str]
    """Topics of decisions and of dead letters."""
    metrics: str | None
    """Address of its metrics, when it is to be scraped."""


@contextmanager
def started(contestant: Contestant, plan: Plan, brokers: str, label: str) -> Iterator[Running]:
    """Start a contestant on topics of its own; leaving the block ends and removes them."""
    outputs = {"BENCH_DECISIONS": f"{label}.decisions", "BENCH_DEAD_LETTERS": f"{label}.dead"}
    beside = {"BENCH_STATE": f"{label}.state", "BENCH_SIGNALS": f"{label}.signals"}
    metrics = _free_port()
    environment = {
        "BENCH_BROKERS": brokers,
        "BENCH_GROUP": label,
        "BENCH_EVENTS": plan.events,
        "BENCH_MODEL": str(plan.model),
        "BENCH_BUNDLE": str(plan.bundle),
        "BENCH_METRICS": str(metrics),
        "BENCH_ADMIN": str(_free_port()),
        "BENCH_FEATURES": ",".join(data.FEATURES),
        "BENCH_SCRATCH": str(plan.logs / f"{label}.scratch"),
        **outputs,
        **beside,
        **contestant.environment,
    }
    with closing(Topics(brokers, plan.partitions)) as topics:
        topics.create(list(outputs.values()))
        topics.create(list(beside.values()), cleanup="compact")
        tree = ProcessTree(contestant.command, environment, plan.logs / f"{label}.log")
        address = f"http://127.0.0.1:{metrics}/metrics" if contestant.scraped else None
        try:
            yield Running(tree, topics, tuple(outputs.values()), address)
        finally:
            tree.end(5.0)
            topics.delete([*outputs.values(), *beside.values()])


def run(contestant: Contestant, plan: Plan, brokers: str, label: str) -> Result:
    """Start a contestant on topics of its own, measure it, end it.

    Raises:
        RunFailedError: With the last lines of what it printed.
    """
    with started(contestant, plan, brokers, label) as running:
        plan = replace(plan, records=round(plan.records * contestant.share))
        samples = _watch(running, plan)
        code = running.tree.end(30.0)
        written = running.topics.written(running.outputs)
        said = running.tree.log.read_text()[-2_000:]
    try:
        return result_of(contestant.name, samples, plan, written, code)
    except RunFailedError as error:
        raise RunFailedError(f"{error}\n{said}") from error


def _watch(running: Running, plan: Plan) -> list[Sample]:
    """Look at the contestant until it has written everything, ended, or used up its time."""
    samples: list[Sample] = []
    seen = UNSEEN
    began = scraped = _CLOCK.monotonic()
    while running.tree.exit_code is None and _CLOCK.monotonic() - began < plan.longest_s:
        time.sleep(_SAMPLE_S)
        written = running.topics.written(running.outputs)
        done = written >= plan.records
        if running.metrics and (done or _CLOCK.monotonic() - scraped >= _SCRAPE_S):
            seen, scraped = scrape(running.metrics), _CLOCK.monotonic()
        usage = running.tree.usage()
        samples.append(Sample(_CLOCK.monotonic(), written, usage, seen.stages_s, seen))
        if done:
            break
    return samples


def result_of(name: str, samples: list[Sample], plan: Plan, written: int, code: int) -> Result:
    """Take the steady part of a run: after the warm-up, before the last records.

    Args:
        name: The contestant.
        samples: In the order of time.
        plan: Says what part is steady.
        written: Records that were written in the end.
        code: Exit code.

    Raises:
        RunFailedError: There is no steady part.
    """
    steady = [s for s in samples if plan.warm_up <= s.written / plan.records <= plan.last]
    if len(steady) < 2 or steady[-1].written == steady[0].written:
        raise RunFailedError(f"{name} wrote {written} records, exit code {code}")
    first, last = steady[0], steady[-1]
    events = last.written - first.written
    return Result(
        contestant=name,
        events=events,
        wall_s=last.at_s - first.at_s,
        cpu_s=last.usage.cpu_s - first.usage.cpu_s,
        peak_rss_bytes=samples[-1].usage.peak_rss_bytes,
        written=written,
        exit_code=code,
        stages_us=_per_event(steady),
        late_in_run=_late_in_run(steady),
        loop_lag_ms=1e3 * max(s.scrape.loop_lag_s for s in samples),
        scrape_ms=1e3 * max(s.scrape.took_s for s in samples),
        answers=samples[-1].scrape.answers,
    )


def _per_event(steady: list[Sample]) -> Mapping[str, float]:
    """Give each stage's time between the first and the last scrape of the steady state."""
    fresh = [b for a, b in pairwise(steady) if a.stages_s != b.stages_s]
    if len(fresh) < 2:
        return {}
    first, last = fresh[0], fresh[-1]
    events = last.written - first.written
    return {
        stage: (total - first.stages_s.get(stage, 0.0)) / events * 1e6
        for stage, total in last.stages_s.items()
    }


def _late_in_run(steady: list[Sample]) -> float:
    """Compare the CPU per event of the first third of the events with that of the last."""
    begin, end = steady[0].written, steady[-1].written
    third = (end - begin) / 3
    first = [s for s in steady if s.written <= begin + third]
    last = [s for s in steady if s.written >= end - third]
    costs = [
        (part[-1].usage.cpu_s - part[0].usage.cpu_s) / (part[-1].written - part[0].written)
        for part in (first, last)
        if part[-1].written > part[0].written
    ]
    return costs[0] / costs[1] if len(costs) == 2 and costs[1] else 1.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
