"""What the example for Alertmanager silences: no page for a ticket, and nothing in a circle."""

import re
from graphlib import TopologicalSorter
from typing import Any

import pytest
import yaml

from tests.repo.test_alerts import ALERTS, MONITORING, TESTS

CONFIG: dict[str, Any] = yaml.safe_load((MONITORING / "alertmanager.yaml").read_text())
INHIBITIONS: list[dict[str, Any]] = CONFIG["inhibit_rules"]
LABELS = {
    case["alertname"]: expected["exp_labels"]
    for test in TESTS
    for case in test["alert_rule_test"]
    for expected in case["exp_alerts"]
}
"""Those of each alert, as its unit test has them."""


def names(matchers: list[str]) -> set[str]:
    """The alerts that matchers of their name select."""
    (pattern,) = re.findall(r'alertname=~?"([^"]+)"', " ".join(matchers))
    return {name for name in ALERTS if re.fullmatch(pattern, name)}


def silenced() -> set[tuple[str, str]]:
    """Each source with each of its targets."""
    return {
        (source, target)
        for rule in INHIBITIONS
        for source in names(rule["source_matchers"])
        for target in names(rule["target_matchers"])
    }


@pytest.mark.parametrize(
    "rule", INHIBITIONS, ids=lambda rule: " ".join(rule["source_matchers"])
)
def test_an_inhibition_names_alerts_that_exist_and_labels_that_they_have(
    rule: dict[str, Any],
) -> None:
    matchers = [*rule["source_matchers"], *rule["target_matchers"]]
    sources, targets = names(rule["source_matchers"]), names(rule["target_matchers"])
    spelled = {name for text in matchers for name in re.findall(r'Sidecar\w+(?=["|])', text)}

    assert sources
    assert targets
    assert spelled <= ALERTS.keys()
    assert all(set(rule["equal"]) <= LABELS[name].keys() for name in sources | targets)


def test_a_ticket_never_silences_a_page() -> None:
    severity = {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}

    assert ("warning", "critical") not in {
        (severity[source], severity[target]) for source, target in silenced()
    }


def test_what_is_silenced_never_silences_its_source() -> None:
    graph: dict[str, set[str]] = {}
    for source, target in silenced():
        graph.setdefault(target, set()).add(source)

    assert set(TopologicalSorter(graph).static_order()) <= ALERTS.keys()
