"""`sidecar init` and `sidecar completion`, as a user calls them."""

from pathlib import Path

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
    assert made == ["events.jsonl", "models", "sidecar.test.yaml", "sidecar.yaml"]
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
    for words in (
        (),
        ("init",),
        ("completion",),
        ("bundle",),
        ("bundle", "build"),
        ("replay",),
    ):
        lines = (
            CliRunner(env={"COLUMNS": "80"}).invoke(cli, [*words, "--help"]).output.splitlines()
        )
        assert (len(lines) <= 42, max(map(len, lines)) <= 80) == (True, True), words
