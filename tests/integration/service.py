"""`sidecar run` as users have it: a process, its config file, its topics seen from outside.

Nothing here imports the service. What it writes is read with another client library than its
own, what it says of itself is read from its log and over HTTP.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import yaml
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from prometheus_client.parser import text_string_to_metric_families

from sidecar.clock import SystemClock
from tests.bundle_factory import EVENT

T = TypeVar("T")
Headers = tuple[tuple[str, bytes | None], ...]

PARTITIONS = 4
_BROKER_S = 15.0
_HTTP_S = 5.0
_END_S = 30.0


def eventually(
    ask: Callable[[], T], what: str | Callable[[], str], within_s: float = 25.0
) -> T:
    """Ask until the answer is true, give it, and fail when that takes too long."""
    clock = SystemClock()
    until = clock.monotonic() + within_s
    while not (answer := ask()):
        missed = clock.monotonic() > until
        assert not missed, (
            f"not within {within_s:g} s: {what if isinstance(what, str) else what()}"
        )
        time.sleep(0.03)
    return answer


# --- topics --------------------------------------------------------------------------------


class Input(NamedTuple):
    """A record for the events topic. Without a partition its key says which."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    partition: int = -1
    timestamp_ms: int = 0
    """0 is the time of sending."""


class Output(NamedTuple):
    """A record as another client reads it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    """When it was written, by the clock of the one who wrote it."""

    @property
    def json(self) -> dict[str, Any]:
        """The value of a decision."""
        decision: dict[str, Any] = json.loads(self.value or b"")
        return decision

    def error(self, name: str) -> str:
        """One of the headers that say why it is a dead letter."""
        return (dict(self.headers)[f"sidecar.error.{name}"] or b"").decode()


@dataclass(frozen=True)
class Topics:
    """The topics of one test, and the group that reads them."""

    bootstrap: str
    name: str

    @property
    def events(self) -> str:
        return f"{self.name}.events"

    @property
    def decisions(self) -> str:
        return f"{self.name}.decisions"

    @property
    def letters(self) -> str:
        return f"{self.name}.dead-letters"

    @property
    def signals(self) -> str:
        return f"{self.name}.signals"

    @property
    def state(self) -> str:
        return f"{self.name}.state"

    @property
    def all(self) -> tuple[str, ...]:
        """The topics that a sidecar uses."""
        return self.events, self.decisions, self.letters, self.signals, self.state

    @property
    def group(self) -> str:
        return f"{self.name}-sidecar"

    def send(self, records: Iterable[Input], **settings: str) -> None:
        """Write events and wait until all are acknowledged.

        Args:
            records: The events.
            settings: Further settings of the producer, with `_` for each dot.
        """
        failures: list[object] = []
        config = {"bootstrap.servers": self.bootstrap, "message.max.bytes": 20_000_000}
        named = {name.replace("_", "."): value for name, value in settings.items()}
        producer = Producer({**config, "linger.ms": 5, "log_level": 0, **named})
        for record in records:
            producer.produce(
                self.events,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                partition=record.partition,
                timestamp=record.timestamp_ms,
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
            producer.poll(0)
        assert producer.flush(_BROKER_S) == 0
        assert failures == []

    def read(self, topic: str) -> list[Output]:
        """Read a topic up to its end, committed records alone: by partition, each in order."""
        with closing(self._client()) as client:
            client.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
            found: list[Output] = []
            ended = 0
            until = SystemClock().monotonic() + _BROKER_S
            while ended < PARTITIONS:
                assert SystemClock().monotonic() < until, f"{topic} cannot be read to its end"
                for message in client.consume(5_000, 0.1):
                    error = message.error()
                    if error is not None and error.code() == KafkaError._PARTITION_EOF:
                        ended += 1
                    else:
                        found.append(_output(message))
        return sorted(found, key=lambda record: record[:2])

    def ends(self, topic: str) -> dict[int, int]:
        """Give the offset that the next record gets, by partition."""
        with closing(self._client()) as client:
            return {
                partition: client.get_watermark_offsets(
                    TopicPartition(topic, partition), _BROKER_S
                )[1]
                for partition in range(PARTITIONS)
            }

    def committed(self) -> dict[int, int]:
        """Give what the group has committed, by partition; 0 where it has not."""
        asked = [TopicPartition(self.events, p) for p in range(PARTITIONS)]
        with closing(self._client()) as client:
            answers = eventually(lambda: _unless_busy(client, asked), "the committed offsets")
        return {answer.partition: max(0, answer.offset) for answer in answers}

    def settled(self) -> bool:
        """Whether every event has a committed outcome."""
        return self.committed() == self.ends(self.events)

    def _client(self) -> Consumer:
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "group.id": self.group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
        return Consumer(config)


def _unless_busy(client: Consumer, asked: list[TopicPartition]) -> list[TopicPartition]:
    """Ask what is committed; nothing while the broker is still finding its coordinator."""
    try:
        return client.committed(asked, _BROKER_S)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.NOT_COORDINATOR:
            raise
        return []


def _output(message: Message) -> Output:
    assert message.error() is None, message.error()
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    headers: Any = message.headers() or ()
    kind, timestamp_ms = message.timestamp()
    assert kind == TIMESTAMP_CREATE_TIME
    return Output(
        partition, offset, message.key(), message.value(), tuple(headers), timestamp_ms
    )


def good_events(count: int, first: int = 0) -> list[Input]:
    """Give events `e0`, `e1`, ... that the model can answer, dealt out to all partitions."""
    return [
        Input(
            json.dumps({"id": f"e{at}", "features": EVENT}).encode(),
            key=b"k%d" % (at % (8 * PARTITIONS)),
            partition=at % PARTITIONS,
        )
        for at in range(first, first + count)
    ]


def ids(decisions: Iterable[Output]) -> list[str]:
    """Give the events that were decided."""
    return [decision.json["event_id"] for decision in decisions]


# --- the config ----------------------------------------------------------------------------


def config_of(topics: Topics, bundle: Path, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """Give a config with short time limits, so that tests are quick; sections are merged in."""
    config: dict[str, Any] = {
        "name": topics.name,
        "kafka": {
            "bootstrap_servers": [topics.bootstrap],
            "session_timeout": "4s",
            "rebalance_timeout": "10s",
            "request_timeout": "3s",
            "delivery_timeout": "10s",
        },
        "topics": {"events": topics.events},
        "model": {"bundle": str(bundle)},
        "delivery": {"commit_interval": "100ms"},
        "http": {"metrics": "127.0.0.1:0", "admin": "127.0.0.1:0"},
    }
    for name, section in sections.items():
        config[name] = {**config.get(name, {}), **section}
    return config


# --- the process ---------------------------------------------------------------------------


class Probe(NamedTuple):
    """The answer of a probe: its status, and the code of each reason."""

    status: int
    codes: tuple[str, ...]
    text: str


OK = (200, ())


def of_this_tree(config: Path) -> list[str]:
    """Give what runs a config file with the code of this tree."""
    return [sys.executable, "-m", "sidecar", "run", str(config)]


class Sidecar:
    """`sidecar run CONFIG` as a process of its own."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any] | str,
        command: Callable[[Path], list[str]] = of_this_tree,
    ) -> None:
        """Start it.

        Args:
            folder: Where its config and its output go.
            config: As a tree, or as the text of a YAML file.
            command: What runs a config file, where it is not the code of this tree.
        """
        folder.mkdir(parents=True)
        path = folder / "sidecar.yaml"
        path.write_text(config if isinstance(config, str) else yaml.safe_dump(dict(config)))
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command(path),
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NO_COLOR": "1"},
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    # --- what it says ------------------------------------------------------------------------

    @property
    def output(self) -> str:
        """All that it wrote to standard output and standard error so far."""
        return self._output.read_text(encoding="utf-8")

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log so far; a line that is still being written is left out."""
        whole = self.output.rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def said(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait for a line of its log, and give it."""
        wanted = {"event": event, **fields}

        def look() -> dict[str, Any] | None:
            found = [line for line in self.log if wanted.items() <= line.items()]
            assert found or self._process.poll() is None, self.output
            return found[-1] if found else None

        line = eventually(look, f"the log line {wanted}")
        assert line is not None
        return line

    def working(self) -> "Sidecar":
        """Wait until it has its share of the group."""
        self.said("partitions_assigned")
        return self

    def get(self, path: str, listener: str = "metrics") -> tuple[int, str]:
        """Ask one of its listeners; give the status and the body."""
        address = urlsplit(self.said("sidecar_started")[f"{listener}_url"])
        connection = http.client.HTTPConnection(address.netloc, timeout=_HTTP_S)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def probe(self, path: str = "/readyz") -> Probe:
        """Ask a probe."""
        status, body = self.get(path)
        causes = json.loads(body)["reasons"]
        codes = tuple(sorted(cause["code"] for cause in causes))
        return Probe(status, codes, " ".join(cause["message"] for cause in causes))

    def becomes(self, *codes: str) -> Probe:
        """Wait until /readyz gives these reasons, or is well when none is named."""
        seen = self.probe()

        def look() -> bool:
            nonlocal seen
            seen = self.probe()
            return seen.codes == tuple(sorted(codes)) and (seen.status == 200) != bool(codes)

        eventually(look, lambda: f"/readyz with {codes}, not {seen}")
        return seen

    def sample(self, name: str, **labels: str) -> float:
        """Give the sum of the series of a metric that have these labels; 0 without any."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def books(self) -> dict[str, int]:
        """Give the counters that must balance, from one scrape."""
        counters = {
            "sidecar_records_received_total": "received",
            "sidecar_decisions_total": "decided",
            "sidecar_records_rejected_total": "rejected",
            "sidecar_tombstones_total": "tombstones",
            "sidecar_records_joined_total": "joined",
        }
        books = dict.fromkeys(list(counters.values())[:4], 0)
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                # Most configs join nothing, and their tests need not say so.
                if sample.name in counters and (sample.value or counters[sample.name] in books):
                    name = counters[sample.name]
                    books[name] = books.get(name, 0) + int(sample.value)
        return books

    # --- its end -----------------------------------------------------------------------------

    def ends(self, within_s: float = _END_S) -> int:
        """Wait for its end, and give the exit code."""
        return self._process.wait(within_s)

    def stop(self, within_s: float = _END_S) -> int:
        """Ask it to end, and give the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.ends(within_s)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def waits(self, seconds: float) -> None:
        """Let time pass, unless it ends before."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def freeze(self) -> None:
        """Stop it in its tracks, as a machine without a processor to spare does."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._process.kill()
        self._process.wait()
