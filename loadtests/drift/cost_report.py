"""What drift statistics cost side by side: JSON for machines, Markdown for people."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from loadtests.drift.columns import NAMES
from loadtests.report import Conditions, heading, write_page


class Cost(msgspec.Struct, frozen=True):
    """One window, compared once."""

    contestant: str
    case: str
    rows: int
    round: int
    cpu_ms: float


class CostReport(msgspec.Struct, frozen=True):
    """All rounds."""

    conditions: Conditions
    contestants: dict[str, str]
    """Versions in the contestants' own environments."""
    costs: list[Cost]


def write(report: CostReport, folder: Path) -> Path:
    """Write the report as JSON and as Markdown, and give the path of the latter."""
    return write_page(report, report.conditions, markdown(report), folder, "drift-cost-")


def markdown(report: CostReport) -> str:
    """Give the report as a page."""
    versions = ", ".join(f"{name} {number}" for name, number in report.contestants.items())
    lines = [
        *heading("Cost of drift statistics", report.conditions),
        f"In environments of their own: {versions}.",
        "",
        *table(report.costs),
    ]
    return "\n".join(lines) + "\n"


def table(costs: Sequence[Cost]) -> list[str]:
    """Give CPU time by case and rows, and the ratio to the first case, as a table.

    Medians of the rounds. A ratio is taken within each round, then its median and range.
    """
    sizes = sorted({cost.rows for cost in costs})
    lines = [
        f"| {len(NAMES)} columns | "
        + " | ".join(f"{rows:,} rows, CPU ms | ratio" for rows in sizes)
        + " |",
        "| --- |" + " ---: | ---: |" * len(sizes),
    ]
    cases = list(dict.fromkeys((cost.contestant, cost.case) for cost in sorted(costs, key=_by)))
    first = cases[0]
    for case in cases:
        row = [f"{case[0]}: {case[1]}"]
        for rows in sizes:
            own, base = _by_round(costs, case, rows), _by_round(costs, first, rows)
            row += [f"{statistics.median(own.values()):,.2f}", ratio(own, base)]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def ratio(own: dict[int, float], base: dict[int, float]) -> str:
    """Give median and range of the ratios of two costs by round."""
    if own == base:
        return "1"
    ratios = [own[number] / base[number] for number in own.keys() & base.keys()]
    return f"{_short(statistics.median(ratios))} ({' to '.join(_ends(ratios))})"


def _ends(ratios: Iterable[float]) -> tuple[str, str]:
    found = list(ratios)
    return _short(min(found)), _short(max(found))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _by(cost: Cost) -> int:
    """Put the contestants in the order of the first round."""
    return cost.round


def _by_round(costs: Iterable[Cost], case: tuple[str, str], rows: int) -> dict[int, float]:
    return {
        cost.round: cost.cpu_ms
        for cost in costs
        if (cost.contestant, cost.case) == case and cost.rows == rows
    }
