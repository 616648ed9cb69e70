"""`sidecar test`: the page that shows it is run; reports, exit codes, faults."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import structlog
from click.testing import CliRunner, Result

from sidecar.cli.main import cli

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data"
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^<!-- (?P<role>\w+)(?:: (?P<name>\S+))? -->\n```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture(autouse=True)
def logs_are_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def sidecar(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page: its config, its tests, and the bundle of the quickstart."""
    folder = tmp_path_factory.mktemp("shop")
    result = sidecar(
        *("bundle", "build", "--model", DATA / "models" / "shop_named.onnx"),
        *("--reference", DATA / "tables" / "shop.csv", "--name", "shop", "--version", "1"),
        *("--label", "returned", "--group", "channel", "--out", folder / "models/shop/1"),
    )
    assert result.exit_code == 0
    for block in BLOCK.finditer(PAGE):
        if block["role"] == "file":
            (folder / block["name"]).write_text(block["text"], encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def here(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)


PASSING = """
tests:
  - name: one
    event: {id: o, features: {price: 1, items: 5, channel: web, size: M}}
    stub: {error: model_error}
    expect: {rule: many}
"""
FAILING = PASSING.replace("rule: many", "rule: costly")


def write(text: str, name: str = "other.yaml") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


# --- the page ---------------------------------------------------------------------------------


def test_the_page_shows_what_its_command_prints() -> None:
    roles = {block["role"]: block["text"] for block in BLOCK.finditer(PAGE)}
    name, *args = roles["run"].split()

    result = sidecar(*args)

    assert (name, result.exit_code) == ("sidecar", 1)
    assert (result.stdout, result.stderr) == (roles["output"], "")


def test_the_page_lists_every_field_of_a_test() -> None:
    fields = {"name", "event", "raw", "key", "headers", "timestamp", "stub", "expect", "events"}
    listed = re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE)

    assert fields <= set(re.findall(r"`(\w+)`", " ".join(listed)))


def test_the_same_tests_give_the_same_report() -> None:
    one, two = (sidecar("test", "sidecar.yaml", "--format", "json") for _ in range(2))

    assert one.stdout == two.stdout


# --- exit codes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (PASSING, (), 1),
        (PASSING, ("--allow-unreached",), 0),
        (PASSING, ("--filter", "ONE"), 0),
        (FAILING, ("--allow-unreached",), 1),
        (PASSING, ("--filter", "two"), 2),
        (PASSING, ("--format", "yaml"), 2),
        (PASSING.replace("stub", "stbu"), (), 2),
        (PASSING, ("--junit", "no/such/folder.xml"), 2),
    ],
)
def test_the_exit_code_says_what_happened(
    text: str, options: tuple[str, ...], code: int
) -> None:
    assert sidecar("test", "sidecar.yaml", write(text), *options).exit_code == code


def test_a_filter_looks_only_at_what_it_names() -> None:
    two = PASSING + PASSING.replace("tests:\n", "").replace("one", "two")

    result = sidecar("test", "sidecar.yaml", write(two), "--filter", "TWO")

    assert (result.exit_code, result.stdout) == (0, "ok    two\n\n1 test: 1 passed\n")


# --- reports ----------------------------------------------------------------------------------


def test_json_is_one_object() -> None:
    result = sidecar("test", "sidecar.yaml", write(FAILING), "--format", "json")

    report = json.loads(result.stdout)
    assert report["results"] == [
        {
            "name": "one",
            "line": 3,
            "differences": [{"field": "rule", "expected": "costly", "got": "many"}],
        }
    ]
    assert report["file"] == "other.yaml"
    assert [found["path"] for found in report["unreached"]] == [
        "$.fallback.rules[0]",
        "$.fallback.cache",
        "$.fallback.default",
    ]


def test_junit_has_a_case_for_each_test_and_each_gap() -> None:
    strange = FAILING.replace("name: one", r'name: "<one> \x01 & more"')

    sidecar("test", "sidecar.yaml", write(strange), "--junit", "report.xml")

    suite = ElementTree.parse("report.xml").getroot()[0]  # noqa: S314  written just above
    told = {case.get("name"): [failure.get("message") for failure in case] for case in suite}
    assert suite.attrib == {"name": "other.yaml", "tests": "4", "failures": "4"}
    assert told == {
        "<one> \ufffd & more": ["rule: expected costly, got many"],
        "$.fallback.rules[0] is reached": ["no test reaches the rule `costly`"],
        "$.fallback.cache is reached": ["no test reaches the cache"],
        "$.fallback.default is reached": ["no test reaches the default"],
    }


def test_junit_of_what_passed_has_no_failure() -> None:
    options = ("--allow-unreached", "--junit", "report.xml")

    sidecar("test", "sidecar.yaml", write(PASSING), *options)

    suite = ElementTree.parse("report.xml").getroot()[0]  # noqa: S314  written just above
    assert suite.attrib == {"name": "other.yaml", "tests": "1", "failures": "0"}
    assert suite.find(".//failure") is None


# --- faults -----------------------------------------------------------------------------------


def test_a_typo_is_told_with_the_nearest_name_and_its_line() -> None:
    typo = PASSING.replace("model_error", "model_eror").replace("rule: many", "ruel: many")

    result = sidecar("test", "sidecar.yaml", write(typo))

    assert (result.exit_code, result.stdout) == (2, "")
    assert "$.tests[0].stub.error: there is no error `model_eror`, line 5\n" in result.stderr
    assert "Mend: did you mean `model_error`?\n" in result.stderr
    assert "$.tests[0].expect.ruel: unknown key, line 6\n" in result.stderr
    assert "Mend: did you mean `rule`?\n" in result.stderr


def test_a_config_without_tests_says_what_to_write() -> None:
    config = Path("sidecar.yaml").read_text(encoding="utf-8")

    result = sidecar("test", write(config, "alone.yaml"))

    assert result.exit_code == 2
    assert result.stderr == (
        "Error: alone.yaml: 1 fault\n"
        "  1. alone.test.yaml: there are no tests\n"
        "     Mend: write it, or name another: `sidecar test CONFIG TESTS`\n"
    )


def test_the_help_fits_one_screen() -> None:
    text = sidecar("test", "--help").stdout

    assert len(text.splitlines()) <= 32
    assert max(map(len, text.splitlines())) <= 80
