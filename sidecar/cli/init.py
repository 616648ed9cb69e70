"""`sidecar init`: from a model and a table of rows to a folder that runs."""

from pathlib import Path

import click

from sidecar.app.starting import BROKERS, CONFIG, EVENTS, StartRequest, model_name, start_folder
from sidecar.app.starting_page import PAGE, topic_commands
from sidecar.bundle.load import Bundle
from sidecar.bundle.manifest import Activation
from sidecar.bundle.outputs import AnswerChoice
from sidecar.bundle.signature import ColumnChoice
from sidecar.cli.bundle import names_option, rfc3339, show_progress
from sidecar.cli.choice import Choice
from sidecar.clock import SystemClock

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--model", type=_FILE, required=True, help="The ONNX file.")
@click.option("--reference", type=_FILE, required=True, help="Rows: CSV, Parquet or JSONL.")
@click.option("--label", default="", help="Column that holds the truth.")
@click.option("--time", default="", help="Column that holds the time of the row.")
@names_option("--group", "Columns to compare quality by.")
@names_option("--labels", "Class names in order, if it has none.")
@names_option("--features", "Columns of the model, in its order.")
@click.option(
    "--activation",
    type=Choice([each.value for each in Activation]),
    metavar="NAME",
    default=Activation.NONE.value,
    help="none, sigmoid or softmax.",
)
@click.option("--name", default="", help="Name of the model; its file's.")
@click.option("--version", default="1", help="Version of the model; 1.")
@names_option("--brokers", "`host:port` of a few brokers.")
@click.option("--force", is_flag=True, help="Write into a folder that is there.")
def init(
    folder: Path | None,
    model: Path,
    reference: Path,
    label: str,
    time: str,
    group: tuple[str, ...],
    labels: tuple[str, ...],
    features: tuple[str, ...],
    activation: str,
    name: str,
    version: str,
    brokers: tuple[str, ...],
    force: bool,
) -> None:
    """Make a folder that runs: bundle, config, tests of it, and events to try.

    FOLDER is the name of the model when absent. With --label the model's answers are compared
    with the truth, and the config asks for half the errors.

    Example: sidecar init --model model.onnx --reference rows.csv --label repaid
    """
    name = name or model_name(model)
    folder = folder or Path(name)
    request = StartRequest(
        model=model,
        reference=reference,
        folder=folder,
        name=name,
        created=rfc3339(SystemClock().now_ms()),
        version=version,
        brokers=brokers or BROKERS,
        columns=ColumnChoice(label=label, time=time, groups=group, features=features),
        answers=AnswerChoice(labels=labels, activation=Activation(activation)),
        force=force,
    )
    click.echo(_made(folder, start_folder(request, show_progress)))


def _made(folder: Path, bundle: Bundle) -> str:
    """Say what is there and what to do next."""
    name, version = bundle.manifest.name, bundle.manifest.version
    topics = "\n".join(f"  {command}" for command in topic_commands(name))
    return f"""\
Made in {folder}:
  models/{version}  the bundle of {name} {version}, from {bundle.reference.records:,} rows
  {CONFIG}  the config
  sidecar.test.yaml  tests of the config
  {EVENTS}  {len(bundle.golden)} events
  {PAGE}  what to do with them

Next:
  cd {folder}
  sidecar check {CONFIG}
  sidecar test {CONFIG}
  sidecar replay {CONFIG} {EVENTS} --decisions decisions.jsonl

With brokers, the topics first:
{topics}
  sidecar run {CONFIG}"""
