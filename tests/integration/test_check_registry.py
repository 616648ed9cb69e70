"""`check --connect` with a schema registry: each trouble is made there, and found."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from sidecar.app.checking import check_files
from sidecar.clock import SystemClock
from sidecar.demo.broker import EmbeddedBroker
from tests.brokers.kafka import free_port
from tests.brokers.registry import HttpRegistry
from tests.integration.service import Topics

pytestmark = pytest.mark.mock_kafka

WELL: list[tuple[str, str]] = []


@pytest.fixture
def server() -> Iterator[HttpRegistry]:
    registry = HttpRegistry("credit:hunter2").start()
    yield registry
    registry.stop()


async def found(
    topics: Topics,
    bundle: Path,
    folder: Path,
    registry: Mapping[str, object],
    environ: Mapping[str, str],
) -> list[tuple[str, str]]:
    """Give check and setting of what is wrong with the registry."""
    path = folder / "sidecar.yaml"
    tree = {
        "name": topics.name,
        "kafka": {"bootstrap_servers": [topics.bootstrap]},
        "topics": {"events": topics.events},
        "model": {"bundle": str(bundle)},
        "registry": registry,
    }
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    told = await check_files([path], environ, SystemClock(), connect_s=10)
    assert "hunter2" not in str(told)
    # The server of the test has no TLS, and that is another check's matter.
    clear = "registry-password-goes-in-clear"
    registries = [p for p in told if "registry" in p.check and p.check != clear]
    return [(p.check, p.path) for p in registries]


async def test_each_trouble_with_a_registry_is_found(
    mock_topics: Topics,
    embedded: EmbeddedBroker,
    credit_bundle: Path,
    tmp_path: Path,
    server: HttpRegistry,
) -> None:
    login = {"username": "credit", "password": {"env": "REGISTRY"}}
    nobody = f"http://127.0.0.1:{free_port()}"
    right, wrong = {"REGISTRY": "hunter2"}, {"REGISTRY": "hunter3"}

    async def told(
        registry: Mapping[str, object], environ: Mapping[str, str]
    ) -> list[tuple[str, str]]:
        return await found(mock_topics, credit_bundle, tmp_path, registry, environ)

    assert await told({"url": server.url, **login}, right) == WELL
    assert await told({"url": server.url, **login}, wrong) == [
        ("registry-refuses", "$.registry")
    ]
    assert await told({"url": server.url}, right) == [("registry-refuses", "$.registry")]
    assert await told({"url": server.url, **login}, {}) == [
        ("registry-credentials-cannot-be-read", "$.registry")
    ]
    assert await told({"url": nobody}, {}) == [("registry-cannot-be-reached", "$.registry.url")]
    assert await told({"url": f"{server.url}/path", **login}, right) == [
        ("registry-cannot-be-reached", "$.registry.url")
    ]
