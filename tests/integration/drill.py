"""Sidecars under load, each a job of Prometheus, and what is done to them.

Each second of the drill brings a minute of event time, so that windows and alert rule of the
sidecar run as fast as the rules of Prometheus do here.
"""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from sidecar.clock import SystemClock
from tests.brokers.kafka import KafkaBroker, free_port
from tests.bundle_factory import credit_rows
from tests.integration.service import PARTITIONS, Input, Sidecar, Topics, config_of
from tests.onnx_graphs import bundle_of, graph_bytes

MINUTE = 60_000
PER_MINUTE = 60
LEARNED = 40
"""Minutes of event time before the first second; windows of minutes are learned in 30."""
LENGTH = 400
"""Minutes of event time that there are."""
_AT_ONCE = 5
_WINDOWS: dict[str, Any] = {
    "windows": ["10m", "30m"],
    "min_records": 100,
    "drift": {"hold": "3m", "resolve": "5m"},
    # Hours of event time pass in minutes, so all events are old.
    "quality": {"freshness": "1d"},
}
_TOO_LARGE = 10_000.0


def picky_model() -> bytes:
    """Give y = 2 x, which fails where x is more than 1000: it looks for what is not there."""
    node = helper.make_node
    nodes = [
        node("Greater", ["x", "most"], ["large"]),
        node("Cast", ["large"], ["place"], to=TensorProto.INT64),
        node("Gather", ["nothing", "place"], ["zero"]),
        node("Add", ["x", "x"], ["twice"]),
        node("Add", ["twice", "zero"], ["y"]),
    ]
    constants = {"most": np.float32(1000.0), "nothing": np.zeros(1, np.float32)}
    return graph_bytes(
        nodes,
        initializers=[
            numpy_helper.from_array(np.asarray(value), name)
            for name, value in constants.items()
        ],
    )


def picky_bundle(folder: Path) -> Path:
    """Give the bundle of that model."""
    bundle_of(folder, picky_model())
    return folder


class Traffic:
    """The events of one job, made anew for each minute; what is spoiled can be changed."""

    def __init__(self) -> None:
        """Begin with events that are good in every respect."""
        self.bad = 0
        """So many of each minute are no JSON."""
        self.dear = 1.0
        """The amounts are so many times as large."""

    def minute(self, at: int, first_ms: int) -> list[Input]:
        """Give the events of a minute."""
        return [
            self._record(at, number, features, first_ms)
            for number, features in enumerate(self.features(at))
        ]

    def features(self, at: int) -> list[dict[str, Any]]:
        """Give what the model is asked about in a minute."""
        rows = credit_rows(PER_MINUTE, seed=at)
        return [
            {
                name: value * self.dear if name == "amount" else value
                for name, value in row.items()
                if name not in ("decision", "time") and value is not None
            }
            for row in rows
        ]

    def fields(self, number: int) -> Mapping[str, Any]:
        """Give what an event has beside its features."""
        return {}

    def _record(self, at: int, number: int, features: dict[str, Any], first_ms: int) -> Input:
        if number < self.bad:
            return Input(b"{", partition=number % PARTITIONS)
        event = {
            "id": f"e{at}-{number}",
            "time": first_ms + at * MINUTE + number * MINUTE // PER_MINUTE,
            "features": features,
            **self.fields(number),
        }
        return Input(json.dumps(event).encode(), partition=number % PARTITIONS)


class Judged(Traffic):
    """Traffic half of which a model service has decided before."""

    def fields(self, number: int) -> Mapping[str, Any]:
        return {"prediction": {"label": "approve"}} if number % 2 else {}


class Sizes(Traffic):
    """Traffic of the picky model."""

    def __init__(self) -> None:
        """Begin with sizes as in the reference."""
        super().__init__()
        self.too_large = False

    def features(self, at: int) -> list[dict[str, Any]]:
        sizes = np.random.default_rng(at).uniform(0.0, 100.0, PER_MINUTE)
        return [{"size": _TOO_LARGE if self.too_large else float(size)} for size in sizes]


class Member:
    """A sidecar, its topics and its traffic: one job of Prometheus."""

    def __init__(
        self,
        kafka: KafkaBroker,
        folder: Path,
        job: str,
        bundle: Path,
        traffic: Traffic,
        **sections: Mapping[str, Any],
    ) -> None:
        """Make the topics and start it."""
        self.job = job
        self.traffic = traffic
        self.topics = Topics(kafka.bootstrap, job)
        self.address = f"127.0.0.1:{free_port()}"
        self._kafka = kafka
        self._folder = folder
        self._config = config_of(self.topics, bundle, monitors=_WINDOWS, **sections)
        self._started: list[Sidecar] = []
        self._first_ms = SystemClock().now_ms() // MINUTE * MINUTE - LENGTH * MINUTE
        self._end = threading.Event()
        self.producers = threading.Lock()
        """Who holds it keeps the producers from sending: none can while the broker is away."""
        self._thread = threading.Thread(target=self._live)
        for topic in self.topics.all:
            self.make_topic(topic)
        self.sidecar = self.start()

    def make_topic(self, topic: str) -> None:
        """Make one of its topics."""
        policy = "compact" if topic == self.topics.state else "delete"
        self._kafka.create_topic(topic, PARTITIONS, cleanup_policy=policy)

    def delete_topic(self, topic: str) -> None:
        """Delete one of its topics."""
        self._kafka.delete_topic(topic)

    def start(self, address: str = "") -> Sidecar:
        """Start a process: after a kill one in its place, or beside it with another address."""
        folder = self._folder / f"{self.job}-{len(self._started)}"
        http = {**self._config["http"], "metrics": address or self.address}
        self._started.append(Sidecar(folder, {**self._config, "http": http}))
        return self._started[-1]

    def warm(self) -> None:
        """Send the minutes in which windows are learned, then let time pass."""
        for at in range(0, LEARNED, _AT_ONCE):
            minutes = range(at, at + _AT_ONCE)
            self.topics.send(
                [r for m in minutes for r in self.traffic.minute(m, self._first_ms)]
            )
        self._thread.start()

    def _live(self) -> None:
        at = LEARNED
        while not self._end.wait(1.0):
            with self.producers:
                self.topics.send(self.traffic.minute(at, self._first_ms))
            at += 1

    def close(self) -> None:
        """End traffic and processes; none may have shown a traceback."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        for sidecar in self._started:
            sidecar.kill()
        for sidecar in self._started:
            assert "Traceback" not in sidecar.output
            assert [line for line in sidecar.log if "exception" in line] == []
