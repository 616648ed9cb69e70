"""A replay of records that name schemas asks the registry of the config, each once."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka.schema_registry.schema_registry_client import AsyncSchemaRegistryClient

from sidecar.app.replay_input import InputChoice
from sidecar.app.replay_report import ReplayReport
from sidecar.app.replaying import ReplayRequest, replay
from sidecar.config.load import load_settings
from sidecar.errors import RegistryUnavailableError
from tests.brokers.registry import HttpRegistry
from tests.bundle_factory import EVENT
from tests.fakes import FakeClock
from tests.integration.test_registry import AVRO
from tests.registry_samples import FRAMINGS, avro_serialiser, serialised

COUNT = 40


@pytest.fixture
def registry() -> Iterator[HttpRegistry]:
    server = HttpRegistry().start()
    yield server
    server.stop()


async def record_lines(url: str) -> list[str]:
    """Give events in Avro, in both framings, as lines of a file of records."""
    client = AsyncSchemaRegistryClient.new_client({"url": url})
    serialisers = [await avro_serialiser(client, framing, AVRO) for framing in FRAMINGS]
    lines = []
    for at in range(COUNT):
        sent = {"id": f"e{at}", "features": EVENT}
        value, headers = await serialised(serialisers[at % 2], sent)
        line: dict[str, Any] = {
            **{"topic": "credit.events", "partition": 0, "offset": at},
            "timestamp": 1_772_366_400_000 + at,
            "value": {"base64": base64.b64encode(value).decode()},
            "headers": {
                name: {"base64": base64.b64encode(text or b"").decode()}
                for name, text in headers
            },
        }
        lines.append(json.dumps(line))
    await client.aclose()
    return lines


def recorded(url: str, folder: Path) -> Path:
    path = folder / "records.jsonl"
    path.write_text("\n".join(asyncio.run(record_lines(url))))
    return path


def replayed(registry: str, bundle: Path, source: Path) -> ReplayReport:
    config = source.with_name("sidecar.yaml")
    tree = {
        "kafka": {"bootstrap_servers": ["127.0.0.1:1"]},
        "topics": {"events": "credit.events"},
        "model": {"bundle": str(bundle), "max_batch_records": 7},
        "registry": {"url": registry, "timeout": "2s"},
    }
    config.write_text(yaml.safe_dump(tree))
    request = ReplayRequest(
        input=InputChoice(name=str(source)), decisions=source.with_name("decisions.jsonl")
    )
    settings = load_settings(config, {})
    return asyncio.run(replay(settings, request, clock=FakeClock(), environ={}))


def test_each_schema_is_asked_for_once(
    registry: HttpRegistry, credit_bundle: Path, tmp_path: Path
) -> None:
    source = recorded(registry.url, tmp_path)
    registry.asked.clear()

    report = replayed(registry.url, credit_bundle, source)

    decisions = (tmp_path / "decisions.jsonl").read_text().splitlines()
    assert (report.records.received, report.records.decided) == (COUNT, COUNT)
    assert [json.loads(line)["event_id"] for line in decisions] == [
        f"e{at}" for at in range(COUNT)
    ]
    assert sorted(registry.asked.values()) == [1, 1]


def test_a_registry_that_is_away_ends_the_replay_and_leaves_no_file(
    registry: HttpRegistry, credit_bundle: Path, tmp_path: Path
) -> None:
    source = recorded(registry.url, tmp_path)
    registry.stop()

    with pytest.raises(RegistryUnavailableError):
        replayed(registry.url, credit_bundle, source)

    assert not (tmp_path / "decisions.jsonl").exists()
