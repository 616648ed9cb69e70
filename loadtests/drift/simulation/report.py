"""What the simulation gave: JSON for machines, Markdown for people."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadtests.drift.simulation import worlds
from loadtests.drift.simulation.delay import Delay, rules
from loadtests.drift.simulation.level import FIXED, Level
from loadtests.drift.simulation.plan import Findings
from loadtests.drift.simulation.quiet import Quiet
from loadtests.drift.simulation.stream import FEATURES, RECORDS
from loadtests.report import Conditions, heading, write_page

_WORLDS = {
    "independent": "every event for itself",
    "clustered": f"{worlds.SIMILAR} similar events of each user",
    "seasonal": f"a daily wave of {worlds.WAVE} standard deviations",
}


class SimulationReport(msgspec.Struct, frozen=True):
    """One simulation."""

    conditions: Conditions
    levels: list[Level]
    quiet: list[Quiet]
    delays: list[Delay]


def report(where: Conditions, findings: Findings) -> SimulationReport:
    """Put findings and conditions together."""
    return SimulationReport(where, findings.levels, findings.quiet, findings.delays)


def write(found: SimulationReport, folder: Path) -> Path:
    """Write the report as JSON and as Markdown, and give the path of the latter."""
    return write_page(found, found.conditions, markdown(found), folder, "drift-simulation-")


def markdown(found: SimulationReport) -> str:
    """Give the report as a page."""
    lines = [
        *heading("Simulated drift", found.conditions),
        "## Clean windows past a limit",
        "",
        *levels(found.levels),
        "",
        "## Days in which nothing drifts",
        "",
        *quiet_days(found.quiet),
        "",
        "## Panes until a shift is found",
        "",
        *delays(found.delays),
    ]
    return "\n".join(lines) + "\n"


def levels(found: Sequence[Level]) -> list[str]:
    """Give the shares of clean windows past each limit as a table."""
    fixed = " | ".join(f"PSI > {limit}" for limit in FIXED)
    lines = [
        "| events | of a window | overdispersion | critical value, independent events "
        f"| calibrated, ± standard error | tolerance 0.02 | {fixed} |",
        "| --- | ---: | ---: | ---: | ---: | ---: |" + " ---: |" * len(FIXED),
    ]
    for each in found:
        shares = (each.tolerated, *each.fixed)
        lines.append(
            f"| {each.world} | {each.records:,} | {each.overdispersion:.1f} "
            f"| {each.independent:.4f} | {each.calibrated:.4f} ± {each.error:.4f} | "
            + " | ".join(f"{share:.4f}" for share in shares)
            + " |"
        )
    kinds = dict.fromkeys(each.world for each in found)
    return [*lines, "", *(f"* *{kind}*: {_WORLDS[kind]}." for kind in kinds)]


def quiet_days(found: Sequence[Quiet]) -> list[str]:
    """Give the episodes of quiet days as a table.

    None in n days bounds the rate at 3/n with a confidence of 95 %.
    """
    lines = [
        f"| {len(FEATURES)} features and the score, {RECORDS} events a pane | days "
        "| overdispersion by window | episodes | a day "
        "| times a day that an index passes its critical value |",
        "| --- | ---: | --- | --- | ---: | ---: |",
    ]
    for each in found:
        factors = ", ".join(
            f"{name} {value:.1f}" for name, value in each.overdispersion.items()
        )
        began = ", ".join(f"{name} {count}" for name, count in each.episodes.items() if count)
        lines.append(
            f"| {each.world} | {each.days} | {factors} | {began or 'none'} | {each.a_day:.3f} "
            f"| {each.significant / each.days:.0f} |"
        )
    return lines


def delays(found: Sequence[Delay]) -> list[str]:
    """Give the median delays as a table: a row for each rule, a column for each shift.

    A dash where fewer than half of the runs found the shift; the share where not all did.
    """
    lines = [
        f"| panes, of {found[0].horizon} | "
        + " | ".join(f"{each.shift} sd, PSI {each.true_psi:.3f}" for each in found)
        + " |",
        "| --- |" + " ---: |" * len(found),
    ]
    lines += [
        f"| {rule} | " + " | ".join(_delay(each, rule) for each in found) + " |"
        for rule in rules()
    ]
    runs = statistics.median(len(each.panes[rules()[0]]) for each in found)
    wrong = sum(each.others for each in found)
    return [
        *lines,
        "",
        f"Median of {runs:.0f} runs. Episodes of the {len(FEATURES) - 1} features that did not "
        f"shift and of the score, over all runs: {wrong}.",
    ]


def _delay(found: Delay, rule: str) -> str:
    median, share = found.median(rule), found.share(rule)
    text = "-" if median is None else f"{median:.0f}"
    return text if share in (0.0, 1.0) else f"{text} ({share:.0%})"
