"""`sidecar replay CONFIG INPUT`: the same pipeline over a file or a range of a topic."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import uvloop

from sidecar.adapters.replay_rows import TableColumns
from sidecar.app.replay_input import InputChoice, InputFormat
from sidecar.app.replay_report import describe_report
from sidecar.app.replaying import Progress, ReplayRequest, replay, report_json
from sidecar.cli.choice import Choice
from sidecar.cli.run import calm_collector
from sidecar.clock import SystemClock
from sidecar.config.load import load_settings
from sidecar.config.settings import LogSettings
from sidecar.config.values import Duration
from sidecar.telemetry.logs import configure_logs

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(name="replay")
@click.argument("config", type=_FILE)
@click.argument("source", metavar="INPUT")
@click.option("--decisions", type=_FILE, help="Write decisions: .jsonl or .parquet.")
@click.option("--dead-letters", type=_FILE, help="Write refused records: .jsonl.")
@click.option(
    "--report",
    "reports",
    type=_FILE,
    multiple=True,
    help="Write counts, drift and its timeline: .html to look at, .json; both may be given.",
)
@click.option(
    "--input-format",
    type=Choice([each.value for each in InputFormat]),
    default=InputFormat.AUTO.value,
    help="What the lines are; told by the file when absent.",
)
@click.option("--id", "id_column", default="", help="Table: column with the event's id.")
@click.option("--time", "time_column", default="", help="Table: column with its time.")
@click.option("--key", "key_column", default="", help="Table: column with the record's key.")
@click.option("--from", "begin", default="", help="Topic: `120`, `0:120,1:80` or a time.")
@click.option("--to", "end", default="", help="Topic: likewise; this record is left out.")
@click.option(
    "--every",
    type=Duration.parse,
    metavar="DURATION",
    help="Event time between points of the timeline.",
)
@click.option("--as-live", is_flag=True, help="Keep the model's time limit and the breaker.")
@click.option(
    "--format",
    "form",
    type=Choice(["text", "json"]),
    default="text",
    help="How the report is printed.",
)
def replay_command(
    config: Path,
    source: str,
    decisions: Path | None,
    dead_letters: Path | None,
    reports: tuple[Path, ...],
    input_format: str,
    id_column: str,
    time_column: str,
    key_column: str,
    begin: str,
    end: str,
    every: Duration | None,
    as_live: bool,
    form: str,
) -> None:
    """Send a file, or a range of a topic, through the pipeline of a config.

    INPUT is a file (JSONL of events or records, a table as CSV, Parquet or JSONL), `topic` for
    the config's events topic, or `kafka:TOPIC`. A topic is read without a consumer group. What
    a live run consumed gives the same decisions and the same drift again.

    Exit codes: 0 done, 1 failed on the way, 2 wrong usage, config or input.

    Example: sidecar replay sidecar.yaml events.jsonl --decisions decisions.parquet
    """
    configure_logs(LogSettings(level="warning"), stream=sys.stderr, count=lambda level: None)
    settings = load_settings(config, os.environ)
    request = ReplayRequest(
        input=InputChoice(
            name=source,
            format=InputFormat(input_format),
            columns=TableColumns(id_column, time_column, key_column),
            begin=begin,
            end=end,
        ),
        decisions=decisions,
        dead_letters=dead_letters,
        reports=reports,
        every=every,
        as_live=as_live,
    )
    calm_collector()
    with _progress_bar() as show:
        found = uvloop.run(
            replay(settings, request, clock=SystemClock(), environ=os.environ, progress=show)
        )
    click.echo(report_json(found) if form == "json" else describe_report(found))


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """Give a bar on standard error; where that is no terminal, it shows nothing."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    with click.progressbar(length=1, file=sys.stderr, label="Replaying") as bar:

        def show(done: int, of: int) -> None:
            bar.length = max(1, of)
            bar.update(done - bar.pos)

        yield show
