"""`sidecar check CONFIG...`: everything that is wrong, before anything is started."""

import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from sidecar.app.checking import Problem, check_files
from sidecar.app.checks.check import Severity
from sidecar.cli.choice import Choice
from sidecar.clock import SystemClock

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


@click.command()
@click.argument(
    "configs",
    metavar="CONFIG...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.option("--connect", is_flag=True, help="Also ask the cluster; changes nothing there.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=15.0,
    show_default=True,
    help="Longest time for --connect, in seconds.",
)
@click.option(
    "--format",
    "form",
    type=Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="github: annotations of a workflow.",
)
@click.option("--deny-warnings", is_flag=True, help="Exit with 1 on warnings too.")
def check(
    configs: tuple[Path, ...], connect: bool, timeout: float, form: str, deny_warnings: bool
) -> None:
    """List everything that is wrong with config files and their bundles.

    With --connect also what is wrong with the way to Kafka: addresses, TLS, login, topics,
    rights, sizes, copies, the consumer group, clocks. No record is written, no group joined.

    Exit codes: 0 nothing to mend, there may be warnings; 1 errors, or with --deny-warnings
    warnings; 2 wrong usage.

    Example: sidecar check --connect sidecar.yaml
    """
    connect_s = timeout if connect else None
    with _quiet("aiokafka"):
        problems = asyncio.run(
            check_files(configs, os.environ, SystemClock(), connect_s=connect_s)
        )
    _FORMATS[form](problems, configs)
    found = {problem.severity for problem in problems}
    denied = {Severity.ERROR, *([Severity.WARNING] if deny_warnings else [])}
    raise SystemExit(1 if found & denied else 0)


@contextmanager
def _quiet(library: str) -> Iterator[None]:
    """Keep a library's lines back: what it meets is found out by its cause, and said once."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _as_text(problems: Sequence[Problem], configs: Sequence[Path]) -> None:
    """One line per problem, in the form that editors and terminals make links of."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for each in problems:
        severity = click.style(each.severity, fg=_COLOURS[each.severity], bold=True)
        at = f"{each.path}: " if each.path else ""
        name = click.style(f"[{each.check}]", dim=True)
        click.echo(f"{_place(each)}: {severity}: {at}{each.message} {name}", color=colour)
        if each.mend:
            click.echo(f"    Mend: {each.mend}")
    click.echo(_verdict(problems, configs))


def _as_json(problems: Sequence[Problem], configs: Sequence[Path]) -> None:
    """One object; `problems` has them in order."""
    told = {"files": [str(path) for path in configs], **_counts(problems), "problems": problems}
    click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())


def _as_github(problems: Sequence[Problem], configs: Sequence[Path]) -> None:
    """Workflow commands, which GitHub shows beside the lines of a change."""
    for each in problems:
        place = {"file": each.file, "line": each.line, "title": each.check}
        said = ",".join(f"{key}={_property(value)}" for key, value in place.items() if value)
        at = f"{each.path}: " if each.path else ""
        mend = f"\nMend: {each.mend}" if each.mend else ""
        click.echo(f"::{_GITHUB[each.severity]} {said}::{_escape(at + each.message + mend)}")
    click.echo(_verdict(problems, configs))


_FORMATS: dict[str, Callable[[Sequence[Problem], Sequence[Path]], None]] = {
    "text": _as_text,
    "json": _as_json,
    "github": _as_github,
}


def _place(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}" if problem.line else problem.file


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _escape(str(value)).replace(":", "%3A").replace(",", "%2C")


def _counts(problems: Sequence[Problem]) -> dict[str, int]:
    counts = Counter(problem.severity for problem in problems)
    return {f"{severity}s": counts[severity] for severity in Severity}


def _verdict(problems: Sequence[Problem], configs: Sequence[Path]) -> str:
    counts = _counts(problems)
    words = [_number(counts["errors"], "error"), _number(counts["warnings"], "warning")]
    if counts["notes"]:
        words.append(_number(counts["notes"], "note"))
    what = ", ".join(words) if problems else "nothing to mend"
    return f"{_number(len(configs), 'file')} checked: {what}"


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
