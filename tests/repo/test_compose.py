"""The compose file: valid, pinned, closed, and each name in it is of something that exists."""

import copy
import hashlib
import json
import re
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from sidecar import __version__
from sidecar.cli.run import _GRACE_S
from sidecar.config.load import load_settings
from sidecar.config.settings import HttpSettings
from sidecar.config.values import Duration
from tests.compose import COMPOSE, DEPLOY, SERVICES, mounted_at, mounts, topics
from tests.image.dockerfile import ROOT, stages
from tests.published import DATA
from tests.repo.test_alerts import MONITORING

SCHEMA: dict[str, Any] = json.loads((DATA / "compose" / "compose-spec.json").read_text())
PORTS = {
    "kafka": 9092,
    "sidecar": 9464,
    "prometheus": 9090,
    "alertmanager": 9093,
    "grafana": 3000,
}
"""Those at which each is asked; of others than the sidecar as their makers say."""
SETTINGS = load_settings(
    mounted_at("sidecar", "/etc/sidecar/sidecar.yaml"), SERVICES["sidecar"]["environment"]
)


def complaints(compose: dict[str, Any]) -> list[str]:
    validator = Draft7Validator(SCHEMA)
    return [error.json_path for error in validator.iter_errors(compose)]


def test_it_keeps_to_the_specification() -> None:
    assert complaints(COMPOSE) == []


def test_the_schema_notices_a_mistake() -> None:
    worse = copy.deepcopy(COMPOSE)
    worse["services"]["sidecar"]["imagine"] = "sidecar"

    assert complaints(worse) == ["$.services.sidecar"]


def test_the_schema_is_the_stated_one() -> None:
    readme = (DATA / "compose" / "README.md").read_text(encoding="utf-8")
    content = (DATA / "compose" / "compose-spec.json").read_bytes()

    assert f"| `compose-spec.json` | {len(content)} |" in readme
    assert hashlib.sha256(content).hexdigest() in readme


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_pinned_by_its_version(service: str) -> None:
    assert re.fullmatch(r"(\w+/)?\w+:v?\d+\.\d+\.\d+", SERVICES[service]["image"])


def test_the_image_of_the_sidecar_is_built_from_here() -> None:
    build = SERVICES["sidecar"]["build"]

    assert SERVICES["sidecar"]["image"] == f"sidecar:{__version__}"
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


@pytest.mark.parametrize("service", SERVICES)
def test_a_mount_exists_and_cannot_be_written(service: str) -> None:
    named = {
        entry.split(":")[0]
        for entry in SERVICES[service].get("volumes", [])
        if "/" not in entry.split(":")[0]
    }

    assert all(source.exists() for source in mounts(service))
    assert all(e.endswith(":ro") for e in SERVICES[service].get("volumes", []) if "/" in e[:2])
    assert named <= COMPOSE["volumes"].keys()


@pytest.mark.parametrize("service", SERVICES)
def test_only_this_host_reaches_a_service(service: str) -> None:
    published = SERVICES[service].get("ports", [])

    assert all(entry.startswith("127.0.0.1:") for entry in published)
    assert {int(entry.split(":")[2]) for entry in published} <= {*PORTS.values(), 9465}


def test_the_sidecar_has_no_rights_and_time_to_stop() -> None:
    service = SERVICES["sidecar"]
    grace = Duration.parse(service["stop_grace_period"]).seconds

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert grace > SETTINGS.limits.shutdown.seconds + _GRACE_S


def test_the_sidecar_listens_where_it_is_asked() -> None:
    listening = {SETTINGS.http.metrics.port, SETTINGS.http.admin.port}
    published = {int(entry.split(":")[2]) for entry in SERVICES["sidecar"]["ports"]}

    assert SETTINGS.http.metrics == HttpSettings().metrics
    assert published == listening
    assert stages()[-1].last("EXPOSE") == str(SETTINGS.http.metrics.port)
    assert SETTINGS.kafka.bootstrap_servers == [f"kafka:{PORTS['kafka']}"]


def test_the_topics_that_are_made_are_those_that_it_uses() -> None:
    made = {topic.name: topic for topic in topics()}
    prefix = str(SETTINGS.name)
    events = made[SETTINGS.topics.events]
    state = made[f"{prefix}.state"]

    assert made.keys() == {
        f"{prefix}.{name}"
        for name in ("events", "decisions", "dead-letters", "signals", "state")
    }
    assert made[f"{prefix}.decisions"].partitions == state.partitions == events.partitions
    assert state.config == {"cleanup.policy": "compact", "segment.ms": "600000"}


def test_prometheus_and_grafana_ask_services_that_exist() -> None:
    prometheus = yaml.safe_load(
        mounted_at("prometheus", "/etc/prometheus/prometheus.yml").read_text()
    )
    (job,) = prometheus["scrape_configs"]
    (alertmanager,) = prometheus["alerting"]["alertmanagers"]
    datasources = mounted_at("grafana", "/etc/grafana/provisioning/datasources/sidecar.yaml")
    (source,) = yaml.safe_load(datasources.read_text())["datasources"]
    asked = [
        *job["static_configs"][0]["targets"],
        *alertmanager["static_configs"][0]["targets"],
        source["url"].removeprefix("http://"),
    ]

    assert job["job_name"] == f"sidecar-{SETTINGS.name}"
    assert job.get("metrics_path", "/metrics") == "/metrics"
    assert asked == [
        f"{name}:{PORTS[name]}" for name in ("sidecar", "alertmanager", "prometheus")
    ]


def test_what_watches_it_is_what_is_shipped() -> None:
    provided = mounted_at("grafana", "/etc/grafana/provisioning/dashboards/sidecar.yaml")
    (provider,) = yaml.safe_load(provided.read_text())["providers"]

    assert mounted_at("prometheus", "/etc/prometheus/rules.yaml") == MONITORING / "rules.yaml"
    assert (
        mounted_at("alertmanager", "/etc/alertmanager/alertmanager.yml")
        == MONITORING / "alertmanager.yaml"
    )
    assert mounted_at("grafana", provider["options"]["path"]) == MONITORING / "dashboards"
