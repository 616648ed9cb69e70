"""One run of one fault: its topics and group, the driver, the sidecars, and what was seen."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from confluent_kafka import Producer

from loadtests.faults import poison
from loadtests.faults.aborted import aborted
from loadtests.faults.clock import now_ms, now_s, pause
from loadtests.faults.driver import Driver
from loadtests.faults.fleet import Fleet
from loadtests.faults.history import History, Place, Record, Sent
from loadtests.faults.reading import Reader
from loadtests.faults.site import Kind, Site
from loadtests.faults.state import PANE_MS, Anew
from loadtests.faults.watch import OffsetWatch

Mode = Literal["at_least_once", "exactly_once"]

PARTITIONS = 4
RATE = 400.0
MOCK_RATE = 60.0
"""The embedded broker keeps the newest 5 MB of a partition alone."""
SESSION_S = 6.0
SHUTDOWN_S = 15.0
DELIVERY_S = 30.0
_REBALANCE_S = 20.0
_WAIT_S = 60.0
_AGREE_S = 15.0
# The product asks a topic what it takes every 10 s while it refuses something.
_DECIDES_S = 30.0


@dataclass(frozen=True)
class Limits:
    """What must hold after a fault, beyond what must hold after all of them."""

    recovery_s: float = SESSION_S + 10.0
    """Longest time without a commit in any partition, beyond the outage itself."""
    settle_s: float = 60.0
    """Longest time until everything that was sent has a committed outcome."""
    duplicates: int | None = None
    """Most repeated outcomes in at_least_once; None: as many as come. exactly_once allows
    none."""
    complaints: int = 0
    """Most tracebacks in the logs: of errors that the client told nobody who asked."""
    codes: tuple[int | None, ...] = (0,)
    """Exit codes that a sidecar may end with when it is asked to at the end of the run."""


@dataclass(frozen=True)
class Fault:
    """One entry of the table."""

    name: str
    risks: str
    """Which of `risks.RISKS` it provokes, such as `R2 R16`."""
    what: str
    """What is done, for a table that people read."""
    promise: str
    """What must hold, with numbers."""
    act: Callable[["Scene"], None]
    site: Kind = "one"
    limits: Limits = field(default_factory=Limits)
    modes: tuple[Mode, ...] = ("at_least_once", "exactly_once")
    short: tuple[Mode, ...] = ()
    """In which of its modes it belongs to the short campaign."""
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Sections of the sidecars' config that differ for it."""
    proxied: bool = False
    """Whether the sidecars reach the brokers through proxies."""
    members: int = 1
    """Sidecars that run when it begins."""
    stubs: bool = False
    """Whether dead letters may come without the event's own bytes."""
    broker_times: bool = True
    """Whether brokers stamp outcomes; else the sidecar does."""
    partitions_kept: bool = True
    """Whether decisions have as many partitions as events all the time."""
    state_kept: bool = True
    """Whether the state topic must count each event in the pane of its record's time."""
    repeats: bool = False
    """Whether it asks for events to be decided again, so that repeated outcomes are right."""


class Scene:
    """What a fault acts on."""

    def __init__(
        self, fault: Fault, site: Site, *, seed: int, mode: Mode, long: bool, folder: Path,
        bundle: Path,
    ) -> None:  # fmt: skip
        """Make the topics and all parts; nothing runs yet."""
        self.fault = fault
        self.site = site
        self.mode = mode
        self.long = long
        self.rng = random.Random(f"{fault.name}-{seed}")
        self.name = f"{fault.name}-{mode[:2]}-{seed}-{now_ms() % 1_000_000}"
        self.events = f"{self.name}.events"
        self.decisions = f"{self.name}.decisions"
        self.letters = f"{self.name}.dead-letters"
        self.state = f"{self.name}.state"
        self.group = f"{self.name}-sidecar"
        self.failures: list[str] = []
        self.figures: dict[str, float | str] = {}
        self.outage_s = 0.0
        self.expired: set[Place] = set()
        self.anew: Anew | None = None
        self._kept: dict[str, list[Record]] = {}
        self._make_topics()
        self.reader = Reader(site.bootstrap, self.group)
        rate = RATE if site.real else MOCK_RATE
        self.driver = Driver(
            site.bootstrap, self.events, PARTITIONS, rate=rate, rng=random.Random(seed)
        )
        self.watch = OffsetWatch(site.bootstrap, self.group, self.events, PARTITIONS)
        self.fleet = Fleet(folder, self._config(bundle))

    def _make_topics(self) -> None:
        stamps = {"message_timestamp_type": "LogAppendTime"} if self.fault.broker_times else {}
        # Any record time is taken, so that a fault may shift it.
        self.site.create_topic(
            self.events,
            PARTITIONS,
            message_timestamp_after_max_ms=str(10**15),
            message_timestamp_before_max_ms=str(10**15),
        )
        self.site.create_topic(self.decisions, PARTITIONS, **stamps)
        self.site.create_topic(self.letters, PARTITIONS, **stamps)
        self.site.create_topic(self.state, PARTITIONS, cleanup_policy="compact")

    def _config(self, bundle: Path) -> dict[str, Any]:
        proxied = self.fault.proxied
        brokers = self.site.behind_proxies if proxied else self.site.bootstrap
        config: dict[str, Any] = {
            "name": self.name,
            "kafka": {
                "bootstrap_servers": brokers.split(","),
                "group": self.group,
                "session_timeout": f"{SESSION_S:g}s",
                "rebalance_timeout": f"{_REBALANCE_S:g}s",
                "request_timeout": "10s",
                "delivery_timeout": f"{DELIVERY_S:g}s",
            },
            "topics": {
                "events": self.events,
                "decisions": self.decisions,
                "dead_letters": self.letters,
                "state": self.state,
            },
            # A machine that is short of CPU must not look like a model that hangs.
            "model": {"bundle": str(bundle), "threads": 1, "timeout": "10s"},
            "delivery": {"mode": self.mode, "commit_interval": "200ms"},
            "limits": {
                "max_record_bytes": poison.MAX_RECORD_BYTES,
                "max_depth": poison.MAX_DEPTH,
                "dead_letter_share": 1,
                "shutdown": f"{SHUTDOWN_S:g}s",
            },
            "http": {"metrics": "127.0.0.1:0", "admin": "127.0.0.1:0"},
            "log": {"format": "json"},
        }
        for name, section in self.fault.config.items():
            config[name] = {**config.get(name, {}), **section}
        return config

    # --- for those who act -------------------------------------------------------------------

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note that something does not hold; the run goes on."""
        if not holds:
            self.failures.append(otherwise)

    def note(self, name: str, value: float | str) -> None:
        """Keep a figure for the report."""
        self.figures[name] = round(value, 1) if isinstance(value, float) else value

    def count(self, name: str) -> None:
        """Add one to a figure of the report."""
        self.figures[name] = int(self.figures.get(name, 0)) + 1

    def run_for(self, seconds: float) -> None:
        """Let it run."""
        pause(seconds)

    def until(self, ask: Callable[[], object], what: str, within_s: float = _WAIT_S) -> bool:
        """Wait until the answer is true; note it as a failure when it never is."""
        until = now_s() + within_s
        while not ask():
            if now_s() > until:
                self.failures.append(f"not within {within_s:g} s: {what}")
                return False
            pause(0.1)
        return True

    def progresses(self, within_s: float = _WAIT_S, since_s: float | None = None) -> float:
        """Wait for a commit in every partition since then, or from here on.

        Returns:
            The seconds until all have moved.
        """
        at_s = now_s() if since_s is None else since_s
        self.until(lambda: self.watch.moved_after(at_s) is not None, "commits", within_s)
        return self.watch.moved_after(at_s) or within_s

    def decides(self) -> None:
        """Wait until something is decided from here on: a dead letter is progress as well."""
        at_s, before = now_s(), self.reader.ends(self.decisions)
        self.until(lambda: self.reader.ends(self.decisions) != before, "a decision", _DECIDES_S)
        slowest_s = float(self.figures.get("decides again after, s", 0))
        self.note("decides again after, s", max(now_s() - at_s, slowest_s))

    def settled(self, within_s: float | None = None) -> bool:
        """Hold the driver, and wait until everything that was sent has a committed outcome."""
        self.driver.hold()
        limit_s = self.fault.limits.settle_s if within_s is None else within_s
        done = self.reader.await_settled(self.events, limit_s)
        self.expect(done, f"not settled within {limit_s:g} s")
        return done

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Mark a time in which no progress can be asked for."""
        at_s = now_s()
        yield
        self.outage_s += now_s() - at_s

    def keep(self, topic: str) -> None:
        """Read a topic whose records are about to be deleted, so that they are judged."""
        self._kept.setdefault(topic, []).extend(self.reader.read(topic))

    def write(self, topic: str, records: Iterable[Record]) -> None:
        """Write records of the campaign's own."""
        producer = Producer({"bootstrap.servers": self.site.bootstrap, "log_level": 0})
        for record in records:
            producer.produce(topic, record.value, record.key, partition=record.partition)
        producer.flush()

    def count_anew(self, pane_ms: int = PANE_MS) -> None:
        """Ask for counts that begin here: with the next event to be read, while nobody runs."""
        committed = self.reader.committed(self.events)
        self.anew = Anew(self.reader.ends(self.state), committed, pane_ms)

    def in_windows(self) -> dict[str, float]:
        """Give how many events each sidecar shows, when all of them show the same."""
        shown: dict[str, float] = {}

        def agree() -> bool:
            self.fleet.scrape()
            running = [member.name for member in self.fleet.alive]
            last = self.fleet.last
            shown.clear()
            shown.update({n: last[n].get("in_window") for n in running if n in last})
            return len(shown) == len(running) and len(set(shown.values())) == 1

        self.until(agree, "the same windows everywhere", _AGREE_S)
        return shown

    # --- afterwards --------------------------------------------------------------------------

    def history(self, sent: list[Sent]) -> History:
        """Read everything."""
        kept, left = self._kept.get(self.events, []), self.reader.read(self.events)
        events = {event.place: event for event in (*kept, *left)}
        return History(
            sent=sent,
            events=[event for event in events.values() if event.place not in self.expired],
            decisions=self._all(self.decisions),
            letters=self._all(self.letters),
            samples=list(self.watch.samples),
            ends=self.reader.ends(self.events),
            aborted=self._aborted(),
            expired=self.expired,
            broker_times=self.fault.broker_times and self.site.real,
        )

    def _aborted(self) -> set[tuple[str, int, int]]:
        """Ask the log files of a broker, each of which has all records."""
        if not self.site.real:
            return set()
        data = self.site.cluster.one().data
        topics = {"decisions": self.decisions, "letters": self.letters}
        return {
            (name, partition, offset)
            for name, topic in topics.items()
            for partition, offset in aborted(data, topic)
        }

    def _all(self, topic: str) -> list[Record]:
        """Give what a topic holds, behind what one of the same name held before."""
        kept = self._kept.get(topic, [])
        first: dict[int, int] = {}
        for record in kept:
            first[record.partition] = max(first.get(record.partition, 0), record.offset + 1)
        return kept + [
            record._replace(offset=record.offset + first.get(record.partition, 0))
            for record in self.reader.read(topic)
        ]
