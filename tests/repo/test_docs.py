"""The pages say nothing that is not there: links, commands, metrics, log events, navigation."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
import yaml

from sidecar.cli.main import cli
from sidecar.telemetry.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"^(?:\w+=\S+ )*(sidecar\s.+)")
REDIRECTION = re.compile(r"\s\d?[|&<>#]")
METRIC = re.compile(r"\bsidecar_[a-z_]*[a-z]\b")
LOGGED = re.compile(r"(?:_log|get_logger\(\))\.(debug|info|warning|error)\(\s*\"(\w+)\"")


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


# --- links -----------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Give what headings can be linked by: their words, lower case, joined by dashes."""
    words = (
        re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text(page))
    )
    return {heading.strip().replace(" ", "-") for heading in words}


def broken_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(text(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_every_page_is_in_the_navigation() -> None:
    nav = yaml.safe_load(text(ROOT / "mkdocs.yml"))["nav"]

    assert sorted(leaves(nav)) == sorted(str(page.relative_to(DOCS)) for page in PAGES[1:])


def leaves(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for inner in nav.values():
            yield from leaves(inner)
    elif isinstance(nav, list):
        for inner in nav:
            yield from leaves(inner)


# --- commands --------------------------------------------------------------------------------


def commands(page: Path) -> Iterator[str]:
    """Give each `sidecar ...` of the page: in shell blocks, and in the text between."""
    for language, block in FENCED.findall(text(page)):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                yield from COMMAND.findall(REDIRECTION.split(line)[0])
    for code in INLINE.findall(FENCED.sub("", text(page))):
        yield from COMMAND.findall(code)


SHOWN = [
    pytest.param(command.split(), id=f"{name(page)}: {' '.join(command.split()[:3])}")
    for page in PAGES
    for command in dict.fromkeys(commands(page))
]


def leftovers(words: Sequence[str]) -> list[str]:
    """Parse a command line as far as it is shown and give the arguments that nothing takes.

    Raises:
        click.UsageError: There is no such command or option.
    """
    command: click.Command = cli
    context = click.Context(cli)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, click.Context(found, parent=context)
    return command.make_parser(context).parse_args(rest)[1]


@pytest.mark.parametrize("words", SHOWN)
def test_a_command_that_is_shown_exists(words: list[str]) -> None:
    assert leftovers(words[1:]) == []


@pytest.mark.parametrize("line", ["dlq shew", "run --fast x.yaml", "bundle bild"])
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        leftovers(line.split())


# --- metrics and log events ------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_metric_that_is_shown_is_exported(page: Path) -> None:
    exported = {spec.name for spec in CATALOGUE}
    parts = {f"{metric}_{part}" for metric in exported for part in ("bucket", "sum", "count")}
    events = {event for _, event in logged()}

    assert set(METRIC.findall(text(page))) - exported - parts - events == set()


def logged() -> set[tuple[str, str]]:
    """Give level and name of every log event of the product; the demo is none."""
    files = [file for file in (ROOT / "sidecar").rglob("*.py") if "demo" not in file.parts]
    return {found for file in files for found in LOGGED.findall(text(file))}


def test_every_log_event_is_explained_with_its_level() -> None:
    page = text(DOCS / "operations.md")
    rows = re.findall(
        r"^\| ((?:info|warning|error)) \| (`\w+`(?:, `\w+`)*) \|", page, re.MULTILINE
    )
    explained = {(level, event) for level, cell in rows for event in re.findall(r"\w+", cell)}

    assert explained == logged()
