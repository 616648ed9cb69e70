"""`sidecar demo`: the whole product on this machine."""

import os
import signal
import sys
from pathlib import Path

import click

from sidecar.adapters.extras import not_installed
from sidecar.errors import Finding, UserError

EXIT_TERMINATED = 143  # what a shell gives for a process that SIGTERM ended
_PACKAGES = ("confluent_kafka", "pyarrow", "rich")


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(min=30, max=3600),
    default=60.0,
    show_default=True,
    help="How long three years take.",
)
@click.option(
    "--serve", is_flag=True, help="Keep metrics and status page up afterwards, until Ctrl-C."
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder in which config, bundle and log stay; `sidecar run` can use them.",
)
def demo(seconds: float, serve: bool, keep: Path | None) -> None:
    """Show the whole product on this machine: broker, model, three incidents.

    Streams three years of census rows through a sidecar on an embedded broker. On the way
    values go missing, a unit changes, and the model fails. Ends by itself, with a summary.

    Exit codes: 0 when all incidents were seen and every record is accounted for, else 1.

    Example: sidecar demo --serve
    """
    _need_extra()
    from rich.console import Console

    from sidecar.demo.run import DemoOptions, run_demo

    # Without this the temporary folder would stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    options = DemoOptions(seconds=seconds, serve=serve, keep=keep)
    sys.exit(run_demo(options, Console(), os.environ))


def _need_extra() -> None:
    if missing := not_installed(_PACKAGES):
        mend = "install this package with its extra `demo`, or run `make demo` in a checkout"
        raise UserError(
            "the demo",
            [Finding(package, "the package is not installed", mend) for package in missing],
        )
