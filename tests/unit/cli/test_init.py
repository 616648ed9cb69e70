"""`sidecar init` and `sidecar completion`, as a user calls them."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from sidecar.cli.main import cli

DATA = Path(__file__).parents[2] / "data"
SHOP = (
    *("init", "--model", DATA / "models" / "shop_named.onnx"),
    *("--reference", DATA / "tables" / "shop.csv", "--label", "returned"),
)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def test_init_makes_a_folder_of_the_models_name_and_says_what_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = run(*SHOP)

    made = sorted(path.name for path in (tmp_path / "shop_named").iterdir())
    assert (result.exit_code, result.stderr) == (0, "")
    files = ["QUICKSTART.md", "events.jsonl", "models", "sidecar.test.yaml", "sidecar.yaml"]
    assert made == files
    commands = ("cd shop_named", "sidecar check sidecar.yaml", "sidecar test sidecar.yaml")
    assert all(f"\n  {command}\n" in result.stdout for command in commands)
    assert result.stdout.endswith("\n  sidecar run sidecar.yaml\n")


def test_what_init_made_passes_check_test_and_replay(tmp_path: Path) -> None:
    run(*SHOP, "--name", "shop", "--brokers", "b-1:9093,b-2:9093", tmp_path / "new")
    config = tmp_path / "new" / "sidecar.yaml"

    results = [
        run("check", "--deny-warnings", config),
        run("test", config),
        run("replay", config, tmp_path / "new" / "events.jsonl"),
    ]

    assert [result.exit_code for result in results] == [0, 0, 0]
    assert '["b-1:9093", "b-2:9093"]' in config.read_text()


def test_the_quick_start_of_the_folder_works_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*SHOP, "--name", "shop", tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")

    page = Path("QUICKSTART.md").read_text(encoding="utf-8")
    first, *_ = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    codes = [run(*line.split()[1:]).exit_code for line in first.splitlines()]

    assert codes == [0, 0, 0]
    decisions = Path("decisions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(decisions) == len(Path("events.jsonl").read_text().splitlines())
    assert all(line in page for line in ("sidecar run sidecar.yaml", "shop.decisions"))


def test_init_refuses_a_folder_that_is_there(tmp_path: Path) -> None:
    first, second, third = (
        run(*SHOP, *more, tmp_path / "a") for more in ((), (), ("--force",))
    )

    assert [result.exit_code for result in (first, second, third)] == [0, 2, 0]
    assert "FOLDER: exists already\n" in second.stderr


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "complete -o nosort -F _sidecar_completion sidecar"),
        ("zsh", "#compdef sidecar"),
        ("fish", "complete --no-files --command sidecar"),
    ],
)
def test_completion_prints_the_script_of_a_shell(shell: str, words: str) -> None:
    result = run("completion", shell)

    assert result.exit_code == 0
    assert words in result.stdout
    assert "_SIDECAR_COMPLETE" in result.stdout


def test_the_script_completes_a_subcommand() -> None:
    asked = {
        "_SIDECAR_COMPLETE": "bash_complete",
        "COMP_WORDS": "sidecar in",
        "COMP_CWORD": "1",
    }

    result = CliRunner().invoke(cli, [], env=asked, prog_name="sidecar")

    assert result.output == "plain,init\n"


def test_no_help_is_longer_than_a_screen() -> None:
    for words in ((), *commands(cli, ())):
        result = CliRunner(env={"COLUMNS": "80"}).invoke(cli, [*words, "--help"])
        lines = result.output.splitlines()
        assert (len(lines) <= 40, max(map(len, lines)) <= 80) == (True, True), words
        assert "Example" in result.output, words


def commands(group: click.Group, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Give every command and group below a group, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        yield (*above, name)
        below = group.get_command(context, name)
        if isinstance(below, click.Group):
            yield from commands(below, (*above, name))
