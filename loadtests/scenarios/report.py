"""What the situations cost: JSON for machines, Markdown and pictures for people."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from loadtests.charts import Bar, Series, bars, curves
from loadtests.race import Result
from loadtests.report import Conditions, heading, write_page, write_pictures
from loadtests.scenarios.lines import Line

Rounds = Sequence[Sequence[Result]]


class ScenarioReport(msgspec.Struct, frozen=True):
    """All rounds."""

    conditions: Conditions
    rounds: list[list[Result]]


def markdown(report: ScenarioReport, every: Sequence[Line]) -> str:
    """Give the report as a page."""
    found = table(report.rounds, every)
    return "\n".join([*heading("Scenarios", report.conditions), *found]) + "\n"


def table(rounds: Rounds, every: Sequence[Line]) -> list[str]:
    """Give a row for each line that was run."""
    lines = [
        "| line | CPU µs/event | events/s | throughput per CPU | events/s | of | aim "
        "| last third, of the first | loop late by ms | scrape ms | MiB | answers |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    known = [line for line in every if _runs(rounds, line.name)]
    for line in known:
        runs = _runs(rounds, line.name)
        cells = [
            line.name,
            f"{statistics.median(r.cpu_us for r in runs):.1f}",
            f"{statistics.median(r.rate for r in runs):,.0f}",
            spread(ratios(rounds, line, lambda r: 1 / r.cpu_us)),
            spread(ratios(rounds, line, lambda r: r.rate)),
            line.beside,
            f"{line.aim:g}" if line.aim else "-",
            f"{statistics.median(r.late_in_run for r in runs):.2f}",
            f"{max(r.loop_lag_ms for r in runs):.0f}",
            f"{max(r.scrape_ms for r in runs):.0f}",
            f"{max(r.peak_rss_bytes for r in runs) / 2**20:.0f}",
            _answers(runs[-1]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", *(f"* {line.name}: {line.what}." for line in known)]


def ratios(rounds: Rounds, line: Line, figure: Callable[[Result], float]) -> list[float]:
    """Give a figure of a line over that of the line beside it, for each round."""
    found = []
    for results in rounds:
        by_name = {result.contestant: figure(result) for result in results}
        if line.name in by_name and line.beside in by_name:
            found.append(by_name[line.name] / by_name[line.beside])
    return found


def spread(values: Sequence[float]) -> str:
    """Give the median and the range."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _answers(run: Result) -> str:
    ordered = sorted(run.answers.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.1%}" for name, share in ordered if share >= 0.001)


def _runs(rounds: Rounds, name: str) -> list[Result]:
    return [r for results in rounds for r in results if r.contestant == name]


# --- pictures --------------------------------------------------------------------------------


def pictures(rounds: Rounds, every: Sequence[Line]) -> Mapping[str, str]:
    """Give the pictures of a report as SVG, by name."""
    drawn = {}
    held = [
        (line, found)
        for line in every
        if line.aim and (found := ratios(rounds, line, lambda run: 1 / run.cpu_us))
    ]
    if held:
        drawn["ratios"] = bars(
            "Throughput per CPU, of the line beside it; dashed: the aim",
            [
                Bar(line.name, statistics.median(found), spread(found), aim=line.aim)
                for line, found in held
            ],
        )
    features, partitions = by_features(rounds), by_partitions(rounds, every)
    for name, points, log in (("features", features, False), ("partitions", partitions, True)):
        if len(points) > 1:
            title = f"CPU per event by the number of {name}"
            line = Series("sidecar", points)
            drawn[name] = curves(title, name, "µs", [line], across_log=log)
    return drawn


def by_features(rounds: Rounds) -> list[tuple[int, float]]:
    """Give the numbers of features and the CPU microseconds of an event, medians."""
    begin = "features-"
    names = {run.contestant for runs in rounds for run in runs}
    widths = sorted(int(name.removeprefix(begin)) for name in names if name.startswith(begin))
    return [(width, _cost(rounds, f"{begin}{width}")) for width in widths]


def by_partitions(rounds: Rounds, every: Sequence[Line]) -> list[tuple[int, float]]:
    """Give the numbers of partitions and the CPU microseconds of an event, medians."""
    lines = [line for line in every if line.name.startswith("partitions-")]
    normal = [line for line in every if line.name == "normal"]
    return [
        (line.partitions, _cost(rounds, line.name))
        for line in [*normal, *lines]
        if _runs(rounds, line.name)
    ]


def _cost(rounds: Rounds, name: str) -> float:
    return statistics.median(run.cpu_us for run in _runs(rounds, name))


def write(report: ScenarioReport, every: Sequence[Line], folder: Path) -> Path:
    """Write the report with its pictures, and give the path of the page."""
    page = markdown(report, every)
    path = write_page(report, report.conditions, page, folder, "scenarios-")
    write_pictures(pictures(report.rounds, every), path)
    return path
