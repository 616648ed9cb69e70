"""Text to a plain tree, and what is said when it is none."""

from datetime import date
from math import inf, nan
from pathlib import Path

import pytest

from sidecar.config.faults import FAULTY, Faults
from sidecar.config.parse import parse, refuse_odd_scalars
from sidecar.errors import ConfigError, Finding


def parse_text(folder: Path, name: str, text: str) -> tuple[object, list[Finding]]:
    (folder / name).write_text(text, encoding="utf-8")
    faults = Faults()
    return parse(folder / name, faults), faults.findings()


def refused(folder: Path, name: str, text: str) -> Finding:
    with pytest.raises(ConfigError) as error:
        parse_text(folder, name, text)
    (finding,) = error.value.findings
    return finding


def test_yaml_is_read_as_version_1_2(tmp_path: Path) -> None:
    text = """\
countries: [NO, on, yes, 2026-01-31, 12:30]
numbers: [1e-3, .5, 0x10, 010, -7]
words: [true, ~, null, "true", '12']
lines: |
  a
"""

    assert parse_text(tmp_path, "c.yaml", text) == (
        {
            "countries": ["NO", "on", "yes", "2026-01-31", "12:30"],
            "numbers": [0.001, 0.5, "0x10", 10, -7],
            "words": [True, None, None, "true", "12"],
            "lines": "a\n",
        },
        [],
    )


def test_an_alias_stands_for_its_anchor(tmp_path: Path) -> None:
    tree, _ = parse_text(tmp_path, "c.yaml", "a: &x {b: 1}\nc: *x\n")

    assert tree == {"a": {"b": 1}, "c": {"b": 1}}


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert parse_text(tmp_path, "c.json", "\ufeff{}") == ({}, [])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.yaml", "a: [1, 2\nb: 3", "expected ',' or ']', but got ':', line 2, column 2"),
        ("c.yaml", "a: *b", "found undefined alias 'b', line 1, column 4"),
        ("c.yaml", "a: 1\n---\na: 2", "but found another document, line 2, column 1"),
        ("c.yaml", "a: \x00", "special characters are not allowed, at character 4"),
        ("c.json", '{"a" 1}', "Expecting ':' delimiter: line 1 column 6 (char 5)"),
        ("c.toml", "a = \n", "Invalid value (at line 1, column 5)"),
        ("c.toml", "a = 1\na = 2", "Cannot overwrite a value (at end of document)"),
    ],
)
def test_a_syntax_error_has_its_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    finding = refused(tmp_path, name, text)

    assert finding == Finding("$", message, "mend the syntax there")


def test_a_syntax_error_does_not_repeat_the_text(tmp_path: Path) -> None:
    finding = refused(tmp_path, "c.yaml", 'password: "hunter2')

    assert "hunter2" not in str(finding)


def test_duplicate_keys_are_faults_in_json_too(tmp_path: Path) -> None:
    tree, found = parse_text(tmp_path, "c.json", '{"a": {"b": 1, "b": 2}}')

    assert tree == {"a": {"b": 2}}
    assert found == [Finding("$.a.b", "this key is written twice", "keep one of the two")]


def test_a_key_is_a_name(tmp_path: Path) -> None:
    _, found = parse_text(tmp_path, "c.yaml", "? [a]\n: 1\n")

    assert found == [
        Finding("$", "a key is a list or a map, line 1", "write a name as the key")
    ]


def test_an_unknown_extension_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "c.ini", "") == Finding(
        "$", "unknown extension `.ini`", "use one of `.yaml`, `.yml`, `.toml`, `.json`"
    )


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        parse(tmp_path / "none.yaml", Faults())

    assert error.value.findings == (
        Finding("$", "No such file or directory", "give a file that can be read"),
    )


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"name: \xff")

    with pytest.raises(ConfigError) as error:
        parse(tmp_path / "c.yaml", Faults())

    assert error.value.findings == (
        Finding("$", "is not UTF-8 at byte 6", "save the file as UTF-8"),
    )


@pytest.mark.parametrize("value", [inf, nan, date(2026, 1, 31), "hunter2\ud800", "hunter2\0"])
def test_what_no_setting_can_hold_is_refused_and_not_repeated(value: object) -> None:
    faults = Faults()

    assert refuse_odd_scalars({"a": [value, "text", 1.5, None, True]}, faults) == {
        "a": [FAULTY, "text", 1.5, None, True]
    }
    assert faults.findings() == [
        Finding("$.a[0]", "is neither text nor a finite number", "write one of these")
    ]
