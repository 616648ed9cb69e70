"""The file of tests: where it is found, and all that is wrong with it at once."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sidecar.app.cases import cases_beside, load_cases
from sidecar.config.cases import Base64, Case, Expectation, Sent, Stub, Suite
from sidecar.config.describe import describe
from sidecar.errors import ConfigError
from sidecar.pipeline.schemas import schema

GOOD: dict[str, Any] = {"name": "n", "event": {"id": "e"}, "expect": {"label": "x"}}


def faults(tmp_path: Path, *tests: dict[str, Any]) -> list[str]:
    """Give what is wrong with tests, from the first one on, without the lines."""
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump({"tests": tests}))
    try:
        load_cases(path, {})
    except ConfigError as error:
        return [
            f"{found.path.removeprefix('$.tests')}: {found.message.rpartition(', line')[0]} "
            f"({found.mend})"
            for found in error.findings
        ]
    return []


def having(**changes: Any) -> dict[str, Any]:
    """A good test with changes; None removes a field."""
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not None}


# --- the file ---------------------------------------------------------------------------------


def test_tests_stand_beside_their_config_in_any_format(tmp_path: Path) -> None:
    config = tmp_path / "shop.toml"
    (tmp_path / "shop.test.json").touch()

    assert cases_beside(config) == tmp_path / "shop.test.json"
    (tmp_path / "shop.test.toml").touch()
    assert cases_beside(config) == tmp_path / "shop.test.toml"


def test_a_config_without_tests_says_where_they_belong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        cases_beside(tmp_path / "shop.yaml")

    (finding,) = error.value.findings
    assert finding.path == str(tmp_path / "shop.test.yaml")
    assert finding.message == "there are no tests"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "t.toml",
            '[[tests]]\nname = "n"\nkey = "k"\nexpect = {label = "x"}\n'
            'event = {id = "e", n = [1, 2.5]}\nheaders = {a = "1"}\n'
            'stub = {label = "y"}\ntimestamp = "1970-01-01T00:00:01Z"\n',
        ),
        (
            "t.json",
            '{"tests": [{"name": "n", "key": "k", "expect": {"label": "x"},'
            ' "event": {"id": "e", "n": [1, 2.5]}, "headers": {"a": "1"},'
            ' "stub": {"label": "y"}, "timestamp": "1970-01-01T00:00:01Z"}]}',
        ),
        (
            "t.yaml",
            "tests:\n- {name: n, key: k, expect: {label: '${L}'}, event: {id: e, n: [1, 2.5]},"
            " headers: {a: '1'}, stub: {label: y}, timestamp: '1970-01-01T00:00:01Z'}",
        ),
    ],
)
def test_every_format_says_the_same(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)

    (case,) = load_cases(path, {"L": "x"}).tests

    assert (case.name, case.key, case.event) == ("n", "k", {"id": "e", "n": [1, 2.5]})
    assert (case.headers, case.stub) == ({"a": "1"}, Stub(label="y"))
    assert case.expect == Expectation(label="x")
    assert str(case.timestamp) == "1970-01-01 00:00:01+00:00"


def test_faults_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("tests:\n  - name: n\n    evnt: {}\n    expect:\n      labell: x\n")

    with pytest.raises(ConfigError) as error:
        load_cases(path, {})

    assert [str(found) for found in error.value.findings] == [
        "$.tests[0]: sends nothing, line 2 (add `event`, `raw` or `events`)",
        "$.tests[0].evnt: unknown key, line 3 (did you mean `event`?)",
        "$.tests[0].expect: expects nothing, line 4 (name at least one of label, source, "
        "reason, rule, score, confidence, flags, rejected, path, tombstone)",
        "$.tests[0].expect.labell: unknown key, line 5 (did you mean `label`?)",
    ]


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"stub": {"label": "x", "scor": 1}},
            "[0].stub.scor: unknown key (did you mean `score`?)",
        ),
        (
            {"stub": {"error": "model_eror"}},
            "[0].stub.error: there is no error `model_eror` (did you mean `model_error`?)",
        ),
        (
            {"stub": {"error": "model_error", "score": 1.0}},
            "[0].stub: the model answers and fails at once "
            "(remove `error`, or everything else)",
        ),
        ({"stub": {}}, "[0].stub: says nothing (add `label`, `score` or `error`)"),
        (
            {"expect": {"source": "rul"}},
            "[0].expect.source: there is no source `rul` (did you mean `rule`?)",
        ),
        (
            {"expect": {"reason": "low_confidense"}},
            "[0].expect.reason: there is no reason `low_confidense` "
            "(did you mean `low_confidence`?)",
        ),
        (
            {"expect": {"rejected": "wrong_typ"}},
            "[0].expect.rejected: there is no reject code `wrong_typ` "
            "(did you mean `wrong_type`?)",
        ),
        (
            {"expect": {"flags": ["future_time", "future"]}},
            "[0].expect.flags[1]: there is no flag `future` (did you mean `future_time`?)",
        ),
        (
            {"expect": {"rejected": "empty", "label": "x"}},
            "[0].expect: no record becomes more than one of decision, dead letter and "
            "tombstone (expect one of them)",
        ),
        (
            {"expect": [{"label": "x"}]},
            "[0].expect: is a list for one event (write it without the dash)",
        ),
        (
            {"event": None, "events": [{"event": {}}]},
            "[0].expect: is one for several events (write a list, one for each)",
        ),
        (
            {"event": None, "events": [{"event": {}}] * 2, "expect": [{"label": "x"}]},
            "[0].expect: has 1 entries for 2 events (write one for each event)",
        ),
        (
            {"events": [{"event": {}}], "expect": [{"label": "x"}]},
            "[0].event: stands beside `events` "
            "(move it to those of `events` that it is meant for)",
        ),
        (
            {"event": None, "events": [{"key": "k"}], "expect": [{"label": "x"}]},
            "[0].events[0]: sends nothing (add `event` or `raw`)",
        ),
        ({"raw": "x"}, "[0].raw: stands beside `event` (remove one of them)"),
        ({"headers": {"a": 1.0}}, "[0].headers.a: is no text (write it in quotes)"),
        (
            {"event": None, "raw": {"base64": "?"}},
            "[0].raw.base64: Invalid base64 encoded string (write base64 text)",
        ),
    ],
    ids=str,
)
def test_a_fault_is_told_with_its_mend(
    changes: dict[str, Any], fault: str, tmp_path: Path
) -> None:
    assert faults(tmp_path, having(**changes)) == [fault]


def test_names_are_of_their_own(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD, having(name="m"), GOOD) == [
        "[2].name: a test before it is named `n` too (give each test its own name)"
    ]


def test_an_empty_file_has_no_tests(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path)

    assert fault.startswith(": Expected `array` of length >= 1 (write a list, each a section")


# --- the schema -------------------------------------------------------------------------------


@pytest.mark.parametrize("struct", [Suite, Case, Sent, Stub, Expectation, Base64])
def test_every_field_is_described(struct: type[Suite]) -> None:
    assert set(describe(struct)) == set(struct.__struct_fields__)


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"stub": {"error": "model_error"}, "timestamp": 0}, True),
        ({"expect": [{"tombstone": True}]}, True),
        ({"evnt": {}}, False),
        ({"stub": {"error": "modelerror"}}, False),
        ({"expect": {"flags": ["future"]}}, False),
        ({"headers": {"a": 1}}, False),
    ],
    ids=str,
)
def test_the_schema_knows_the_words(changes: dict[str, Any], allowed: bool) -> None:
    validator = Draft202012Validator(schema("tests"))

    assert validator.is_valid({"tests": [having(**changes)]}) is allowed
