"""The committed dashboards as Grafana reads them, and what they ask of Prometheus."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[1] / "deploy" / "monitoring" / "dashboards"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("*.json"))
}


class Asked(NamedTuple):
    """A query, and who asks it."""

    board: str
    panel: str
    expr: str

    def filled(self, **variables: str) -> str:
        """Give the query with a value in the place of each variable, as Grafana sends it."""
        text = self.expr
        for name, value in variables.items():
            text = re.sub(rf"\${name}\b", value, text)
        assert not re.search(r"\$[a-z_]", text), f"a variable without a value: {text}"
        return text


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard without its headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def asked() -> Iterator[Asked]:
    """Every query of every dashboard: of panels, and of the marks in them."""
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Asked(name, panel["title"], target["expr"])
        for mark in board["annotations"]["list"]:
            yield Asked(name, mark["name"], mark["expr"])
