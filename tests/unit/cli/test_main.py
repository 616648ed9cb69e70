"""What a user sees of the command line: help, suggestions, faults, exit codes."""

import os
import subprocess
import sys
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from sidecar import __version__
from sidecar.cli import main
from sidecar.errors import ConfigError, FatalError, Finding

Invoke = Callable[..., Result]

FAULTS = ConfigError(
    "sidecar.yaml",
    [
        Finding("$.kafka", "missing", "add it: a section"),
        Finding("$.model.timeout", "Expected a duration, line 7", "write `500ms`"),
    ],
)


@pytest.fixture
def fails_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Result]:
    """Call a subcommand that raises."""

    def invoke(error: BaseException) -> Result:
        @click.command()
        def run() -> None:
            raise error

        monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: run)
        return CliRunner().invoke(main.cli, ["run"])

    return invoke


def test_help_lists_the_subcommands_without_importing_one() -> None:
    code = (
        "import sys; from sidecar.cli.main import main\n"
        "try: main(['--help'])\n"
        "finally: print([m for m in sys.modules if m.startswith('sidecar.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    *_, modules = done.stdout.splitlines()
    assert all(f"\n  {name} " in done.stdout for name in main.SUBCOMMANDS)
    assert modules == "['sidecar.cli', 'sidecar.errors', 'sidecar.cli.main']"


def leaves(command: click.Command, path: str) -> dict[str, click.Command]:
    """Give a command, or the commands of a group, by what a user types."""
    if not isinstance(command, click.Group):
        return {path: command}
    inner = [leaves(below, f"{path} {name}") for name, below in command.commands.items()]
    return {name: leaf for found in inner for name, leaf in found.items()}


@pytest.mark.parametrize("name", main.SUBCOMMANDS)
def test_each_command_has_an_example_in_its_help(name: str) -> None:
    command = main.LazyGroup().get_command(click.Context(main.cli), name)
    assert command is not None

    for path, leaf in leaves(command, f"sidecar {name}").items():
        assert path in (leaf.help or ""), path


def test_the_version_is_shown() -> None:
    result = CliRunner().invoke(main.cli, ["--version"])

    assert (result.exit_code, result.output) == (0, f"sidecar, version {__version__}\n")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("rnu", "No such command `rnu`. Did you mean `run`?"),
        ("xyzzy", "No such command `xyzzy`.\n"),
        ("--nonsense", "No such option"),
    ],
)
def test_wrong_usage_exits_with_2(argument: str, words: str) -> None:
    result = CliRunner().invoke(main.cli, [argument])

    assert result.exit_code == 2
    assert words in result.stderr


def test_faults_are_listed_with_their_mends(
    fails_with: Callable[[BaseException], Result],
) -> None:
    result = fails_with(FAULTS)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: sidecar.yaml: 2 faults\n"
        "  1. $.kafka: missing\n"
        "     Mend: add it: a section\n"
        "  2. $.model.timeout: Expected a duration, line 7\n"
        "     Mend: write `500ms`\n"
    )


def test_a_failure_while_running_is_one_line(
    fails_with: Callable[[BaseException], Result],
) -> None:
    result = fails_with(FatalError("the model went away"))

    assert (result.exit_code, result.stderr) == (1, "Error: the model went away\n")


def test_an_interrupt_exits_with_130(fails_with: Callable[[BaseException], Result]) -> None:
    result = fails_with(KeyboardInterrupt())

    assert (result.exit_code, result.output) == (130, "")


def test_a_missing_extra_is_named(fails_with: Callable[[BaseException], Result]) -> None:
    result = fails_with(ModuleNotFoundError("No module", name="confluent_kafka"))

    assert result.exit_code == 2
    assert result.stderr == (
        "Error: this command: 1 fault\n"
        "  1. confluent_kafka: the package is not installed\n"
        "     Mend: install this package with its extra `demo`\n"
    )


def test_a_bug_is_not_dressed_up(fails_with: Callable[[BaseException], Result]) -> None:
    error = ModuleNotFoundError("No module", name="sidecar.missing")

    assert fails_with(error).exception is error


def test_a_config_with_faults_ends_the_process_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "run", "no-such-file.yaml"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Error: no-such-file.yaml: 1 fault\n"
        "  1. $: No such file or directory\n"
        "     Mend: give a file that can be read\n"
    )
