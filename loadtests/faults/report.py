"""What a campaign gave: a line per run, JSON for machines, a page for people."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from loadtests.faults import machine, memory
from loadtests.faults.campaign import Result
from loadtests.faults.cases import TABLE
from loadtests.faults.judge import CLASSES
from loadtests.faults.risks import RISKS
from loadtests.faults.scene import PARTITIONS, RATE, SESSION_S
from tests.brokers.kafka import VERSION

RESULTS = Path(__file__).parent / "results"
"""The reports that the page is made from."""

IMAGES = "images/memory-{mode}.svg"
"""Beside the page: a picture of each run of `memory`."""


class Report(msgspec.Struct, frozen=True):
    """One campaign."""

    date: str
    commit: str
    """With `+` behind it when files of the repository were changed."""
    machine: str
    settings: dict[str, str | int | float]
    results: list[Result]


def line(result: Result) -> str:
    """Give one run as a line."""
    found = result.found
    wrong = [
        f"{name} {count}" for name, count in found.items() if count and name != "duplicate"
    ]
    figures = [f"{name} {value}" for name, value in result.figures.items()]
    parts = [
        f"{'ok  ' if result.passed else 'FAIL'} {result.fault:18} {result.mode:13}",
        f"seed {result.seed}",
        f"{result.events} events",
        f"lost {found['lost']} dup {found['duplicate']} reordered {found['reordered']} "
        f"regressed {found['regressed']}",
        f"recovery {result.recovery_s:g} s",
        *figures,
        *(name for name in wrong if name.split()[0] not in ("lost", "reordered", "regressed")),
        f"({result.took_s:g} s)",
    ]
    return "\n".join([", ".join(parts), *(f"       {failure}" for failure in result.failures)])


def begin(seed: int, *, long: bool) -> Report:
    """Describe this machine, this commit and these settings; there are no results yet."""
    settings: dict[str, str | int | float] = {
        "Kafka": VERSION,
        "seed": seed,
        "length": "long" if long else "usual",
        "partitions": PARTITIONS,
        "events a second": RATE,
        "session time-out, s": SESSION_S,
    }
    return Report(
        date=machine.today(),
        commit=machine.commit(),
        machine=machine.described(),
        settings=settings,
        results=[],
    )


def write(report: Report, path: Path) -> None:
    """Write a campaign, as far as it has come, as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def read(path: Path) -> Report:
    """Read what `write` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


# --- the page --------------------------------------------------------------------------------


def page(reports: Sequence[Report], memories: Sequence[memory.Memory] = ()) -> str:
    """Give the page for people: the text beside this module, with the tables put in."""
    tables = "\n\n".join("\n".join(_campaign(report)) for report in _joined(reports))
    text = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")
    classes = "\n".join(f"| {name} | {what} |" for name, what in CLASSES.items())
    parts = {
        "classes": classes,
        "risks": "\n".join(_risks()),
        "faults": "\n".join(_faults()),
        "campaigns": tables,
        "memory": "\n".join(_memory(memories)),
    }
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def _joined(reports: Sequence[Report]) -> Iterator[Report]:
    """Join what was run in parts: of the same commit, with the same seed and settings."""
    parts: dict[str, Report] = {}
    for report in reports:
        same = str((report.date, report.commit, report.machine, report.settings))
        parts.setdefault(same, msgspec.structs.replace(report, results=[])).results.extend(
            report.results
        )
    yield from parts.values()


def _risks() -> Iterator[str]:
    yield "| what goes wrong | what must hold | provoked by |"
    yield "| --- | --- | --- |"
    for key, risk in RISKS.items():
        faults = [name for name, fault in TABLE.items() if key in fault.risks.split()]
        provoked = ", ".join(f"`{name}`" for name in (*faults, *risk.tests))
        yield f"| {risk.name} | {risk.promise} | {provoked} |"


def _faults() -> Iterator[str]:
    yield "| fault | what is done | what must hold |"
    yield "| --- | --- | --- |"
    for fault in TABLE.values():
        yield f"| `{fault.name}` | {fault.what} | {fault.promise} |"


def _memory(memories: Sequence[memory.Memory]) -> Iterator[str]:
    yield from memory.rows(memories)
    for one in memories:
        mode = one.mode.replace("_", " ")
        yield ""
        yield f"![Resident memory in {mode}]({IMAGES.format(mode=one.mode)})"
        yield ""
        yield f"{one.date}, {mode}: {one.machine}."


def _campaign(report: Report) -> Iterator[str]:
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    yield f"### {report.date}, commit {report.commit}"
    yield ""
    loads = [result.load for result in report.results]
    load = f"{min(loads):g} to {max(loads):g}" if loads else "0"
    yield f"{report.machine} with a load of {load}; {settings}."
    yield ""
    yield (
        "| fault | mode | runs | passed | events | lost | duplicates | out of order "
        "| offsets back | longest recovery | seen besides |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    runs: dict[tuple[str, str], list[Result]] = {}
    for result in report.results:
        runs.setdefault((result.fault, result.mode), []).append(result)
    for (name, mode), results in runs.items():
        yield _row(name, mode, results)


def _row(name: str, mode: str, results: Sequence[Result]) -> str:
    def total(count: str) -> str:
        return f"{sum(result.found[count] for result in results):,}"

    cells = [
        f"`{name}`",
        mode.replace("_", " "),
        str(len(results)),
        str(sum(result.passed for result in results)),
        f"{sum(result.events for result in results):,}",
        *map(total, ("lost", "duplicate", "reordered", "regressed")),
        f"{max(result.recovery_s for result in results):.1f} s",
        "; ".join(_besides(results)),
    ]
    return f"| {' | '.join(cells)} |"


def _besides(results: Sequence[Result]) -> Iterator[str]:
    """Give the figures of a fault: counts are added up, of the rest the largest is given."""
    for name in dict.fromkeys(name for result in results for name in result.figures):
        values = [result.figures[name] for result in results if name in result.figures]
        counts = [value for value in values if isinstance(value, int)]
        numbers = [value for value in values if isinstance(value, float)]
        if counts:
            yield f"{name}: {sum(counts):,}"
        elif numbers:
            yield f"{name}: {max(numbers):g}"
        else:
            yield f"{name}: {', '.join(sorted({str(value) for value in values}))}"
    for failure in (failure for result in results for failure in result.failures):
        yield f"**{failure}**"


def committed() -> tuple[list[Report], list[memory.Memory]]:
    """Read all that is committed."""
    memories = sorted((RESULTS / "memory").glob("*.json"))
    return (
        [read(path) for path in sorted(RESULTS.glob("*.json"))],
        [msgspec.json.decode(path.read_bytes(), type=memory.Memory) for path in memories],
    )


def main() -> None:
    """Write the page and its pictures into the folder that is named."""
    folder = Path(sys.argv[1])
    reports, memories = committed()
    (folder / "reliability.md").write_text(page(reports, memories), encoding="utf-8")
    for one in memories:
        (folder / IMAGES.format(mode=one.mode)).write_text(memory.picture(one))


if __name__ == "__main__":
    main()
