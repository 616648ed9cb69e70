"""`sidecar dlq list / show / replay`: dead letters."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import click

from sidecar.adapters.kafka_letters import LetterTopic
from sidecar.app.letter_reading import read, schema_of, with_names
from sidecar.app.letter_view import describe
from sidecar.app.letters import (
    Letter,
    Wanted,
    line_of,
    parse_instant,
    parse_key,
    parse_place,
    printable,
)
from sidecar.app.resend import Resend, Tally, Terms, judged, open_sink
from sidecar.cli.choice import Choice
from sidecar.clock import SystemClock
from sidecar.config.load import load_settings
from sidecar.config.settings import LogSettings, SidecarSettings
from sidecar.errors import Finding, UserError
from sidecar.events import RejectCode, Stage
from sidecar.ports import Schema
from sidecar.telemetry.logs import configure_logs

_Command = Callable[..., Any]
_CONFIG = click.argument("config", type=click.Path(path_type=Path))
_FILTERS = (
    click.option(
        "--code",
        "codes",
        multiple=True,
        metavar="CODE",
        type=Choice([code.value for code in RejectCode]),
        help="Only this code; may be repeated.",
    ),
    click.option(
        "--stage",
        "stages",
        multiple=True,
        type=Choice([stage.value for stage in Stage]),
        help="Only this stage; may be repeated.",
    ),
    click.option("--since", metavar="TIME", help="Refused since then: RFC 3339, or 2h ago."),
    click.option("--until", metavar="TIME", help="Refused before then: likewise."),
    click.option("--key", metavar="KEY", help="Only this key: text, or hex:00ff."),
    click.option("--after", multiple=True, metavar="P:OFFSET", help="Only behind this letter."),
    click.option("--limit", type=click.IntRange(min=1), help="Only so many."),
)
_CLOSE_S = 10.0
_BAR = 24


def _filters(command: _Command) -> _Command:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
def dlq() -> None:
    """List, show and send back dead letters.

    Example: sidecar dlq list sidecar.yaml --since 2h
    """


@dlq.command("list")
@_CONFIG
@_filters
@click.option(
    "--format",
    "form",
    type=Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text, or one JSON object a line.",
)
def list_letters(config: Path, limit: int | None, form: str, **filters: Any) -> None:
    """List dead letters, a line each, and count them by code.

    A line has the place of the letter, code, stage, when it was refused, how often, where the
    record was, and where in it the fault is. Nothing of the record itself is shown.

    Example: sidecar dlq list sidecar.yaml --code wrong_type --since 2h
    """
    settings = _open(config)
    wanted = _wanted(**filters)
    asyncio.run(_list(_topic(settings, filters["after"]), wanted, limit, form))


async def _list(topic: LetterTopic, wanted: Wanted, limit: int | None, form: str) -> None:
    by_code: Counter[str] = Counter()
    bar = Bar(topic)
    async with aclosing(read(topic, wanted)) as letters:
        async for letter in letters:
            bar.clear()
            click.echo(json.dumps(letter.facts()) if form == "json" else line_of(letter))
            bar.draw()
            by_code[letter.said("code")] += 1
            if by_code.total() == limit:
                break
    bar.clear()
    if form == "json":
        click.echo(json.dumps({"letters": by_code.total(), "by_code": by_code}))
    else:
        what = "dead letter" if by_code.total() == 1 else "dead letters"
        _echo_counts(f"{by_code.total():,} {what}", by_code)


@dlq.command()
@_CONFIG
@click.argument("place", metavar="PARTITION:OFFSET")
@click.option("--reveal", is_flag=True, help="Show key, headers and values as they are.")
def show(config: Path, place: str, reveal: bool) -> None:
    """Show one dead letter: what is wrong with it, and its payload.

    Values are masked: names, types and sizes are shown, and a mark at the fault. What names
    a schema is read by it, when the config has a registry that answers. What cannot be read
    is shown as bytes.

    Example: sidecar dlq show sidecar.yaml 3:17
    """
    at = parse_place("PARTITION:OFFSET", place)
    settings = _open(config)
    name = settings.topics.dead_letters
    letter, schema = asyncio.run(
        _one(LetterTopic(settings.kafka, name, only=at), settings, os.environ)
    )
    if letter is None:
        mend = "take a place that `sidecar dlq list` shows"
        raise UserError(place, [Finding(name, f"has no record at {place}", mend)])
    click.echo(describe(letter, reveal=reveal, schema=schema))


async def _one(
    topic: LetterTopic, settings: SidecarSettings, environ: Mapping[str, str]
) -> tuple[Letter | None, Schema | None]:
    async with aclosing(read(topic, Wanted())) as letters:
        letter = await anext(letters, None)
    if letter is None:
        return None, None
    return letter, await schema_of(letter, settings, environ)


@dlq.command()
@_CONFIG
@_filters
@click.option("--dry-run", is_flag=True, help="Say what would be sent, send nothing.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=100.0,
    show_default=True,
    help="Records a second.",
)
@click.option(
    "--max-attempts",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Leave out what was refused so often.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def replay(
    config: Path,
    limit: int | None,
    dry_run: bool,
    rate: float,
    max_attempts: int,
    yes: bool,
    **filters: Any,
) -> None:
    """Send dead letters back to the events topic, as they were.

    Nothing is marked as sent: a second replay sends them again, so name a beginning with
    --since or --after. The report ends with the --after to go on with.

    Exit codes: 0 all was sent that may be, 1 something could not be sent, 2 wrong usage.

    Example: sidecar dlq replay sidecar.yaml --code missing_feature --since 2h --dry-run
    """
    settings = _open(config)
    wanted = _wanted(**filters)
    topic = _topic(settings, filters["after"])
    terms = Terms(settings.topics.events, max_attempts, limit, rate)
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not yes
    if dry_run or asks:
        tally = asyncio.run(_plan(topic, wanted, terms, echo=dry_run))
        _report(tally, "would be sent" if dry_run else "to be sent", err=not dry_run)
        if dry_run or not tally.sent:
            return
        click.confirm(f"Send to `{terms.events_topic}`?", abort=True, err=True)
    tally = asyncio.run(_replay(settings, topic, wanted, terms))
    sys.exit(1 if tally.refused or tally.trouble else 0)


async def _plan(topic: LetterTopic, wanted: Wanted, terms: Terms, *, echo: bool) -> Tally:
    tally = Tally()
    bar = Bar(topic)
    async with aclosing(judged(read(topic, wanted), terms)) as verdicts:
        async for letter, skip in verdicts:
            if skip is not None:
                tally.skipped[skip] += 1
                continue
            tally.sent += 1
            if echo:
                bar.clear()
                click.echo(line_of(letter))
            bar.draw()
    bar.clear()
    return tally


async def _replay(
    settings: SidecarSettings, topic: LetterTopic, wanted: Wanted, terms: Terms
) -> Tally:
    sink = await open_sink(settings.kafka, terms.events_topic)
    resend = Resend(sink, terms)
    bar = Bar(topic)
    try:
        await resend.run(read(topic, wanted), lambda: bar.draw(f", {resend.tally.sent:,} sent"))
    finally:
        # Also when interrupted: what was sent must be known.
        bar.clear()
        _report(resend.tally, "sent")
        await sink.close(_CLOSE_S)
    return resend.tally


# --- what is asked -------------------------------------------------------------------------


def _open(config: Path) -> SidecarSettings:
    # What goes wrong is said once, in words; the client would log it for each connection.
    configure_logs(LogSettings(level="error"), stream=sys.stderr, count=lambda level: None)
    return with_names(load_settings(config, os.environ))


def _topic(settings: SidecarSettings, after: Sequence[str]) -> LetterTopic:
    places = dict(parse_place("--after", text) for text in after)
    return LetterTopic(settings.kafka, settings.topics.dead_letters, after=places)


def _wanted(
    codes: Sequence[str],
    stages: Sequence[str],
    since: str | None,
    until: str | None,
    key: str | None,
    after: Sequence[str],
) -> Wanted:
    del after  # says where reading begins
    now_ms = SystemClock().now_ms()
    return Wanted(
        codes=frozenset(codes),
        stages=frozenset(stages),
        since_ms=None if since is None else parse_instant("--since", since, now_ms),
        until_ms=None if until is None else parse_instant("--until", until, now_ms),
        key=None if key is None else parse_key("--key", key),
    )


# --- what is said --------------------------------------------------------------------------


class Bar:
    """How much of the topic is read, as one line on a terminal; elsewhere nothing."""

    def __init__(self, topic: LetterTopic) -> None:
        """Watch a topic's progress."""
        self._topic = topic
        self._shown = sys.stderr.isatty()
        self._drawn = ""

    def draw(self, note: str = "") -> None:
        """Draw the line, if it looks other than before."""
        done, of = self._topic.progress
        full = _BAR * done // max(of, 1)
        line = f"[{'#' * full}{' ' * (_BAR - full)}] {done:,} of {of:,} letters read{note}"
        if self._shown and line != self._drawn:
            click.echo(f"\r\x1b[K{line}", nl=False, err=True)
            self._drawn = line

    def clear(self) -> None:
        """Make room for another line."""
        if self._drawn:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._drawn = ""


def _echo_counts(title: str, counts: Mapping[str, int], *, err: bool = False) -> None:
    click.echo(title, err=err)
    for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        click.echo(f"  {count:>9,}  {printable(name) or '(no code)'}", err=err)


def _report(tally: Tally, verb: str, *, err: bool = False) -> None:
    click.echo(f"{tally.sent:,} {verb}", err=err)
    if tally.skipped:
        _echo_counts(f"{tally.skipped.total():,} skipped", tally.skipped, err=err)
    for place, message in tally.refused:
        click.echo(f"{place} could not be sent: {printable(message)}", err=True)
    if tally.trouble:
        click.echo(f"Ended early: {printable(tally.trouble)}", err=True)
        click.echo("Some of the letters next in line may have been written.", err=True)
    if tally.after:
        places = (f"--after {partition}:{at}" for partition, at in sorted(tally.after.items()))
        click.echo(f"To go on behind these: {' '.join(places)}", err=err)
