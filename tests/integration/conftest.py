"""Sidecars and topics for the tests of the whole service."""

import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sidecar.demo.broker import EmbeddedBroker
from tests.brokers.kafka import KafkaBroker
from tests.bundle_factory import credit_bundle
from tests.image.building import CannotBuildError, Image, build
from tests.integration.service import PARTITIONS, Sidecar, Topics, config_of, of_this_tree
from tests.kube.apiserver import ApiServer
from tests.kube.rendered import PAIRS
from tests.kube.tools import NoToolsError, tool

__all__ = ["credit_bundle"]

Launch = Callable[..., Sidecar]


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedBroker]:
    """The embedded broker, shared: its tests have topics of their own and leave it up."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image, built without extras."""
    folder = tmp_path_factory.mktemp("image")
    try:
        yield build(folder)
    except CannotBuildError as reason:
        pytest.skip(str(reason))
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def mock_topics(embedded: EmbeddedBroker) -> Topics:
    """Fresh topics on the embedded broker."""
    topics = Topics(embedded.bootstrap_servers[0], f"credit-{uuid.uuid4().hex[:8]}")
    for topic in topics.all:
        embedded.create_topic(topic, PARTITIONS)
    return topics


@pytest.fixture
def kafka_topics(kafka: KafkaBroker) -> Topics:
    """Fresh topics on the real broker."""
    topics = Topics(kafka.bootstrap, f"credit-{uuid.uuid4().hex[:8]}")
    for topic in topics.all:
        cleanup = "compact" if topic == topics.state else "delete"
        kafka.create_topic(topic, PARTITIONS, cleanup_policy=cleanup)
    return topics


@pytest.fixture(
    params=[
        pytest.param("mock_topics", marks=pytest.mark.mock_kafka),
        pytest.param("kafka_topics", marks=pytest.mark.kafka),
    ]
)
def topics(request: pytest.FixtureRequest) -> Topics:
    """Fresh topics on either broker."""
    fresh: Topics = request.getfixturevalue(request.param)
    return fresh


@pytest.fixture
def launch(tmp_path: Path, credit_bundle: Path) -> Iterator[Launch]:
    """Start sidecars; none outlives the test, and none may have shown a traceback."""
    started: list[Sidecar] = []

    def start(
        topics: Topics,
        command: Callable[[Path], list[str]] = of_this_tree,
        **sections: Mapping[str, Any],
    ) -> Sidecar:
        config = config_of(topics, credit_bundle, **sections)
        sidecar = Sidecar(tmp_path / f"sidecar-{len(started)}", config, command)
        started.append(sidecar)
        return sidecar

    yield start
    for sidecar in started:
        sidecar.kill()
    for sidecar in started:
        assert "Traceback" not in sidecar.output
        assert [line for line in sidecar.log if "exception" in line] == []


@pytest.fixture(scope="session")
def kube_tools() -> None:
    """Helm, kustomize and the rest, built when this is the first time."""
    try:
        tool("helm")
    except NoToolsError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def cluster(kube_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server with the namespaces of all overlays, each restricted."""
    server = ApiServer(tmp_path_factory.mktemp("cluster"))
    try:
        server.start()
        for name in {pair.namespace for pair in PAIRS.values()} | {"kafka", "monitoring"}:
            server.namespace(name)
        yield server
    finally:
        server.stop()
