"""`sidecar top` without a terminal: what it prints, its exit codes, and what it refuses."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli.main import cli
from tests.listeners import GUARDED, TOKEN, listening
from tests.telemetry_samples import StaticSurface, status
from tests.terminal import Terminal

NOBODY = "127.0.0.1:1"
WITHOUT = """
import sys
class Hides:
    def find_spec(self, name, path=None, target=None):
        if name == "textual":
            raise ModuleNotFoundError("No module named 'textual'", name=name)
sys.meta_path.insert(0, Hides())
from sidecar.cli.main import main
main(sys.argv[1:])
"""


def top(*args: object) -> Result:
    return CliRunner().invoke(cli, ["top", *map(str, args)])


def in_python(*args: str) -> Sequence[str]:
    """The command where textual is not installed."""
    return [sys.executable, "-c", WITHOUT, "top", *args]


def test_one_that_answers_is_printed_whole() -> None:
    with listening(StaticSurface()) as address:
        result = top(address, "--once")

    titles, row, empty, title, *facts = result.stdout.splitlines()
    assert result.exit_code == 0
    assert titles.split()[:4] == ["sidecar", "state", "rec/s", "lag"]
    assert row.split()[:4] == ["credit", "degraded", "1,234", "1,200"]
    assert (empty, title) == ("", f"credit at {address}")
    assert facts[0] == "  why           circuit_open: 6 of the last 10 model calls timed out"
    assert facts[2].startswith("  dead letters  missing_field 420 (97.2 %), malformed_json 12")


def test_one_that_does_not_answer_makes_it_fail_and_the_others_are_shown() -> None:
    ready = status(name="fraud", state="ready", reasons=())
    with (
        listening(StaticSurface()) as first,
        listening(StaticSurface(ready)) as second,
    ):
        result = top(first, second, NOBODY)

    assert result.exit_code == 1
    assert [line.split()[1] for line in result.stdout.splitlines()[1:4]] == [
        "degraded",
        "ready",
        "away",
    ]
    assert "\n2 of 3 answer  2,469 rec/s  " in result.stdout
    assert "Connection refused" in result.stdout


def test_without_an_address_the_default_listener_is_asked() -> None:
    assert "127.0.0.1:9465" in top("--once").stdout


def test_the_same_sidecar_is_shown_once() -> None:
    assert top(NOBODY, f"http://{NOBODY}/").stdout.count("Connection refused") == 1


def test_the_token_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    with listening(StaticSurface(), GUARDED) as address:
        with_it, without = top(address, "--token-file", path), top(address)

    assert (with_it.exit_code, without.exit_code) == (0, 1)
    assert "answers 401 Unauthorized: give the token" in without.stdout


def test_the_address_comes_from_a_config(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    with listening(StaticSurface()) as address:
        path.write_text(
            'kafka: {bootstrap_servers: ["b:9092"]}\ntopics: {events: e}\n'
            f"model: {{bundle: m}}\nhttp: {{admin: '{address}'}}\n"
        )
        result = top("--config", path)

    assert result.exit_code == 0
    assert address in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["host"], "Mend: write `HOST:PORT`, or a URL"),
        (["--token-file", "no-such-file"], "No such file or directory"),
        (["--config", "no-such-file.yaml"], "no-such-file.yaml"),
        (["--interval", "0"], "0 is not in the range"),
        (["--interval", "nan"], "nan is not a number of seconds"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_refused_with_its_mend(args: list[str], said: str) -> None:
    result = top(*args)

    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_without_the_extra_a_terminal_gets_the_mend_and_once_works() -> None:
    with Terminal(in_python(NOBODY)) as live, Terminal(in_python(NOBODY, "--once")) as once:
        live.shows("Mend: install this package with its extra `top`")
        once.shows("Connection refused")

        assert (live.ends(), once.ends()) == (2, 1)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("sidecar to", "plain,top\n"),
        ("sidecar top --o", "plain,--once\n"),
        ("sidecar top --token-file x", "file,x\n"),
        ("sidecar top --config x", "file,x\n"),
    ],
)
def test_a_shell_completes_it(words: str, offered: str) -> None:
    asked = {
        "_SIDECAR_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }

    assert CliRunner().invoke(cli, [], env=asked, prog_name="sidecar").output == offered
