"""`sidecar replay` as it is typed: help, output, exit codes."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from sidecar.cli.main import cli
from tests.bundle_factory import EVENT, build_credit_bundle
from tests.terminal import on_terminal


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config and two events, one of them broken."""
    folder = tmp_path_factory.mktemp("replay")
    build_credit_bundle(folder)
    config = {
        "kafka": {"bootstrap_servers": ["127.0.0.1:1"]},
        "topics": {"events": "credit.events"},
        "model": {"bundle": "credit"},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    event = json.dumps({"id": "a", "features": EVENT})
    (folder / "e.jsonl").write_text(f"{event}\nnonsense\n")
    return folder


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["replay", *map(str, args)])


def test_help_fits_one_screen() -> None:
    lines = run("--help").stdout.splitlines()

    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80


def test_the_report_is_text_or_json(folder: Path) -> None:
    text = run(folder / "c.yaml", folder / "e.jsonl")
    data = run(folder / "c.yaml", folder / "e.jsonl", "--format", "json")

    assert (text.exit_code, text.stderr, data.exit_code, data.stderr) == (0, "", 0, "")
    assert text.stdout.startswith(f"Replay of {folder / 'e.jsonl'} through credit 7\n")
    assert json.loads(data.stdout)["records"] == {
        "received": 2,
        "decided": 1,
        "rejected": 1,
        "tombstones": 0,
        "joined": 0,
    }


def test_a_bar_shows_how_far_it_is_on_a_terminal_alone(folder: Path) -> None:
    line = (folder / "e.jsonl").read_text().splitlines()[0]
    (folder / "long.jsonl").write_text(f"{line}\n" * 20_000)
    words = (
        sys.executable,
        "-m",
        "sidecar",
        "replay",
        folder / "c.yaml",
        folder / "long.jsonl",
    )

    code, shown = on_terminal(words)

    shares = [int(share) for share in re.findall(r"Replaying  \[[#-]{36}\] +(\d+)%", shown)]
    assert code == 0
    assert shares == sorted(set(shares))
    assert len(shares) > 2
    assert run(folder / "c.yaml", folder / "long.jsonl").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gone.jsonl",), "gone.jsonl: cannot be read: No such file or directory"),
        (("topik",), "did you mean `topic`?"),
        (("e.xlsx",), "has an unknown ending `.xlsx`"),
        (("e.jsonl", "--decisions", "d.xlsx"), "`d.xlsx` has an ending that is not written"),
        (("e.jsonl", "--every", "soon"), "Expected a duration"),
        (("e.jsonl", "--input-format", "avro"), "'avro' is not one of"),
    ],
    ids=["input", "topic", "ending", "output", "step", "format"],
)
def test_what_a_user_got_wrong_exits_with_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "e.xlsx").touch()

    result = run("c.yaml", *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_file_of_another_name_is_read_as_it_is_called(folder: Path) -> None:
    (folder / "dump").write_bytes((folder / "e.jsonl").read_bytes())

    result = run(folder / "c.yaml", folder / "dump", "--input-format", "events")

    assert result.exit_code == 0
