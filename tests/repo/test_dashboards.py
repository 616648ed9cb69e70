"""Dashboards are those of the code, ask for what exists, show all of it, lead to runbooks."""

import re
from itertools import pairwise
from typing import Any

import pytest

from sidecar.telemetry.catalogue import CATALOGUE
from tests.boards import BOARDS, FOLDER, Asked, asked, panels
from tests.repo.test_alerts import ALERTS, RULES, RUNBOOKS, SERIES, metrics_of
from tools.dashboards.write import texts

ASKED = list(asked())
RECORDED = {rule["record"] for rule in RULES if "record" in rule}


def test_the_files_are_those_that_make_docs_writes() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} == texts()


def test_a_dashboard_keeps_its_address() -> None:
    assert {name: board["uid"] for name, board in BOARDS.items()} == {
        name: f"sidecar-{name}" for name in ("delivery", "drift", "overview")
    }


@pytest.mark.parametrize("query", ASKED, ids=lambda query: f"{query.board}: {query.panel}")
def test_a_query_asks_for_metrics_that_exist(query: Asked) -> None:
    assert metrics_of(query.expr) <= SERIES
    assert set(re.findall(r"\b(?:job|slo):[\w:]+", query.expr)) <= RECORDED


def test_every_metric_stands_in_a_dashboard() -> None:
    shown = {metric for query in ASKED for metric in metrics_of(query.expr)}

    missing = [
        spec.name
        for spec in CATALOGUE
        if not any(re.fullmatch(rf"{spec.name}(_bucket)?", metric) for metric in shown)
    ]

    assert missing == []


def test_every_alert_has_a_panel_that_leads_to_its_page() -> None:
    links = {
        link["url"]
        for board in BOARDS.values()
        for panel in panels(board)
        for link in panel.get("links", [])
    }

    assert links == {f"docs/runbooks/{name}.md" for name in [*ALERTS, "README"]}
    assert all((RUNBOOKS.parents[1] / link).exists() for link in links)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_dashboard_says_what_each_panel_tells(board: dict[str, Any]) -> None:
    said = [(panel["title"], panel["description"]) for panel in panels(board)]
    numbers = [panel["id"] for panel in board["panels"]]

    assert all(title and says for title, says in said)
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_fill_their_rows_and_do_not_lie_on_each_other(board: dict[str, Any]) -> None:
    rows: dict[int, list[dict[str, int]]] = {}
    for panel in board["panels"]:
        rows.setdefault(panel["gridPos"]["y"], []).append({"x": 0, **panel["gridPos"]})

    for row in rows.values():
        assert sum(place["w"] for place in row) == 24
        assert len({place["h"] for place in row}) == 1
        for left, right in pairwise(row):
            assert left["x"] + left["w"] == right["x"]
    for upper, lower in pairwise(sorted(rows)):
        assert upper + rows[upper][0]["h"] == lower
