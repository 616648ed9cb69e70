"""`python -m loadtests.faults.memory`: ten million events through one sidecar, and its memory.

The events come as fast as they are taken. In the middle nothing that is written reaches the
broker for a minute, while connections stay and reading goes on. Resident memory is sampled
every second, and must not grow after the warm-up; every event must be committed, counted as
decided, and stand in the longest window once.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
from confluent_kafka import KafkaException, Producer

from loadtests import data
from loadtests.bundle import build_bundle
from loadtests.faults import machine
from loadtests.faults.clock import now_s, pause
from loadtests.faults.fleet import Member
from loadtests.faults.reading import Reader
from loadtests.faults.scene import PARTITIONS, Mode
from loadtests.faults.site import Site, site

EVENTS = 10_000_000
WARM_UP = 0.2
"""Share of the events that does not count: pools and caches fill."""
GROWTH_MIB = 16.0
"""What counts as flat: most that a line through the samples, and their median from the first to
the last fifth after the warm-up, may rise. A leak of two bytes for each event is more."""
STALL_S = 60.0
_DISTINCT = 20_000
_KEYS = 4_096
_AHEAD = 500_000
"""Events that wait at most for the sidecar, so that the disk of the broker stays small."""
_ROUND = 20_000
_MIB = 1 << 20
_PAGE_BYTES = 4_096
_FEWEST = 10
"""Samples after the warm-up, below which there is no line through them."""
_SILENCE_S = 120.0
_PRODUCE = 0
"""The kind of request that writes."""
_END_S = 30.0


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One second of the run."""

    at_s: float
    events: int
    """Committed so far."""
    rss_mib: float


class Memory(msgspec.Struct, frozen=True):
    """What a run gave."""

    date: str
    commit: str
    machine: str
    mode: str
    events: int
    stall: tuple[float, float]
    """When no write got through, in seconds from the begin."""
    counts: dict[str, int]
    """What must be as many as there are events."""
    failures: list[str]
    samples: list[Sample]


# --- what is flat ----------------------------------------------------------------------------


class Growth(msgspec.Struct, frozen=True):
    """How memory went after the warm-up, in MiB."""

    first: float
    """Median of the first fifth."""
    last: float
    """Median of the last fifth."""
    line: float
    """Rise of the line that fits best, from its begin to its end."""
    most: float
    """Largest sample."""


def growth(samples: Sequence[Sample], events: int) -> Growth | None:
    """Measure how memory grew once `WARM_UP` of the events was committed.

    Returns:
        None when there are too few samples for a line through them.
    """
    counted = [sample for sample in samples if sample.events >= WARM_UP * events]
    if len(counted) < _FEWEST:
        return None
    rss = np.array([sample.rss_mib for sample in counted])
    at = np.array([sample.at_s for sample in counted])
    slope = float(np.polyfit(at, rss, 1)[0])
    fifth = max(1, len(counted) // 5)
    return Growth(
        first=statistics.median(rss[:fifth].tolist()),
        last=statistics.median(rss[-fifth:].tolist()),
        line=slope * float(at[-1] - at[0]),
        most=float(rss.max()),
    )


def not_flat(samples: Sequence[Sample], events: int) -> Iterator[str]:
    """Give what grew by more than `GROWTH_MIB`."""
    seen = growth(samples, events)
    if seen is None:
        yield f"fewer than {_FEWEST} samples after the warm-up say nothing of memory"
        return
    if seen.line > GROWTH_MIB:
        yield f"a line through the samples rises by {seen.line:.1f} MiB"
    if seen.last - seen.first > GROWTH_MIB:
        yield f"the median rose from {seen.first:.1f} to {seen.last:.1f} MiB"


# --- the run ---------------------------------------------------------------------------------


class Filler:
    """Writes events from a thread of its own, some way ahead of what is committed."""

    def __init__(self, bootstrap: str, topic: str, events: int) -> None:
        """Prepare; `start` writes."""
        rows = data.features(data.columns(_DISTINCT))
        self._values = [
            msgspec.json.encode({"id": f"e{at}", "features": row})
            for at, row in enumerate(rows)
        ]
        self._keys = [b"k%d" % at for at in range(_KEYS)]
        self._topic = topic
        self._events = events
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "compression.type": "lz4",
                "linger.ms": 20,
                "batch.size": 500_000,
                "queue.buffering.max.messages": 200_000,
                "log_level": 0,
            }
        )
        self._thread = threading.Thread(target=self._run, name="filler", daemon=True)
        self.committed = 0
        """What the sidecar has committed; whoever knows says it here."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def _run(self) -> None:
        for first in range(0, self._events, _ROUND):
            while first - self.committed > _AHEAD:
                self._producer.poll(0.05)
            for at in range(first, min(first + _ROUND, self._events)):
                self._write(at)
            self._producer.poll(0)
        self._producer.flush()

    def _write(self, at: int) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    self._values[at % _DISTINCT],
                    self._keys[at % _KEYS],
                    partition=at % PARTITIONS,
                )
                return
            except BufferError:
                self._producer.poll(0.05)


class Watch:
    """Samples a sidecar every second, until all is committed."""

    def __init__(self, member: Member, reader: Reader, topic: str, filler: Filler) -> None:
        """Say whom, and who must know how far it has come."""
        self._member = member
        self._reader = reader
        self._topic = topic
        self._filler = filler
        self._began_s = now_s()
        self.samples: list[Sample] = []

    @property
    def at_s(self) -> float:
        """Seconds since the begin."""
        return now_s() - self._began_s

    def until(self, events: int, within_s: float | None = None) -> bool:
        """Sample until so many are committed; False when nothing moves, or time is up."""
        until_s = None if within_s is None else self.at_s + within_s
        moved_s = self.at_s
        while (before := self._filler.committed) < events:
            pause(1.0)
            self._sample()
            if self._filler.committed > before:
                moved_s = self.at_s
            if self.at_s - moved_s > _SILENCE_S or self._member.code is not None:
                return False
            if until_s is not None and self.at_s > until_s:
                return False
        return True

    def _sample(self) -> None:
        with suppress(KafkaException):  # the next one will know
            self._filler.committed = sum(self._reader.committed(self._topic).values())
        try:
            pages = int(Path(f"/proc/{self._member.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):  # it has ended, which its exit code tells
            return
        rss_mib = round(pages * _PAGE_BYTES / _MIB, 1)
        self.samples.append(Sample(round(self.at_s, 1), self._filler.committed, rss_mib))


def run(place: Site, *, events: int, mode: Mode, folder: Path, bundle: Path) -> Memory:
    """Let one sidecar take all events, and judge what it used and what it said."""
    topics = {
        name: f"memory.{name}" for name in ("events", "decisions", "dead-letters", "state")
    }
    for name, topic in topics.items():
        kept = {"cleanup_policy": "compact"} if name == "state" else _SMALL
        place.create_topic(topic, PARTITIONS, **kept)
    config = _config(place.behind_proxies, topics, mode, bundle)
    reader = Reader(place.bootstrap, config["kafka"]["group"])
    filler = Filler(place.bootstrap, topics["events"], events)
    failures: list[str] = []
    commit = machine.commit()
    with _member(folder, config) as member:
        member.await_said("partitions_assigned")
        watch = Watch(member, reader, topics["events"], filler)
        filler.start()
        moved = watch.until(events // 2)
        stall = _stall(place, watch, events, failures) if moved else (0, 0)
        if not (moved and watch.until(events)):
            failures.append(f"stopped at {filler.committed:,} events")
        counts = _counts(member, filler.committed)
        member.ask_to_end()
        code = member.ends(_END_S)
    failures += [f"{name}: {n:,}, not {events:,}" for name, n in counts.items() if n != events]
    failures += not_flat(watch.samples, events)
    if code != 0:
        failures.append(f"exit code {code}")
    return Memory(
        date=machine.today(),
        commit=commit,
        machine=machine.described(),
        mode=mode,
        events=events,
        stall=stall,
        counts=counts,
        failures=failures,
        samples=watch.samples,
    )


# Ten million decisions would be gigabytes: the broker keeps the newest ones alone. What was not
# read yet is not among those that it drops.
_SMALL = {"retention_bytes": str(200 * _MIB), "segment_bytes": str(20 * _MIB)}


def _config(bootstrap: str, topics: dict[str, str], mode: Mode, bundle: Path) -> dict[str, Any]:
    return {
        "name": "memory",
        "kafka": {
            "bootstrap_servers": [bootstrap],
            "group": "memory-sidecar",
            "delivery_timeout": "20s",
        },
        "topics": {name.replace("-", "_"): topic for name, topic in topics.items()},
        # A machine that is short of CPU must not look like a model that hangs.
        "model": {"bundle": str(bundle), "threads": 1, "timeout": "30s"},
        "delivery": {"mode": mode},
        "http": {"metrics": "127.0.0.1:0", "admin": "127.0.0.1:0"},
        "log": {"format": "json"},
    }


@contextmanager
def _member(folder: Path, config: dict[str, Any]) -> Iterator[Member]:
    member = Member("member", folder / "member", config, {})
    try:
        yield member
    finally:
        if member.code is None:
            member.kill()


def _stall(place: Site, watch: Watch, events: int, failures: list[str]) -> tuple[float, float]:
    """Let no write through for a while; everything else goes on."""
    began_s = watch.at_s
    for proxy in place.proxies:
        proxy.weather.held = frozenset({_PRODUCE})
    watch.until(events, STALL_S / 2)
    before = watch.samples[-1].events
    watch.until(events, STALL_S / 2)
    if watch.samples[-1].events != before or before >= events:
        failures.append("commits went on although nothing was written")
    for proxy in place.proxies:
        proxy.clear()
    return round(began_s, 1), round(watch.at_s, 1)


def _counts(member: Member, committed: int) -> dict[str, int]:
    scrape = member.scrape()
    if scrape is None:
        return {"committed": committed}
    return {
        "committed": committed,
        "decided": sum(scrape.decided.values()),
        "in the longest window": int(scrape.get("in_window")),
    }


# --- the page --------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _LEFT, _TOP, _FLOOR = 760, 260, 60, 20, 220
_STYLE = (
    "text{fill:#1d2733}.rss{stroke:#3b6fb6;stroke-width:1.6;fill:none}"
    ".stall{fill:#b77a10;opacity:.2}.grid{stroke:#8a94a6;stroke-width:.6}"
    "@media (prefers-color-scheme: dark){text{fill:#e6ebf2}}"
)


def picture(memory: Memory) -> str:
    """Draw resident memory over the time of the run, with the stall behind it."""
    end_s = memory.samples[-1].at_s
    top_mib = 50 * (int(max(sample.rss_mib for sample in memory.samples)) // 50 + 1)

    def x(at_s: float) -> float:
        return round(_LEFT + at_s / end_s * (_WIDTH - _LEFT - 20), 1)

    def y(mib: float) -> float:
        return round(_FLOOR - mib / top_mib * (_FLOOR - _TOP), 1)

    begin, end = (x(at_s) for at_s in memory.stall)
    line = " ".join(f"{x(sample.at_s)},{y(sample.rss_mib)}" for sample in memory.samples)
    title = f"Resident memory of one sidecar over {memory.events:,} events"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="{title}.">',
        f"  <style>{_STYLE}</style>",
        f'  <rect class="stall" x="{begin}" y="{_TOP}" width="{round(end - begin, 1)}" '
        f'height="{_FLOOR - _TOP}"/>',
        f'  <text x="{begin + 4}" y="{_TOP + 14}">no write gets through</text>',
        *(
            f'  <path class="grid" d="M{_LEFT} {y(mib)}H{_WIDTH - 20}"/>'
            f'<text x="{_LEFT - 8}" y="{y(mib) + 4}" text-anchor="end">{mib}</text>'
            for mib in range(0, top_mib + 1, 50)
        ),
        f'  <polyline class="rss" points="{line}"/>',
        f'  <text x="{_LEFT}" y="{_HEIGHT - 10}">MiB, over {end_s:.0f} s</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def rows(memories: Sequence[Memory]) -> Iterator[str]:
    """Give a table: a row for each run."""
    yield (
        "| mode | commit | events | took | decided | in the longest window "
        "| MiB, first fifth after the warm-up | last fifth | the line rises by | largest "
        "| does not hold |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for memory in memories:
        seen = growth(memory.samples, memory.events)
        mib = (seen.first, seen.last, seen.line, seen.most) if seen is not None else ()
        took_s = memory.samples[-1].at_s if memory.samples else 0.0
        cells = [
            memory.mode.replace("_", " "),
            memory.commit,
            f"{memory.events:,}",
            f"{took_s:.0f} s",
            f"{memory.counts.get('decided', 0):,}",
            f"{memory.counts.get('in the longest window', 0):,}",
            *([f"{each:.1f}" for each in mib] or ["-"] * 4),
            "; ".join(f"**{failure}**" for failure in memory.failures),
        ]
        yield f"| {' | '.join(cells)} |"


# --- the command -----------------------------------------------------------------------------


def main() -> int:
    """Run it; 1 when anything does not hold."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.faults.memory")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--mode", choices=get_args(Mode), default="at_least_once")
    parser.add_argument("--out", type=Path, help="new folder for logs and memory.json")
    options = parser.parse_args()
    if options.out and options.out.is_dir() and any(options.out.iterdir()):
        parser.error(f"{options.out} has the logs of another run: name a new folder")
    # An end that is asked for must end broker and sidecar too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = options.out or Path(tempfile.mkdtemp(prefix="sidecar-memory-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"logs in {folder}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="sidecar-memory-") as scratch,
        site("one", folder / "brokers") as place,
    ):
        bundle = build_bundle(Path(scratch))
        found = run(
            place, events=options.events, mode=options.mode, folder=folder, bundle=bundle
        )
    path = folder / "memory.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=0) + b"\n")
    print("\n".join(rows([found])))
    print(path)
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
