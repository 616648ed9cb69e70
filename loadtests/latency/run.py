"""One run under an open load: generator, contestant and probe, each a process of its own."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from loadtests import data
from loadtests.contestants import Contestant
from loadtests.latency.figures import Latency, Sent, void
from loadtests.processes import ProcessTree, Usage
from loadtests.race import Plan, RunFailedError, Running, started
from loadtests.scrapes import UNSEEN, Scrape, scrape
from loadtests.topics import Topics
from sidecar.clock import SystemClock

T = TypeVar("T")

_CLOCK = SystemClock()
_READY_S = 60.0
_LOOK_S = 0.1
_SCRAPE_S = 5.0
_PROCESSES_S = 4.0
"""From starting generator and probe until the first event is due: they import and connect."""
_AFTER_S = 30.0
"""How long decisions are waited for, once the last event was due."""


class Load(msgspec.Struct, frozen=True):
    """How events come."""

    rate: float
    """Events per second; 0 is none."""
    warm_s: float = 5.0
    """Seconds that do not count."""
    measured_s: float = 20.0

    @property
    def events(self) -> int:
        """All events of a run."""
        return round(self.rate * (self.warm_s + self.measured_s))

    @property
    def warm(self) -> int:
        """Events that do not count."""
        return round(self.rate * self.warm_s)


class LoadResult(msgspec.Struct, frozen=True):
    """What one run cost, and how long it took to answer."""

    line: str
    contestant: str
    rate: float
    cpu_s: float
    wall_s: float
    """Of the part in which CPU was counted."""
    peak_rss_bytes: int
    loop_lag_ms: float
    scrape_ms: float
    sent: Sent | None = None
    latency: Latency | None = None
    void: str = ""
    """Why it counts for nothing; empty when it counts."""

    @property
    def cpu_us(self) -> float | None:
        """Microseconds of CPU per event."""
        return self.cpu_s / (self.rate * self.wall_s) * 1e6 if self.rate else None

    @property
    def core(self) -> float:
        """Share of one core."""
        return self.cpu_s / self.wall_s


def run(
    line: str, contestant: Contestant, plan: Plan, brokers: str, label: str, load: Load
) -> LoadResult:
    """Run a contestant under a load.

    Raises:
        RunFailedError: It did not answer at all, or ended; with the last of what it printed.
    """
    events = f"{label}.events"
    with _topic(events, brokers, plan.partitions) as topics:
        plan = replace(plan, events=events)
        with started(contestant, plan, brokers, label) as running:
            _make_ready(contestant, topics, events, running, plan.partitions)
            start_s = _CLOCK.monotonic() + (_PROCESSES_S if load.rate else 0.0)
            crew = _crew(brokers, events, running, plan, label, load, start_s)
            first, last, seen = _measured(running, start_s + load.warm_s, load.measured_s)
            sent, found = _reports(crew) if crew else (None, None)
            if running.tree.exit_code is not None:
                raise RunFailedError(f"{contestant.name} ended\n{_tail(running.tree)}")
    return LoadResult(
        line=line,
        contestant=contestant.name,
        rate=load.rate,
        cpu_s=last.cpu_s - first.cpu_s,
        wall_s=load.measured_s,
        peak_rss_bytes=last.peak_rss_bytes,
        loop_lag_ms=seen.loop_lag_s * 1e3,
        scrape_ms=seen.took_s * 1e3,
        sent=sent,
        latency=found,
        void=void(sent, found, load.events) if sent and found else "",
    )


@contextmanager
def _topic(name: str, brokers: str, partitions: int) -> Iterator[Topics]:
    with closing(Topics(brokers, partitions)) as topics:
        topics.create([name])
        try:
            yield topics
        finally:
            topics.delete([name])


def _make_ready(
    contestant: Contestant, topics: Topics, events: str, running: Running, partitions: int
) -> None:
    """Wait until the contestant has answered an event of each partition."""
    firsts = data.records(partitions, first_ms=_CLOCK.now_ms(), distinct=partitions)
    topics.fill(events, ((key, _renamed(value)) for key, value in firsts))
    until = _CLOCK.monotonic() + _READY_S
    while running.topics.written(running.outputs) < partitions:
        if running.tree.exit_code is not None or _CLOCK.monotonic() > until:
            raise RunFailedError(f"{contestant.name} does not answer\n{_tail(running.tree)}")
        time.sleep(_LOOK_S)


def _renamed(value: bytes) -> bytes:
    """Give an event an id that no event of the load has."""
    return value.replace(b'"event-', b'"first-', 1)


def _crew(
    brokers: str,
    events: str,
    running: Running,
    plan: Plan,
    label: str,
    load: Load,
    start_s: float,
) -> list[tuple[ProcessTree, Path]]:
    """Start generator and probe."""
    if not load.rate:
        return []
    until_s = start_s + load.warm_s + load.measured_s + _AFTER_S
    arguments = {
        "generator": ["--topic", events],
        "probe": ["--topic", running.outputs[0], "--until", str(until_s)],
    }
    crew = []
    for name, own in arguments.items():
        out = plan.logs / f"{label}.{name}.json"
        command = [sys.executable, "-m", f"loadtests.latency.{name}", *own]
        command += ["--brokers", brokers, "--partitions", str(plan.partitions)]
        command += ["--events", str(load.events), "--warm", str(load.warm)]
        command += ["--start", str(start_s), "--rate", str(load.rate), "--out", str(out)]
        crew.append((ProcessTree(command, {}, out.with_suffix(".log")), out))
    return crew


def _measured(running: Running, from_s: float, span_s: float) -> tuple[Usage, Usage, Scrape]:
    """Give what was used before and after the measured part, and the worst of the scrapes."""
    time.sleep(max(0.0, from_s - _CLOCK.monotonic()))
    first = running.tree.usage()
    scrapes = [UNSEEN]
    while (left := from_s + span_s - _CLOCK.monotonic()) > 0:
        time.sleep(min(left, _SCRAPE_S))
        if running.metrics:
            scrapes.append(scrape(running.metrics))
    worst = Scrape(max(s.took_s for s in scrapes), max(s.loop_lag_s for s in scrapes))
    return first, running.tree.usage(), worst


def _reports(crew: list[tuple[ProcessTree, Path]]) -> tuple[Sent, Latency]:
    """Wait for generator and probe, and give what they wrote.

    Raises:
        RunFailedError: One of them failed.
    """
    (generator, sent), (probe, found) = crew
    for process, out in crew:
        process.wait(2 * _AFTER_S)
        if not out.exists():
            raise RunFailedError(f"no {out.name}\n{_tail(process)}")
    assert generator.exit_code == probe.exit_code == 0
    return (
        msgspec.json.decode(sent.read_bytes(), type=Sent),
        msgspec.json.decode(found.read_bytes(), type=Latency),
    )


def _tail(process: ProcessTree) -> str:
    return process.log.read_text()[-2_000:]
