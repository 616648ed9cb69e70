"""One run of one contestant, measured from outside in its steady state."""

import socket
import time
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from loadtests.contestants import Contestant
from loadtests.processes import ProcessTree, Usage
from loadtests.topics import Topics
from sidecar.clock import SystemClock

_CLOCK = SystemClock()
_SAMPLE_S = 0.2
_SCRAPE_S = 5.0
_STAGE_SUM = "sidecar_stage_duration_seconds_sum"


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


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a running contestant."""

    at_s: float
    written: int
    usage: Usage
    stages_s: Mapping[str, float]
    """Its own stage timers, when it is scraped."""


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


def run(contestant: Contestant, plan: Plan, brokers: str, label: str) -> Result:
    """Start a contestant on topics of its own, measure it, end it.

    Raises:
        RunFailedError: With the last lines of what it printed.
    """
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
        **outputs,
        **beside,
        **contestant.environment,
    }
    with closing(Topics(brokers)) as topics:
        topics.create(list(outputs.values()))
        topics.create(list(beside.values()), cleanup="compact")
        tree = ProcessTree(contestant.command, environment, plan.logs / f"{label}.log")
        try:
            scrape = f"http://127.0.0.1:{metrics}/metrics" if contestant.scraped else None
            samples = _watch(tree, plan, topics, list(outputs.values()), scrape)
            code = tree.end(30.0)
            written = topics.written(outputs.values())
        finally:
            tree.end(5.0)
            topics.delete([*outputs.values(), *beside.values()])
    try:
        return result_of(contestant.name, samples, plan, written, code)
    except RunFailedError as error:
        raise RunFailedError(f"{error}\n{tree.log.read_text()[-2_000:]}") from error


def _watch(
    tree: ProcessTree, plan: Plan, topics: Topics, outputs: list[str], scrape: str | None
) -> list[Sample]:
    """Look at the contestant until it has written everything, ended, or used up its time."""
    samples: list[Sample] = []
    stages: Mapping[str, float] = {}
    began = scraped = _CLOCK.monotonic()
    while tree.exit_code is None and _CLOCK.monotonic() - began < plan.longest_s:
        time.sleep(_SAMPLE_S)
        if scrape and _CLOCK.monotonic() - scraped >= _SCRAPE_S:
            stages, scraped = _stage_sums(scrape), _CLOCK.monotonic()
        written = topics.written(outputs)
        samples.append(Sample(_CLOCK.monotonic(), written, tree.usage(), stages))
        if written >= plan.records:
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


def _stage_sums(url: str) -> Mapping[str, float]:
    """Scrape as Prometheus does, and keep the sums of the stage timers."""
    with urllib.request.urlopen(url, timeout=5.0) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    return {
        sample.labels["stage"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == _STAGE_SUM
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
