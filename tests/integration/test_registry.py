"""The running service on a real broker, with producers that write by a schema registry."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry.schema_registry_client import AsyncSchemaRegistryClient

from tests.brokers.registry import HttpRegistry
from tests.bundle_factory import EVENT
from tests.integration.conftest import Launch
from tests.integration.service import OK, PARTITIONS, Headers, Input, Topics, eventually, ids
from tests.registry_samples import FRAMINGS, avro_serialiser, json_serialiser, serialised

EACH = 600
AVRO: dict[str, Any] = {
    "type": "record",
    "name": "Application",
    "fields": [
        {"name": "id", "type": "string"},
        {
            "name": "features",
            "type": {
                "type": "record",
                "name": "Features",
                "fields": [
                    {"name": "amount", "type": "double"},
                    {"name": "income", "type": ["null", "float"], "default": None},
                    {"name": "age", "type": "int"},
                    {"name": "is_customer", "type": "boolean"},
                    {"name": "segment", "type": "string"},
                    {"name": "region", "type": "long"},
                ],
            },
        },
    ],
}


@pytest.fixture
def registry() -> Iterator[HttpRegistry]:
    server = HttpRegistry().start()
    yield server
    server.stop()


def written(url: str, count: int, first: int = 0) -> list[Input]:
    """Events as Confluent's serialisers write them: Avro and JSON Schema, in both framings."""

    async def write() -> list[Input]:
        client = AsyncSchemaRegistryClient.new_client({"url": url})
        serialisers = [
            serialiser
            for framing in FRAMINGS
            for serialiser in (
                await avro_serialiser(client, framing, AVRO),
                await json_serialiser(client, framing),
            )
        ]
        inputs = []
        for at in range(first, first + count):
            sent = {"id": f"e{at}", "features": EVENT}
            value, headers = await serialised(serialisers[at % 4], sent)
            named: Headers = tuple(headers)
            inputs.append(Input(value, b"k%d" % at, named, at % PARTITIONS))
        await client.aclose()
        return inputs

    return asyncio.run(write())


def config_for(registry: HttpRegistry) -> Mapping[str, Any]:
    return {"url": registry.url, "timeout": "1s", "unknown_for": "1s"}


@pytest.mark.kafka
def test_each_schema_is_asked_for_once_and_every_event_is_decided(
    kafka_topics: Topics, launch: Launch, registry: HttpRegistry
) -> None:
    records = written(registry.url, EACH)
    registry.asked.clear()

    sidecar = launch(kafka_topics, registry=config_for(registry)).working()
    kafka_topics.send(records)
    eventually(kafka_topics.settled, "a committed outcome of every event", 60)
    books = sidecar.books()
    code = sidecar.stop()

    assert code == 0
    assert sorted(ids(kafka_topics.read(kafka_topics.decisions))) == sorted(
        f"e{at}" for at in range(EACH)
    )
    assert books == {"received": EACH, "decided": EACH, "rejected": 0, "tombstones": 0}
    # Two schemas, each by its number and by its GUID.
    assert sorted(registry.asked.values()) == [1, 1, 1, 1]


@pytest.mark.kafka
def test_a_registry_that_is_away_loses_nothing_and_refuses_nothing(
    kafka_topics: Topics, launch: Launch, registry: HttpRegistry
) -> None:
    records = written(registry.url, EACH)
    unknown = Input(b"\x00\x00\x00\x03\xe7{}", partition=0)
    registry.stop()

    sidecar = launch(kafka_topics, registry=config_for(registry)).working()
    kafka_topics.send([unknown, *records[: EACH // 2]])
    said = sidecar.becomes("registry_unreachable")
    alive = sidecar.probe("/livez")
    before = kafka_topics.read(kafka_topics.decisions), kafka_topics.read(kafka_topics.letters)
    kafka_topics.send(records[EACH // 2 :])
    registry.start()
    eventually(kafka_topics.settled, "a committed outcome of every event", 60)
    sidecar.becomes()
    (letter,) = kafka_topics.read(kafka_topics.letters)
    decided = ids(kafka_topics.read(kafka_topics.decisions))

    assert (said.status, alive[:2]) == (503, OK)
    assert before == ([], [])
    assert sorted(decided) == sorted(f"e{at}" for at in range(EACH))
    assert letter.error("code") == "unknown_schema"
    assert sidecar.sample("sidecar_registry_lookups_total", outcome="unavailable") > 0
    assert sidecar.stop() == 0


@pytest.mark.kafka
def test_a_member_that_waits_for_the_registry_leaves_the_group_in_time(
    kafka_topics: Topics, launch: Launch, registry: HttpRegistry
) -> None:
    records = written(registry.url, 40)
    registry.stop()

    waiting = launch(kafka_topics, registry=config_for(registry)).working()
    kafka_topics.send(records)
    waiting.becomes("registry_unreachable")
    second = launch(kafka_topics, registry=config_for(registry)).working()
    code = waiting.stop(8)
    registry.start()
    eventually(kafka_topics.settled, "a committed outcome of every event", 60)

    decided = ids(kafka_topics.read(kafka_topics.decisions))
    assert code in (0, 1)  # what it had read and given back at the rebalance is not its own
    assert sorted(decided) == sorted(f"e{at}" for at in range(40))
    assert second.stop() == 0


async def in_avro(url: str, schema: dict[str, Any]) -> Input:
    client = AsyncSchemaRegistryClient.new_client({"url": url})
    serialiser = await avro_serialiser(client, "prefix", schema)
    value, _ = await serialised(serialiser, {"id": "e0", "features": EVENT})
    await client.aclose()
    return Input(value, partition=0)


@pytest.mark.mock_kafka
def test_a_dead_letter_in_avro_is_shown_by_its_schema(
    mock_topics: Topics, launch: Launch, registry: HttpRegistry, tmp_path: Path
) -> None:
    schema = json.loads(json.dumps(AVRO).replace('"int"', '"double"'))
    event = asyncio.run(in_avro(registry.url, schema))
    config = tmp_path / "sidecar-0" / "sidecar.yaml"

    def show() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sidecar", "dlq", "show", str(config), "0:0"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    patient = {**config_for(registry), "timeout": "30s"}
    sidecar = launch(mock_topics, registry=patient).working()
    mock_topics.send([event])
    eventually(mock_topics.settled, "a committed outcome of the event")
    assert sidecar.stop() == 0
    shown = show()
    registry.stop()
    alone = show()

    assert "code       wrong_type\n" in shown
    assert "schema     1\n" in shown
    assert "bytes of Avro; values are masked" in shown
    assert '    "age": <number>,  <== here\n' in shown
    assert "schema     1: " in alone
    assert "which cannot be read" in alone


@pytest.mark.mock_kafka
def test_without_a_registry_the_dead_letter_says_what_to_set(
    mock_topics: Topics, launch: Launch, registry: HttpRegistry
) -> None:
    records = written(registry.url, 4)

    sidecar = launch(mock_topics).working()
    mock_topics.send(records)
    eventually(mock_topics.settled, "a committed outcome of every event")

    letters = mock_topics.read(mock_topics.letters)
    assert {letter.error("code") for letter in letters} == {"registry_prefix"}
    assert sorted(letter.error("path") for letter in letters) == [
        "$",
        "$",
        "headers.__value_schema_id",
    ]
    assert all("`registry.url`" in letter.error("message") for letter in letters)
    # JSON by the header form needs no registry.
    assert ids(mock_topics.read(mock_topics.decisions)) == ["e3"]
    assert sidecar.stop() == 0
