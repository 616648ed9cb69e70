"""What a race gave, with all that a reader needs to believe it: JSON for machines, Markdown."""

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from loadtests.charts import Bar, bars
from loadtests.contestants import CONTESTANTS
from loadtests.race import Result
from sidecar.clock import SystemClock

_PACKAGES = (
    "sidecar", "aiokafka", "msgspec", "numpy", "onnxruntime", "prometheus-client", "uvloop",
)  # fmt: skip
_ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"


class Conditions(msgspec.Struct, frozen=True):
    """Where and with what something was measured."""

    date: str
    commit: str
    """With `+` behind it when files of the repository were changed."""
    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    versions: dict[str, str]
    settings: dict[str, str | int | float]


class Report(msgspec.Struct, frozen=True):
    """One race."""

    conditions: Conditions
    rounds: list[list[Result]]
    """The results of each round, in the order in which they were run."""
    stages_us: dict[str, float]
    """Microseconds of each stage alone, by `loadtests.stages`."""


def conditions(settings: Mapping[str, str | int | float]) -> Conditions:
    """Describe this machine, this commit and these settings."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Conditions(
        date=f"{datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC):%Y-%m-%d}",
        commit=_commit(),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(pages / 2**30, 1),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        versions={name: version(name) for name in _PACKAGES},
        settings=dict(settings),
    )


def write(report: Report, folder: Path) -> Path:
    """Write the report as JSON, Markdown and a picture, and give the path of the page."""
    path = write_page(report, report.conditions, markdown(report), folder)
    write_pictures({"cpu": picture(report.rounds)}, path)
    return path


def write_pictures(pictures: Mapping[str, str], page: Path) -> None:
    """Write pictures beside a page, named after it."""
    for name, picture in pictures.items():
        page.with_name(f"{page.stem}-{name}.svg").write_text(picture)


def picture(rounds: Sequence[Sequence[Result]]) -> str:
    """Draw the CPU per event of each contestant: medians of the rounds."""
    rows = []
    for name in _names(rounds):
        cost = statistics.median(run.cpu_us for run in _runs(rounds, name))
        rows.append(Bar(name, cost, f"{cost:.1f} µs", kind=int(name == "sidecar")))
    return bars("CPU per event, reading a topic that was filled before", rows)


def write_page(
    report: msgspec.Struct, where: Conditions, page: str, folder: Path, what: str = ""
) -> Path:
    """Write figures as JSON and the page that shows them, named by date and commit.

    Args:
        report: The figures.
        where: Their conditions.
        page: Markdown.
        folder: Made if need be.
        what: Beginning of the name.

    Returns:
        The path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{what}{where.date}-{where.commit.rstrip('+')}.md"
    text = msgspec.json.format(msgspec.json.encode(report), indent=1)
    path.with_suffix(".json").write_bytes(text + b"\n")
    path.write_text(page)
    return path


def heading(title: str, where: Conditions) -> list[str]:
    """Give the lines of a page that say where and with what it was measured."""
    return [
        f"# {title} {where.date}, commit {where.commit}",
        "",
        f"{where.cpu}, {where.cores} cores, {where.memory_gib} GiB, {where.system}, "
        f"Python {where.python}.",
        ", ".join(f"{name} {number}" for name, number in where.versions.items()) + ".",
        ", ".join(f"{name} {value}" for name, value in where.settings.items()) + ".",
        "",
    ]


def markdown(report: Report) -> str:
    """Give the report as a page."""
    lines = [
        *heading("Load test", report.conditions),
        *_summary(report.rounds),
        "",
        *_by_round(report.rounds),
        "",
        *_stages(report),
    ]
    return "\n".join(lines) + "\n"


def _summary(rounds: Sequence[Sequence[Result]]) -> list[str]:
    what = {contestant.name: contestant.what for contestant in CONTESTANTS}
    return [*table(rounds), "", *(f"* `{name}`: {what[name]}." for name in _names(rounds))]


def table(rounds: Sequence[Sequence[Result]]) -> list[str]:
    """Give a line for each contestant."""
    lines = [
        "| contestant | CPU µs/event, min / median | events/s, median | peak RSS MiB "
        "| throughput per CPU, of `copy` | of `tuned` |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in _names(rounds):
        runs = _runs(rounds, name)
        cpu = [run.cpu_us for run in runs]
        rate = statistics.median(run.rate for run in runs)
        rss = max(run.peak_rss_bytes for run in runs) / 2**20
        lines.append(
            f"| `{name}` | {min(cpu):.1f} / {statistics.median(cpu):.1f} | {rate:,.0f} "
            f"| {rss:.0f} | {ratio(rounds, name, 'copy')} | {ratio(rounds, name, 'tuned')} |"
        )
    return lines


def ratio(rounds: Sequence[Sequence[Result]], name: str, other: str) -> str:
    """Give the median and the range of a contestant's throughput per CPU over another's.

    Each ratio is taken within one round, minutes apart at most: the speed of a shared machine
    wanders by more than most of the differences.
    """
    ratios = []
    for results in rounds:
        cost = {result.contestant: result.cpu_us for result in results}
        if name in cost and other in cost:
            ratios.append(cost[other] / cost[name])
    if not ratios or name == other:
        return "1" if ratios else "-"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _by_round(rounds: Sequence[Sequence[Result]]) -> list[str]:
    lines = [
        "| round | contestant | CPU µs/event | events/s | measured s | written | exit code "
        "| loop late by ms | scrape ms |",
        "| ---: | --- " + "| ---: " * 7 + "|",
    ]
    for number, results in enumerate(rounds, 1):
        lines += [
            f"| {number} | `{r.contestant}` | {r.cpu_us:.2f} | {r.rate:,.0f} | {r.wall_s:.1f} "
            f"| {r.written:,} | {r.exit_code} | {_ms(r.loop_lag_ms)} | {_ms(r.scrape_ms)} |"
            for r in results
        ]
    return lines


def _ms(seen: float) -> str:
    return f"{seen:.1f}" if seen else "-"


def _stages(report: Report) -> list[str]:
    alone = report.stages_us
    live: dict[str, list[float]] = {}
    for result in (result for results in report.rounds for result in results):
        for stage, us in result.stages_us.items():
            live.setdefault(stage, []).append(us)
    lines = [
        "| stage | alone, CPU µs/event | in the running sidecar, wall µs/event |",
        "| --- | ---: | ---: |",
    ]
    for stage in [*alone, *(name for name in live if name not in alone)]:
        one = f"{alone[stage]:.2f}" if stage in alone else "-"
        other = f"{statistics.median(live[stage]):.2f}" if stage in live else "-"
        lines.append(f"| {stage} | {one} | {other} |")
    return [*lines, f"| sum | {sum(alone.values()):.2f} | |"]


def _names(rounds: Sequence[Sequence[Result]]) -> list[str]:
    run = {result.contestant for results in rounds for result in results}
    return [contestant.name for contestant in CONTESTANTS if contestant.name in run]


def _runs(rounds: Sequence[Sequence[Result]], name: str) -> list[Result]:
    return [r for results in rounds for r in results if r.contestant == name]


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    changed = git("status", "--porcelain", "--untracked-files=no", "sidecar", "loadtests")
    return git("rev-parse", "--short", "HEAD").strip() + ("+" if changed.strip() else "")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
