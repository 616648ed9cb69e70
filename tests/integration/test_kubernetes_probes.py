"""What a pod asks of the sidecar, asked of a real one with the config of that pod.

Brokers and Secret are missing, as on a bad day: who is restarted, who leaves a Service?
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sidecar.config.settings import HttpSettings
from tests.integration.service import Sidecar, eventually
from tests.kube.rendered import PAIRS, config_text, containers, objects, pod_spec, rendered
from tests.kube.rendered import sidecar as sidecar_of

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("kube_tools")]

BESIDE = ("native-sidecar", "ordinary-container")
PORT = "sidecar-metrics"


@contextmanager
def started(name: str, folder: Path, bundle: Path) -> Iterator[Sidecar]:
    """Run a pod's config: with this machine's bundle, and where nothing answers."""
    config = yaml.safe_load(config_text(objects(rendered("kustomize", name))))
    config["model"]["bundle"] = str(bundle)
    config["kafka"]["bootstrap_servers"] = ["127.0.0.1:1"]
    http = config.get("http", {})
    config["http"] = {**http, "metrics": "127.0.0.1:0", "admin": "127.0.0.1:0"}
    process = Sidecar(folder / name, config)
    try:
        yield process
    finally:
        process.kill()


def probes(name: str) -> dict[str, dict[str, Any]]:
    container = sidecar_of(pod_spec(objects(rendered("kustomize", name))))
    return {
        kind: container[kind]["httpGet"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
        if kind in container
    }


@pytest.mark.parametrize("name", PAIRS)
def test_without_kafka_a_pod_lives_and_beside_a_service_it_is_ready(
    name: str, tmp_path: Path, credit_bundle: Path
) -> None:
    asked = probes(name)
    assert asked.keys() >= {"livenessProbe", "readinessProbe"}
    wanted = dict.fromkeys(asked, 200)
    if name not in BESIDE:
        wanted["readinessProbe"] = 503

    with started(name, tmp_path, credit_bundle) as process:
        process.said("kafka_unavailable")

        answers: dict[str, int] = {}

        def look() -> bool:
            answers.update({kind: process.get(get["path"])[0] for kind, get in asked.items()})
            return answers == wanted

        eventually(look, lambda: f"{wanted}, not {answers}")
        assert process.runs


def test_beside_a_service_nothing_waits_for_the_sidecars_model() -> None:
    assert [kind for name in BESIDE for kind in probes(name) if kind == "startupProbe"] == []


@pytest.mark.parametrize("name", PAIRS)
def test_one_port_is_named_everywhere_and_is_that_of_the_listener(name: str) -> None:
    found = objects(rendered("kustomize", name))
    listener = yaml.safe_load(config_text(found)).get("http", {}).get("metrics")
    named = {
        port["name"]: port["containerPort"]
        for container in containers(pod_spec(found))
        for port in container.get("ports", [])
    }
    services = [each["spec"]["ports"] for each in found if each["kind"] == "Service"]
    scrapes = [
        end["port"]
        for each in found
        if each["kind"] in ("ServiceMonitor", "PodMonitor")
        for end in each["spec"].get("endpoints", each["spec"].get("podMetricsEndpoints"))
    ]

    assert listener is None
    assert named[PORT] == HttpSettings().metrics.port
    assert {get["port"] for get in probes(name).values()} == {PORT}
    for (port,) in services:
        assert port == {"name": PORT, "port": named[PORT], "targetPort": PORT}
    assert set(scrapes) <= {PORT}
    assert scrapes or name == "dev"


def test_what_is_scraped_is_there(tmp_path: Path, credit_bundle: Path) -> None:
    with started("production", tmp_path, credit_bundle) as process:
        status, body = process.get("/metrics")

    assert status == 200
    assert "sidecar_ready" in {family.name for family in text_string_to_metric_families(body)}
