"""What a user sees of `sidecar check`: text, JSON, annotations, exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli.main import cli
from tests.bundle_factory import build_credit_bundle, credit_rows

Check = Callable[..., Result]

FAULTY = """\
kafka: {bootstrap_servers: [broker:9092]}
topics: {events: credit.events}
model: {bundle: "50%:nowhere"}
limits: {shutdown: 1m}
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run the command beside a file with an error and a warning."""
    (tmp_path / "faulty.yaml").write_text(FAULTY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["check", *arguments])

    return run


@pytest.fixture
def demo(tmp_path: Path) -> Callable[[str], str]:
    """Write a config of the packaged bundle, with more lines below."""
    bundle = Path(__file__).parents[3] / "sidecar/demo/data/employment/1"

    def write(more: str) -> str:
        path = tmp_path / "demo.yaml"
        text = FAULTY.replace("50%:nowhere", str(bundle)).replace("1m", "20s")
        path.write_text(text + more, encoding="utf-8")
        return path.name

    return write


def test_text_has_a_line_per_problem_its_mend_and_a_verdict(check: Check) -> None:
    result = check("faulty.yaml")

    assert result.stdout == (
        "faulty.yaml:3: error: $.model.bundle: there is no folder `50%:nowhere`"
        " [bundle-fault]\n"
        "    Mend: build it with `sidecar bundle build`, or mend the path\n"
        "faulty.yaml:4: warning: $.limits.shutdown: `1m` is not over when the usual grace"
        " period, `30s`, is [shutdown-outlasts-the-grace]\n"
        "    Mend: shorten it, or raise the pod's grace period\n"
        "1 file checked: 1 error, 1 warning\n"
    )


def test_annotations_are_escaped_as_github_reads_them(check: Check) -> None:
    result = check("faulty.yaml", "--format", "github")

    first, second, verdict = result.stdout.splitlines()
    assert first == (
        "::error file=faulty.yaml,line=3,title=bundle-fault::$.model.bundle: there is no folder"
        " `50%25:nowhere`%0AMend: build it with `sidecar bundle build`, or mend the path"
    )
    assert second.startswith(
        "::warning file=faulty.yaml,line=4,title=shutdown-outlasts-the-grace::"
    )
    assert verdict == "1 file checked: 1 error, 1 warning"


def test_json_is_one_object(check: Check) -> None:
    told = json.loads(check("faulty.yaml", "--format", "json").stdout)

    first, _ = told.pop("problems")
    assert told == {"files": ["faulty.yaml"], "errors": 1, "warnings": 1, "notes": 0}
    assert first == {
        "file": "faulty.yaml",
        "line": 3,
        "path": "$.model.bundle",
        "check": "bundle-fault",
        "severity": "error",
        "message": "there is no folder `50%:nowhere`",
        "mend": "build it with `sidecar bundle build`, or mend the path",
    }


@pytest.mark.parametrize(
    ("more", "options", "code", "verdict"),
    [
        pytest.param("", [], 0, "0 errors, 0 warnings, 1 note", id="note"),
        pytest.param(
            "",
            ["--deny-warnings"],
            0,
            "0 errors, 0 warnings, 1 note",
            id="note, no warnings",
        ),
        pytest.param(
            "http: {admin: '0.0.0.0:1'}",
            [],
            0,
            "0 errors, 1 warning, 1 note",
            id="warning",
        ),
        pytest.param(
            "http: {admin: '0.0.0.0:1'}",
            ["--deny-warnings"],
            1,
            "0 errors, 1 warning, 1 note",
            id="warning denied",
        ),
        pytest.param("oops: 1", [], 1, "1 error, 0 warnings", id="error"),
    ],
)
def test_the_exit_code_says_whether_there_is_something_to_mend(
    check: Check,
    demo: Callable[[str], str],
    more: str,
    options: list[str],
    code: int,
    verdict: str,
) -> None:
    result = check(demo(more), *options)

    *_, last = result.stdout.splitlines()
    assert (result.exit_code, last) == (code, f"1 file checked: {verdict}")


def test_a_sound_config_has_nothing_to_mend(check: Check, tmp_path: Path) -> None:
    build_credit_bundle(tmp_path, rows=credit_rows(28 * 250))
    text = FAULTY.replace("50%:nowhere", "credit").replace("1m", "20s")
    daily = "monitors: {windows: [24h]}\n"
    (tmp_path / "sound.yaml").write_text(text + daily, encoding="utf-8")

    assert check("sound.yaml").stdout == "1 file checked: nothing to mend\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-file.yaml"],
        ["faulty.yaml", "--format", "xml"],
        ["faulty.yaml", "--timeout", "0"],
    ],
)
def test_wrong_usage_exits_with_2(check: Check, arguments: list[str]) -> None:
    result = check(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")


def test_a_broker_that_is_not_there_is_an_error_and_logs_nothing(
    check: Check, demo: Callable[[str], str], tmp_path: Path
) -> None:
    name = demo("")
    text = (tmp_path / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(text.replace("broker:9092", "127.0.0.1:1"), encoding="utf-8")

    result = check(name, "--connect")

    assert (result.exit_code, result.stderr) == (1, "")
    assert "demo.yaml:1: error: $.kafka.bootstrap_servers[0]: 127.0.0.1:1: " in result.stdout


def test_the_help_fits_one_screen_and_has_an_example(check: Check) -> None:
    told = check("--help").stdout

    assert len(told.splitlines()) <= 24
    assert "Example: sidecar check --connect sidecar.yaml" in told


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["plain", "NO_COLOR"]
)
def test_a_terminal_gets_colours_unless_it_is_told_not_to(
    check: Check, environ: dict[str, str], coloured: bool
) -> None:
    ours, theirs = os.openpty()
    given = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "sidecar", "check", "faulty.yaml"]

    done = subprocess.run(command, stdout=theirs, env=given | environ, check=False)
    told = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)

    assert done.returncode == 1
    assert ("\x1b[31m\x1b[1merror\x1b[0m" in told) == ("\x1b[" in told) == coloured


def test_a_file_gets_no_colours(check: Check) -> None:
    assert "\x1b[" not in check("faulty.yaml").stdout
