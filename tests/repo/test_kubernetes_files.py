"""Repo: what `make docs` writes for Kubernetes is committed, and says what its sources say."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from sidecar.config.settings import SidecarSettings
from tools.kubernetes.values import Values
from tools.kubernetes.write import DEPLOY, texts

CHART = DEPLOY / "chart"
SCHEMA = msgspec.json.decode((CHART / "values.schema.json").read_bytes())
CONFIG = {
    "kafka": {"bootstrap_servers": ["broker:9092"]},
    "topics": {"events": "credit.events"},
    "model": {"bundle": "/models/credit/7"},
}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.name)
def test_the_committed_file_is_the_generated_one(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == texts()[path], "run `make docs`"


def test_the_operator_gets_the_rules_that_are_tested() -> None:
    monitoring = DEPLOY / "monitoring"

    assert read(monitoring / "prometheusrule.yaml")["spec"] == read(monitoring / "rules.yaml")


def test_every_dashboard_is_in_a_config_map() -> None:
    files = [
        file
        for each in read(DEPLOY / "monitoring" / "kustomization.yaml")["configMapGenerator"]
        for file in each["files"]
    ]
    boards = (DEPLOY / "monitoring" / "dashboards").iterdir()

    assert sorted(files) == sorted(f"dashboards/{path.name}" for path in boards)


# --- values of the chart ---------------------------------------------------------------------


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_chart_says_the_defaults_of_its_schema() -> None:
    said = read(CHART / "values.yaml")
    config = msgspec.convert(CONFIG, SidecarSettings, dec_hook=lambda kind, value: kind(value))

    held = msgspec.to_builtins(Values(config=config), enc_hook=str)

    assert {**said, "config": 0, "global": 0} == {**held, "config": 0, "global": 0}


@pytest.mark.parametrize(
    "changed",
    [
        {"config": None},
        {"config": CONFIG | {"model": {"bundle": "/models/credit/7", "time_out": "3s"}}},
        {"config": CONFIG | {"limits": {"shutdown": "soon"}}},
        {"replica": 3},
        {"replicas": 0},
        {"form": "daemon"},
        {"image": {"digest": "sha256:short"}},
        {"bundle": {"image": {"repository": "bundle", "tag": "7"}}},
        {"autoscaling": {"min": 1, "max": 3}},
    ],
    ids=str,
)
def test_a_value_that_is_none_is_refused(changed: dict[str, Any]) -> None:
    values = read(CHART / "values.yaml") | {"config": CONFIG}

    assert Draft202012Validator(SCHEMA).is_valid(values)
    assert not Draft202012Validator(SCHEMA).is_valid(values | changed)
