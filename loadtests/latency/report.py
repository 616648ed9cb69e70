"""Latency and CPU under an open load: JSON for machines, Markdown and pictures for people."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from loadtests.charts import Bar, Series, bars, curves
from loadtests.latency.figures import EDGES_MS
from loadtests.latency.run import LoadResult
from loadtests.report import Conditions, heading, write_page, write_pictures


class LatencyReport(msgspec.Struct, frozen=True):
    """All rounds."""

    conditions: Conditions
    rounds: list[list[LoadResult]]


def summary(result: LoadResult) -> str:
    """Give one run as one line of text."""
    cost = f"{result.cpu_us:7.1f} CPU µs/event" if result.cpu_us is not None else " " * 20
    text = f"{result.line:5} {result.contestant:8} {cost}  {result.core:6.1%} of a core"
    if result.latency:
        text += f"  p50 {result.latency.p50_ms:.1f} ms, p99 {result.latency.p99_ms:.1f}"
    if result.sent:
        text += f" (generator late by {result.sent.late_p99_ms:.1f})"
    return text + (f"  VOID: {result.void}" if result.void else "")


def markdown(report: LatencyReport) -> str:
    """Give the report as a page."""
    return "\n".join([*heading("Open load", report.conditions), *table(report.rounds)]) + "\n"


def table(rounds: Sequence[Sequence[LoadResult]]) -> list[str]:
    """Give a line for each load and contestant: medians of the rounds that count."""
    lines = [
        "| load | program | events/s | CPU µs/event | of a core | p50 ms | p90 ms | p99 ms "
        "| max ms | p99, of `copy` | loop late by ms | scrape ms | void |",
        "| --- | --- " + "| ---: " * 11 + "|",
    ]
    for line, name in _turns(rounds):
        every = [r for runs in rounds for r in runs if (r.line, r.contestant) == (line, name)]
        lines.append(_row(line, name, every, ratio(rounds, line, name)))
    return lines


def _row(line: str, name: str, every: Sequence[LoadResult], of_copy: str) -> str:
    runs = [run for run in every if not run.void]
    voided = f"{len(every) - len(runs)} of {len(every)}"
    if not runs:
        return f"| {line} | `{name}` | {every[0].rate:,.0f} |" + " - |" * 9 + f" {voided} |"
    costs = [run.cpu_us for run in runs if run.cpu_us is not None]
    cost = f"{statistics.median(costs):.1f}" if costs else "-"
    took = [run.latency for run in runs if run.latency]
    middle = [
        f"{statistics.median(values):.1f}" if values else "-"
        for values in (
            [each.p50_ms for each in took],
            [each.p90_ms for each in took],
            [each.p99_ms for each in took],
        )
    ]
    most = f"{max(each.max_ms for each in took):.0f}" if took else "-"
    core = statistics.median(run.core for run in runs)
    lag, scrape = max(r.loop_lag_ms for r in runs), max(r.scrape_ms for r in runs)
    seen = [f"{lag:.1f}", f"{scrape:.1f}"] if scrape else ["-", "-"]
    cells = [
        line, f"`{name}`", f"{every[0].rate:,.0f}", cost, f"{core:.1%}", *middle, most, of_copy,
        *seen, voided,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def ratio(rounds: Sequence[Sequence[LoadResult]], line: str, name: str) -> str:
    """Give the median and range of a program's p99 over that of `copy` in the same round."""
    ratios = []
    for runs in rounds:
        p99 = {
            run.contestant: run.latency.p99_ms
            for run in runs
            if run.line == line and run.latency and not run.void
        }
        if name in p99 and p99.get("copy"):
            ratios.append(p99[name] / p99["copy"])
    if not ratios or name == "copy":
        return "1" if ratios else "-"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _turns(rounds: Sequence[Sequence[LoadResult]]) -> Iterator[tuple[str, str]]:
    """Give each line and contestant once, in the order of the first round."""
    yield from dict.fromkeys(
        (run.line, run.contestant) for run in (rounds[0] if rounds else ())
    )


# --- pictures --------------------------------------------------------------------------------


def pictures(rounds: Sequence[Sequence[LoadResult]]) -> Mapping[str, str]:
    """Give the pictures of a report as SVG, by name; of runs that count alone."""
    drawn = {}
    for line in dict.fromkeys(line for line, _ in _turns(rounds)):
        by_name = {
            name: runs
            for at, name in _turns(rounds)
            if at == line and (runs := _counting(rounds, line, name)) and runs[0].latency
        }
        if not by_name:
            continue
        rate = next(iter(by_name.values()))[0].rate
        drawn[f"{line}-latency"] = curves(
            f"Share of events answered later than that, at {rate:,.0f} events/s",
            "ms from when the event was due",
            "%",
            [Series(name, slower(runs)) for name, runs in by_name.items()],
            upwards_log=True,
        )
        drawn[f"{line}-cpu"] = bars(
            f"CPU per event at {rate:,.0f} events/s",
            [_cost_bar(at, name, runs) for at, (name, runs) in enumerate(by_name.items())],
        )
    return drawn


def _cost_bar(at: int, name: str, runs: Sequence[LoadResult]) -> Bar:
    cost = statistics.median(run.cpu_us or 0.0 for run in runs)
    return Bar(name, cost, f"{cost:.0f} µs", at)


def slower(runs: Sequence[LoadResult]) -> list[tuple[float, float]]:
    """Give points of latency and of the percentage of events that took longer, of all runs."""
    counts = [sum(column) for column in zip(*_histograms(runs), strict=True)]
    left = total = sum(counts)
    points = []
    for edge, count in zip(EDGES_MS[1:].tolist(), counts, strict=True):
        left -= count
        if left:
            points.append((edge, 100.0 * left / total))
    return points or [(float(EDGES_MS[1]), 100.0)]


def _histograms(runs: Sequence[LoadResult]) -> list[list[int]]:
    return [run.latency.histogram for run in runs if run.latency]


def _counting(rounds: Sequence[Sequence[LoadResult]], line: str, name: str) -> list[LoadResult]:
    every = [run for runs in rounds for run in runs]
    return [r for r in every if (r.line, r.contestant) == (line, name) and not r.void]


def write(report: LatencyReport, folder: Path) -> Path:
    """Write the report with its pictures, and give the path of the page."""
    path = write_page(report, report.conditions, markdown(report), folder, "latency-")
    write_pictures(pictures(report.rounds), path)
    return path
