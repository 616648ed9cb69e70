"""`python -m loadtests.drift.tables PAGE...`: the newest committed figures into pages.

A table stands between two lines, `<!-- drift: NAME -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from loadtests.drift import cost_report
from loadtests.drift.cost_report import CostReport
from loadtests.drift.simulation import report
from loadtests.drift.simulation.report import SimulationReport
from loadtests.report import RESULTS, Conditions

_PLACE = re.compile(r"(<!-- drift: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

T = TypeVar("T")
Tables = Mapping[str, Callable[[], list[str]]]


def main(pages: list[str]) -> int:
    """Write the tables into pages."""
    for page in map(Path, pages):
        page.write_text(filled(page.read_text()))
    return 0


def filled(text: str, folder: Path = RESULTS) -> str:
    """Give a page with its tables anew.

    Args:
        text: The page.
        folder: Where the reports are.

    Raises:
        KeyError: It asks for a table that there is not.
    """
    tables = _tables(folder)

    def table(found: re.Match[str]) -> str:
        lines = "\n".join(tables[found[2]]())
        return f"{found[1]}{lines}\n{found[3]}"

    return _PLACE.sub(table, text)


def _tables(folder: Path) -> Tables:
    def cost() -> list[str]:
        name, found = _newest(folder, "drift-cost-", CostReport)
        return [*cost_report.table(found.costs), "", _source(name, found.conditions)]

    def simulated(lines: Callable[[SimulationReport], list[str]]) -> Callable[[], list[str]]:
        def table() -> list[str]:
            name, found = _newest(folder, "drift-simulation-", SimulationReport)
            return [*lines(found), "", _source(name, found.conditions)]

        return table

    return {
        "cost": cost,
        "levels": simulated(lambda found: report.levels(found.levels)),
        "quiet": simulated(lambda found: report.quiet_days(found.quiet)),
        "delays": simulated(lambda found: report.delays(found.delays)),
    }


def _newest(folder: Path, begin: str, kind: type[T]) -> tuple[str, T]:
    """Give the report of the latest day, and its name."""
    path = max(folder.glob(f"{begin}*.json"))
    return path.stem, msgspec.json.decode(path.read_bytes(), type=kind)


def _source(name: str, where: Conditions) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in where.settings.items())
    return f"`loadtests/results/{name}.md`: {where.cpu}, {where.cores} cores; {settings}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
