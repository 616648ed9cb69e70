"""`sidecar bundle build / inspect / verify`: model bundles."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from sidecar.app.building import (
    MAX_MODEL_BYTES,
    WINDOWS_MS,
    BuildRequest,
    build_bundle,
    verify_bundle,
)
from sidecar.bundle.describe import describe, describe_json
from sidecar.bundle.load import load_bundle
from sidecar.bundle.manifest import Activation
from sidecar.bundle.outputs import AnswerChoice
from sidecar.bundle.signature import ColumnChoice
from sidecar.cli.choice import Choice
from sidecar.clock import SystemClock
from sidecar.config.values import Duration

_Command = Callable[..., Any]
_FOLDER = click.argument("folder", type=click.Path(path_type=Path))
_FILE = click.Path(path_type=Path, dir_okay=False)


def names_option(name: str, text: str) -> Callable[[_Command], _Command]:
    """Give an option for names, between commas or repeated.

    Args:
        name: Of the option, with its dashes.
        text: What its help says.
    """
    return click.option(
        name,
        multiple=True,
        metavar="NAME[,NAME]",
        callback=lambda _c, _p, v: _split(v),
        help=text,
    )


def _split(values: tuple[str, ...]) -> tuple[str, ...]:
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(name for name in names if name)


def _lengths(text: str) -> tuple[int, ...]:
    try:
        lengths = {Duration.parse(word.strip()).ms for word in text.split(",")}
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    if min(lengths) <= 0:
        raise click.BadParameter("A window must be longer than nothing.")
    return tuple(sorted(lengths))


@click.group()
def bundle() -> None:
    """Build and check model bundles.

    A bundle is a folder with the model, its signature, what the reference rows look like, and
    rows with known answers; versioned as one thing.

    Example: sidecar bundle build --help
    """


@bundle.command()
@click.option("--model", type=_FILE, required=True, help="The ONNX file.")
@click.option(
    "--reference",
    type=_FILE,
    required=True,
    help="Rows that the model was trained or validated on: CSV, Parquet or JSONL.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--name", required=True, help="Name of the model.")
@click.option("--version", required=True, help="Version of the model.")
@click.option("--label", default="", help="Column that holds the truth.")
@click.option("--time", default="", help="Column that holds the time of the row.")
@names_option("--group", "Columns by which quality is compared.")
@names_option("--labels", "Class names in the order of the scores, when the model has none.")
@names_option("--features", "Columns that the model takes, in its order; found when absent.")
@names_option("--categorical", "Whole numbers to count by value, however many there are.")
@names_option(
    "--numeric", "Whole numbers to count by size, however few; events may then have fractions."
)
@click.option(
    "--activation",
    type=Choice([each.value for each in Activation]),
    default=Activation.NONE.value,
    show_default=True,
    help="What turns the model's scores into probabilities.",
)
@click.option(
    "--windows",
    show_default=",".join(str(Duration(ms)) for ms in WINDOWS_MS),
    metavar="LENGTH[,LENGTH]",
    callback=lambda _c, _p, v: None if v is None else _lengths(v),
    help="Windows to calibrate; needs --time.",
)
@click.option(
    "--seasonal",
    type=Choice(["hour-of-week"]),
    help="Compare like hours (UTC); needs --time.",
)
@click.option("--owner", default="", help="Who answers for the model.")
@click.option("--training-data", default="", help="What it was trained on.")
@click.option("--intended-use", default="", help="What it is for.")
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
def build(
    model: Path,
    reference: Path,
    out: Path,
    name: str,
    version: str,
    label: str,
    time: str,
    group: tuple[str, ...],
    labels: tuple[str, ...],
    features: tuple[str, ...],
    categorical: tuple[str, ...],
    numeric: tuple[str, ...],
    activation: str,
    windows: tuple[int, ...] | None,
    seasonal: str | None,
    owner: str,
    training_data: str,
    intended_use: str,
    force: bool,
) -> None:
    """Make a bundle from an ONNX file and reference rows.

    Types, categories and what may be missing are learned from the rows. A feature that is
    missing in some of them may be missing in events; one that never is, is required.

    Example: sidecar bundle build --model model.onnx --reference rows.csv --name credit
    --version 7 --label repaid --out models/credit/7
    """
    request = BuildRequest(
        model=model,
        reference=reference,
        out=out,
        name=name,
        version=version,
        created=rfc3339(SystemClock().now_ms()),
        columns=ColumnChoice(
            label=label,
            time=time,
            groups=group,
            features=features,
            categorical=categorical,
            numeric=numeric,
        ),
        answers=AnswerChoice(labels=labels, activation=Activation(activation)),
        windows_ms=windows,
        seasonal=seasonal is not None,
        owner=owner,
        training_data=training_data,
        intended_use=intended_use,
        force=force,
    )
    built = build_bundle(request, show_progress)
    click.echo(describe(built))
    click.echo(f"\nWritten to {out}")


@bundle.command()
@_FOLDER
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def inspect(folder: Path, as_json: bool) -> None:
    """Show what a bundle holds, after checking that its files are those of its manifest.

    Example: sidecar bundle inspect models/credit/7
    """
    found = load_bundle(folder, max_model_bytes=MAX_MODEL_BYTES)
    click.echo(describe_json(found) if as_json else describe(found))


@bundle.command()
@_FOLDER
def verify(folder: Path) -> None:
    """Check a bundle as the service does before it serves: files, graph, golden rows.

    Exit codes: 0 when it may serve, 2 when it is refused.

    Example: sidecar bundle verify models/credit/7
    """
    found = verify_bundle(folder)
    name, version = found.manifest.name, found.manifest.version
    click.echo(f"{name} {version}: {len(found.golden)} golden rows agree")


def show_progress(done: int, of: int) -> None:
    """Count the rows on a terminal, and nowhere else.

    Args:
        done: Rows that are done.
        of: All rows.
    """
    if sys.stderr.isatty():
        click.echo(f"\r{done:,} of {of:,} rows", nl=done == of, err=True)


def rfc3339(epoch_ms: int) -> str:
    """Write an instant in UTC, to the second.

    Args:
        epoch_ms: Milliseconds since the Unix epoch.
    """
    moment = datetime.fromtimestamp(epoch_ms // 1000, UTC)
    return moment.isoformat().replace("+00:00", "Z")
