"""The command `sidecar`: its subcommands by name, and what a user sees when one fails.

A subcommand's module is imported when it is called, so that `sidecar --help` is fast and a
package that only one command needs is missed by that command alone.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from sidecar import __version__
from sidecar.errors import Finding, SidecarError, UserError, did_you_mean

EXIT_INTERRUPTED = 130  # what a shell gives for a process that SIGINT ended

HELP = """Kafka events in, decisions out, drift in the metrics.

\b
Examples:
  sidecar demo
  sidecar init --model model.onnx --reference rows.csv --label repaid
  sidecar check --connect sidecar.yaml
  sidecar run sidecar.yaml

\b
Exit codes:
  0    done
  1    failed while running
  2    wrong usage, config or bundle
  130  interrupted
"""


class Subcommand(NamedTuple):
    """Where a subcommand is, and what the overview says of it."""

    module: str
    attribute: str
    summary: str


SUBCOMMANDS = {
    "init": Subcommand("sidecar.cli.init", "init", "Make config, bundle and tests of a model."),
    "run": Subcommand("sidecar.cli.run", "run", "Run the sidecar of a config file."),
    "check": Subcommand("sidecar.cli.check", "check", "List everything that is wrong first."),
    "test": Subcommand("sidecar.cli.test", "run_tests", "Run the unit tests of a config."),
    "replay": Subcommand(
        "sidecar.cli.replay", "replay_command", "Run a file or a range of a topic through it."
    ),
    "top": Subcommand("sidecar.cli.top", "top", "Watch running sidecars in a terminal."),
    "dlq": Subcommand("sidecar.cli.dlq", "dlq", "List, show and send back dead letters."),
    "bundle": Subcommand("sidecar.cli.bundle", "bundle", "Build and check model bundles."),
    "schema": Subcommand("sidecar.cli.schema", "schema", "Print the schemas of all records."),
    "demo": Subcommand("sidecar.cli.demo", "demo", "Show the whole product on this machine."),
    "completion": Subcommand(
        "sidecar.cli.completion", "completion", "Print the completion script of a shell."
    ),
}

# Packages of the optional extras, by the name under which they are imported.
_EXTRAS = {
    "confluent_kafka": "demo",
    "rich": "demo",
    "pyarrow": "parquet",
    "fastavro": "registry",
    "textual": "top",
}


class LazyGroup(click.Group):
    """A group whose subcommands are imported when called, and whose failures are words."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all subcommands."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; None for one that does not exist."""
        if cmd_name not in SUBCOMMANDS:
            return None
        place = SUBCOMMANDS[cmd_name]
        command: click.Command = getattr(import_module(place.module), place.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in SUBCOMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or suggest the nearest."""
        if args[0] not in SUBCOMMANDS and not args[0].startswith("-"):
            near = did_you_mean(args[0], SUBCOMMANDS)
            ctx.fail(f"No such command `{args[0]}`. {near[:1].upper()}{near[1:]}".rstrip())
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; what it raises on purpose becomes a message and an exit code."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise Refusal(explain(error)) from error
        except SidecarError as error:
            raise Failure(f"Error: {error}") from error
        except ModuleNotFoundError as error:
            if error.name not in _EXTRAS:
                raise
            raise Refusal(explain(_missing_extra(error.name))) from error
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)


class Failure(click.ClickException):
    """Something went wrong while running, in the words that the user sees."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Write the words to standard error."""
        click.echo(self.message, file=file, err=True)


class Refusal(Failure):
    """Something that the user wrote is wrong."""

    exit_code = 2


def explain(error: UserError) -> str:
    """Write an error of the user's as text: what is at fault, then each fault with its mend.

    Example:
        >>> print(explain(UserError("c.yaml", [Finding("$.name", "missing", "add it")])))
        Error: c.yaml: 1 fault
          1. $.name: missing
             Mend: add it
    """
    count = len(error.findings)
    lines = [f"Error: {error.what}: {count} fault{'s' if count != 1 else ''}"]
    for number, finding in enumerate(error.findings, 1):
        label = f"{number:>3}. "
        lines.append(f"{label}{finding.path}: {finding.message}")
        if finding.mend:
            lines.append(f"{' ' * len(label)}Mend: {finding.mend}")
    return "\n".join(lines)


def _missing_extra(package: str) -> UserError:
    mend = f"install this package with its extra `{_EXTRAS[package]}`"
    return UserError("this command", [Finding(package, "the package is not installed", mend)])


@click.group(cls=LazyGroup, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sidecar")
def cli() -> None:
    """Hold the subcommands."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code.

    Args:
        args: Arguments without the program's name; those of the process when None.
    """
    cli.main(args=args, prog_name="sidecar")
    raise SystemExit(0)
