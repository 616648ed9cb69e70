"""What every load test needs: a broker, the bundle, and a topic with events."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from loadtests import data
from loadtests.bundle import MODEL, build_bundle
from loadtests.race import Plan
from loadtests.topics import Topics
from sidecar.clock import SystemClock
from tests.brokers.kafka import KafkaBroker


@contextmanager
def broker(given: str | None, folder: Path) -> Iterator[str]:
    """Give the brokers that are named, or start one and end it afterwards."""
    if given:
        yield given
        return
    own = KafkaBroker(folder / "broker")
    try:
        own.start()
        yield own.bootstrap
    finally:
        own.stop()


def prepare(brokers: str, folder: Path, records: int) -> Plan:
    """Build the bundle and fill the topic that everybody reads; without records it is none."""
    logs = folder / "logs"
    logs.mkdir()
    bundle = build_bundle(folder)
    now_ms = SystemClock().now_ms()
    events = f"loadtest-{now_ms}.events"
    first_ms = now_ms - records * 1_000 // data.EVENT_RATE
    if records:
        with closing(Topics(brokers)) as topics:
            topics.create([events])
            print(f"writing {records:,} events", flush=True)
            topics.fill(events, data.records(records, first_ms=first_ms))
    return Plan(events=events, records=records, model=MODEL, bundle=bundle, logs=logs)


@contextmanager
def prepared(given: str | None, prefix: str, records: int) -> Iterator[tuple[Plan, str]]:
    """Do both in a folder of their own, and give the plan and the brokers."""
    with (
        tempfile.TemporaryDirectory(prefix=prefix) as folder,
        broker(given, Path(folder)) as brokers,
    ):
        yield prepare(brokers, Path(folder), records), brokers
