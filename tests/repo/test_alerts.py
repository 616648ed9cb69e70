"""Rules, their unit tests and runbooks speak of the same alerts, and of metrics that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.telemetry.catalogue import CATALOGUE, EVENT_AGE
from sidecar.telemetry.spec import Kind

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RUNBOOKS = ROOT / "docs" / "runbooks"
INDEX = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
GROUPS: list[dict[str, Any]] = yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
TESTS: list[dict[str, Any]] = [
    test
    for path in MONITORING.glob("*.test.yaml")
    for test in yaml.safe_load(path.read_text())["tests"]
]
SECTIONS = ["## Meaning", "## Impact", "## First", "## Causes, and what mends them"]
PAGES_FOR_DRIFT = {"SidecarDatasetDrift"}
SERIES = {
    name
    for spec in CATALOGUE
    for name in (
        [spec.name, *(f"{spec.name}_{part}" for part in ("bucket", "count", "sum"))]
        if spec.kind is Kind.HISTOGRAM
        else [spec.name]
    )
}


def metrics_of(query: str) -> set[str]:
    """The sidecar's own series in a query, without what is recorded from them."""
    return set(re.findall(r"(?<![:\w])sidecar_\w+", query))


def test_each_alert_has_its_page_and_stands_in_the_index() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| (.+) \|$", INDEX, re.MULTILINE)

    assert pages == ALERTS.keys()
    assert [
        (name, name, rule["labels"]["severity"], rule["annotations"]["summary"])
        for name, rule in ALERTS.items()
    ] == rows


def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_is_quiet() -> None:
    tried = [
        (case["alertname"], bool(case["exp_alerts"]))
        for test in TESTS
        for case in test["alert_rule_test"]
    ]

    assert sorted(tried) == sorted((name, fires) for name in ALERTS for fires in (False, True))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_must(name: str) -> None:
    rule = ALERTS[name]
    page = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    severity, summary = rule["labels"]["severity"], rule["annotations"]["summary"]

    assert severity in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert [line for line in page.splitlines() if line.startswith("## ")] == SECTIONS
    assert page.startswith(f"# {name}\n\n*{severity}: ")
    assert summary in page
    commands = page.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert len(commands) == 3


def test_drift_is_a_ticket_but_for_many_features_at_once() -> None:
    pages = {
        name
        for name, rule in ALERTS.items()
        if "drift" in rule["expr"] and rule["labels"]["severity"] == "critical"
    }

    assert pages == PAGES_FOR_DRIFT


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    recorded = {each["record"] for each in RULES if "record" in each}

    assert metrics_of(rule["expr"]) <= SERIES
    assert set(re.findall(r"(?:job|slo):[\w:]+", rule["expr"])) <= recorded


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_names_metrics_that_exist(path: Path) -> None:
    # Log events have the same prefix; what is a metric has a label, or stands in a query.
    events = {"sidecar_failed"}

    assert metrics_of(path.read_text(encoding="utf-8")) - events <= SERIES


def test_the_objective_in_time_is_a_bucket_bound() -> None:
    bounds = {match for rule in RULES for match in re.findall(r'le="([\d.]+)"', rule["expr"])}

    assert bounds == {"5.0"}
    assert {float(bound) for bound in bounds} <= set(EVENT_AGE.buckets)


def test_alerts_burn_the_budget_that_the_objective_leaves() -> None:
    numbers = {
        (rule["record"], rule["labels"]["sloth_slo"]): float(rule["expr"][len("vector(") : -1])
        for rule in RULES
        if rule.get("record") in ("slo:objective:ratio", "slo:error_budget:ratio")
    }

    for (record, slo), objective in numbers.items():
        if record == "slo:objective:ratio":
            budget = numbers["slo:error_budget:ratio", slo]
            assert budget == pytest.approx(1 - objective)
            factors = {
                float(factor)
                for rule in ALERTS.values()
                for factor in re.findall(
                    rf'sloth_id="sidecar-{slo}"}} > [\d.]+ \* ([\d.]+)', rule["expr"]
                )
            }
            assert factors == {budget}
