"""What a live run consumed, replayed: the same decisions, dead letters and drift numbers."""

import json
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import AdminClient
from pyarrow import parquet  # type: ignore[import-untyped]

from sidecar.adapters.replay_records import raw_bytes
from sidecar.clock import SystemClock
from tests.brokers.kafka import free_port
from tests.bundle_factory import EVENT, credit_rows
from tests.integration.conftest import Launch
from tests.integration.service import (
    PARTITIONS,
    Input,
    Sidecar,
    Topics,
    config_of,
    eventually,
    good_events,
)

Ranged = Callable[..., Counter[int]]
MINUTE_MS = 60_000
SECTIONS: dict[str, Any] = {
    "confidence": {"threshold": 0.75},
    "fallback": {
        "rules": [{"name": "large", "when": {"amount": {"gt": 2_500}}, "label": "review"}],
        "cache": {"max_age": "10m"},
        "default": {"label": "review"},
    },
    "monitors": {"windows": ["1h", "4h"], "lateness": "10m", "min_records": 50},
    "limits": {"dead_letter_share": 1.0},
}
BAD = (
    b"",
    b'{"id": "cut',
    b"\x00\x00\x00\x00\x01binary",
    b"\xff\xfe\xfd",
    b'{"id": 5, "features": {}}',
    b'{"id": "x", "features": {"amount": "much"}}',
)


def mixed(partition: int, count: int, now_ms: int) -> Iterator[Input]:
    """Give good, unsure, late, timeless, future and bad events and tombstones of a partition.

    Partitions are up to half an hour apart in event time, and each ends elsewhere.
    """
    dice = random.Random(partition)
    rows = credit_rows(count, seed=partition)
    for at, row in enumerate(rows):
        features = {name: row[name] for name in EVENT}
        event: dict[str, Any] = {"id": f"{partition}-{at}", "features": features}
        time_ms = now_ms - (120 - 10 * partition) * MINUTE_MS + at * 4_000
        kind = dice.random()
        if kind < 0.05:
            time_ms -= dice.randrange(60) * MINUTE_MS
        elif kind < 0.06:
            time_ms = now_ms + 3_600_000
        if kind < 0.95:
            event["time"] = time_ms
        key = b"key-%d" % (partition + PARTITIONS * dice.randrange(25))
        headers = (("trace", b"%d" % at), ("trace", None)) if at % 9 == 0 else ()
        value = json.dumps(event).encode()
        if dice.random() < 0.04:
            value = dice.choice(BAD)
        yield Input(None if at % 50 == 49 else value, key, headers, partition)


def send_in_bursts(topics: Topics, records: Sequence[Sequence[Input]]) -> None:
    """Write partitions at different speeds, so that the batches of the live run are odd."""
    dice = random.Random(5)
    left = [list(part) for part in records]
    while any(left):
        part = dice.choice([part for part in left if part])
        burst = dice.choice((1, 3, 40, 200))
        topics.send(part[:burst])
        del part[:burst]


def run_replay(config: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sidecar", "replay", config, *arguments]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=60
    )


class Live:
    """A live run that has ended, and what it left."""

    def __init__(self, topics: Topics, sidecar: Sidecar) -> None:
        eventually(topics.settled, "a committed outcome of every event", 60)
        self.topics = topics
        self.status = json.loads(sidecar.get("/api/v1/status", "status")[1])
        self.books = sidecar.books()
        assert sidecar.stop() == 0
        self.decisions = topics.read(topics.decisions)
        self.letters = topics.read(topics.letters)


@pytest.fixture
def live(kafka_topics: Topics, launch: Launch) -> Live:
    """A live run over partitions that are far apart."""
    now_ms = SystemClock().now_ms()
    records = [list(mixed(partition, 700, now_ms)) for partition in range(PARTITIONS)]
    model = {"max_batch_records": 100, "linger": "0ms"}
    sidecar = launch(kafka_topics, model=model, **SECTIONS).working()
    send_in_bursts(kafka_topics, records)
    return Live(kafka_topics, sidecar)


def write_config(path: Path, topics: Topics, bundle: Path, batch: int) -> None:
    tree = config_of(topics, bundle, model={"max_batch_records": batch}, **SECTIONS)
    path.write_text(yaml.safe_dump(tree))


def groups(topics: Topics) -> set[str]:
    admin = AdminClient({"bootstrap.servers": topics.bootstrap, "log_level": 0})
    found = admin.list_consumer_groups().result(10).valid
    return {group.group_id for group in found}


@pytest.mark.kafka
@pytest.mark.timeout(180)
@pytest.mark.parametrize("batch", [7, 4_096], ids=["small batches", "large batches"])
def test_a_replay_of_a_topic_gives_what_the_live_run_gave(
    live: Live, tmp_path: Path, credit_bundle: Path, batch: int
) -> None:
    write_config(path := tmp_path / "c.yaml", live.topics, credit_bundle, batch)
    before = groups(live.topics), live.topics.committed()
    files = {name: tmp_path / name for name in ("d.jsonl", "d.parquet", "l.jsonl", "r.json")}

    lines = ("--decisions", files["d.jsonl"], "--dead-letters", files["l.jsonl"])
    done = run_replay(path, "topic", *lines, "--report", files["r.json"])
    table = run_replay(path, f"kafka:{live.topics.events}", "--decisions", files["d.parquet"])

    assert (done.returncode, done.stderr, table.returncode) == (0, "", 0)
    keys = parquet.read_table(files["d.parquet"], columns=["partition", "key"]).to_pylist()
    values = files["d.jsonl"].read_bytes().splitlines()
    assert by_partition(
        (row["partition"], row["key"], value) for row, value in zip(keys, values, strict=True)
    ) == by_partition((record.partition, record.key, record.value) for record in live.decisions)
    assert letters(files["l.jsonl"]) == by_partition(
        (record.partition, record.key, (record.value, list(record.headers)))
        for record in live.letters
    )
    report = json.loads(files["r.json"].read_bytes())
    assert report["monitors"] == live.status["monitors"]
    assert report["records"] == {**live.books, "joined": 0}
    assert report["sources"] == decided(live)
    assert (groups(live.topics), live.topics.committed()) == before


def by_partition(rows: Iterator[tuple[int, Any, Any]]) -> dict[int, list[tuple[Any, Any]]]:
    found: dict[int, list[tuple[Any, Any]]] = defaultdict(list)
    for partition, key, value in rows:
        found[partition].append((key, value))
    return dict(found)


def letters(path: Path) -> dict[int, list[tuple[Any, Any]]]:
    lines = map(json.loads, path.read_bytes().splitlines())
    return by_partition(
        (
            line["partition"],
            as_bytes(line["key"]),
            (as_bytes(line["value"]), [(name, as_bytes(text)) for name, text in headers(line)]),
        )
        for line in lines
    )


def headers(line: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Give the headers of a line: an object, or pairs where a name comes twice."""
    shown = line["headers"]
    return list(shown.items()) if isinstance(shown, dict) else list(map(tuple, shown))


def as_bytes(shown: object) -> bytes | None:
    return raw_bytes(json.dumps(shown).encode())


@pytest.mark.kafka
@pytest.mark.timeout(180)
def test_the_live_run_is_worth_replaying(live: Live) -> None:
    """Guards the test above: each kind of outcome is there, and partitions are apart."""
    sources = live.status["rates"]["decisions_total"]
    monitors = live.status["monitors"]

    assert all(sources[name] > 20 for name in ("model", "rule", "cache", "default"))
    assert live.books["rejected"] > 50
    assert live.books["tombstones"] == 14 * PARTITIONS
    assert monitors["late"] > 20
    assert monitors["future"] > 5
    assert all(window["subjects"][0]["scores"] for window in monitors["windows"])


def decided(live: Live) -> dict[str, int]:
    totals: dict[str, int] = live.status["rates"]["decisions_total"]
    return {source: count for source, count in totals.items() if count}


# --- ranges --------------------------------------------------------------------------------


@pytest.fixture
def ranged(tmp_path: Path, credit_bundle: Path) -> Ranged:
    """Replay a part of a topic with ten events per partition; count decisions by partition."""
    config, out = tmp_path / "c.yaml", tmp_path / "d.jsonl"
    filled: set[str] = set()

    def decisions(topics: Topics, *arguments: str) -> Counter[int]:
        if topics.name not in filled:
            topics.send(good_events(10 * PARTITIONS))
            filled.add(topics.name)
        write_config(config, topics, credit_bundle, 16)
        done = run_replay(config, "topic", "--decisions", out, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        ids = [json.loads(line)["id"] for line in out.read_bytes().splitlines()]
        return Counter(int(each.split("-")[1]) for each in ids)

    return decisions


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), {0: 10, 1: 10, 2: 10, 3: 10}),
        (("--from", "4"), {0: 6, 1: 6, 2: 6, 3: 6}),
        (("--from", "4", "--to", "5"), {0: 1, 1: 1, 2: 1, 3: 1}),
        (("--to", "0:3,2:1"), {0: 3, 2: 1}),
        (("--from", "0:3,2:9", "--to", "0:8,2:400"), {0: 5, 2: 1}),
    ],
    ids=["all", "from", "both", "partitions", "both by partition"],
)
def test_a_range_is_what_is_replayed(
    topics: Topics, ranged: Ranged, arguments: tuple[str, ...], expected: dict[int, int]
) -> None:
    assert ranged(topics, *arguments) == Counter(expected)


@pytest.mark.kafka
def test_a_range_of_time_begins_and_ends_with_the_first_record_then(
    kafka_topics: Topics, ranged: Ranged
) -> None:
    everything = {0: 10, 1: 10, 2: 10, 3: 10}

    assert ranged(kafka_topics, "--from", "2020-01-01T00:00:00Z") == everything
    assert ranged(kafka_topics, "--to", "2120-01-01T01:00:00+01:00") == everything
    assert ranged(kafka_topics, "--from", "2120-01-01T00:00:00Z") == {}
    assert ranged(kafka_topics, "--to", "2020-01-01T00:00:00Z") == {}


@pytest.mark.mock_kafka
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("kafka:nowhere",), "nowhere: does not exist, or may not be seen by this user"),
        (("topic", "--from", "9:0"), "--from, --to: the topic has no partition 9"),
        (("topic", "--from", "0:1", "--to", "1:1"), "do not name the same partitions"),
        (("topic", "--from", "soon"), "--from: `soon` is no offset and no time"),
        (("topic", "--id", "x"), "--id: has no meaning for a topic"),
    ],
    ids=["topic", "partition", "two lists", "place", "option"],
)
def test_a_range_that_cannot_be_is_refused(
    mock_topics: Topics,
    tmp_path: Path,
    credit_bundle: Path,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    write_config(config := tmp_path / "c.yaml", mock_topics, credit_bundle, 16)

    done = run_replay(config, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Mend: " in done.stderr


def test_brokers_that_do_not_answer_are_a_failure(tmp_path: Path, credit_bundle: Path) -> None:
    topics = Topics(f"127.0.0.1:{free_port()}", "credit")
    write_config(config := tmp_path / "c.yaml", topics, credit_bundle, 16)

    done = run_replay(config, "topic", "--decisions", tmp_path / "d.jsonl")

    assert (done.returncode, done.stdout) == (1, "")
    assert "ConnectionRefusedError" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml"]
