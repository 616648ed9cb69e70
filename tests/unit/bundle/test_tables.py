import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from sidecar.bundle.manifest import FeatureType
from sidecar.bundle.tables import Column, read_table
from sidecar.errors import UserError

FLOAT, INTEGER = FeatureType.FLOAT, FeatureType.INTEGER
BOOLEAN, STRING = FeatureType.BOOLEAN, FeatureType.STRING


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def values(column: Column) -> list[object]:
    """Give what a column holds, None where missing."""
    if column.kind is STRING or column.numbers is None:
        return list(column.texts())
    return [None if math.isnan(number) else number for number in column.numbers.tolist()]


CSV_FORMS: dict[str, tuple[Sequence[str], FeatureType, list[object]]] = {
    "whole numbers": (["1", "-20", "+3"], INTEGER, [1.0, -20.0, 3.0]),
    "a fraction makes all floats": (["1", "2.5"], FLOAT, [1.0, 2.5]),
    "exponents": (["1e3", ".5", "2."], FLOAT, [1000.0, 0.5, 2.0]),
    "not a number is missing": (["1.5", "NaN", ""], FLOAT, [1.5, None, None]),
    "words for booleans": (["true", "False", ""], BOOLEAN, [1.0, 0.0, None]),
    "text": (["DE", "FR", ""], STRING, ["DE", "FR", None]),
    "codes with leading zeros": (["007", "110"], STRING, ["007", "110"]),
    "what only Python reads as a number": (["1_000", "2"], STRING, ["1_000", "2"]),
    "the country code of Namibia": (["NA", "DE"], STRING, ["NA", "DE"]),
    "nothing at all": (["", ""], FLOAT, [None, None]),
    "numbers and words": (["1", "true"], STRING, ["1", "true"]),
    "quotes and commas": (['"a,""b"""', "c"], STRING, ['a,"b"', "c"]),
}


@pytest.mark.parametrize(("fields", "kind", "expected"), CSV_FORMS.values(), ids=CSV_FORMS)
def test_csv_types_follow_the_written_form(
    tmp_path: Path, fields: Sequence[str], kind: FeatureType, expected: list[object]
) -> None:
    lines = [f"{number},{field}" for number, field in enumerate(fields)]
    table = read_table(written(tmp_path, "t.csv", "\n".join(["row,x", *lines])))

    assert (table["x"].kind, values(table["x"])) == (kind, expected)


def test_a_byte_order_mark_and_blank_lines_are_no_data(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "t.csv", "\ufeffa,b\r\n1,2\r\n\r\n3,4\r\n"))

    assert {name: values(column) for name, column in table.items()} == {
        "a": [1.0, 3.0],
        "b": [2.0, 4.0],
    }


JSON_FORMS: dict[str, tuple[list[object], FeatureType | None, list[object]]] = {
    "integers": ([1, None, 3], INTEGER, [1.0, None, 3.0]),
    "floats": ([1.0, 2.5], FLOAT, [1.0, 2.5]),
    "integers among floats": ([1, 2.5], FLOAT, [1.0, 2.5]),
    "booleans": ([True, False, None], BOOLEAN, [1.0, 0.0, None]),
    "strings": (["a", None, ""], STRING, ["a", None, ""]),
    "digits in a string": (["1", "2"], STRING, ["1", "2"]),
    "booleans among numbers": ([True, 2], None, ["True", "2"]),
    "lists": ([[1], [2]], None, ["[1]", "[2]"]),
}


@pytest.mark.parametrize(("given", "kind", "expected"), JSON_FORMS.values(), ids=JSON_FORMS)
def test_jsonl_types_are_those_of_the_values(
    tmp_path: Path, given: list[object], kind: FeatureType | None, expected: list[object]
) -> None:
    lines = [json.dumps({"x": value}) for value in given]
    table = read_table(written(tmp_path, "t.jsonl", "\n".join(lines)))

    assert (table["x"].kind, values(table["x"])) == (kind, expected)


def test_jsonl_columns_keep_the_order_of_the_file(tmp_path: Path) -> None:
    lines = '{"zeta": 1, "alpha": 2}\n\n{"alpha": 3, "late": 4, "zeta": 5}\n'
    table = read_table(written(tmp_path, "t.jsonl", lines))

    assert {name: values(column) for name, column in table.items()} == {
        "zeta": [1.0, 5.0],
        "alpha": [2.0, 3.0],
        "late": [None, 4.0],
    }
    assert list(table) == ["zeta", "alpha", "late"]


def test_parquet_types_are_those_of_the_columns(tmp_path: Path) -> None:
    columns = {
        "float": pa.array([1.0, None, math.nan]),
        "small": pa.array([1, 2, 3], pa.int8()),
        "whole": pa.array([2**40, None, 3]),
        "flag": pa.array([True, None, False]),
        "text": pa.array(["a", None, "b"]),
        "coded": pa.array(["x", "y", "x"]).dictionary_encode(),
        "price": pa.array([1, 2, 3]).cast(pa.decimal128(22, 2)),
        "day": pa.array([0, 1, None], pa.date32()),
    }
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")

    table = read_table(tmp_path / "t.parquet")

    assert {name: (column.kind, values(column)) for name, column in table.items()} == {
        "float": (FLOAT, [1.0, None, None]),
        "small": (INTEGER, [1.0, 2.0, 3.0]),
        "whole": (INTEGER, [2.0**40, None, 3.0]),
        "flag": (BOOLEAN, [1.0, None, 0.0]),
        "text": (STRING, ["a", None, "b"]),
        "coded": (STRING, ["x", "y", "x"]),
        "price": (FLOAT, [1.0, 2.0, 3.0]),
        "day": (None, ["1970-01-01", "1970-01-02", None]),
    }


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (Column(INTEGER, np.array([1.0, np.nan])), ["1", None]),
        (Column(FLOAT, np.array([0.5, 2.0])), ["0.5", "2"]),
        (Column(BOOLEAN, np.array([1.0, 0.0])), ["true", "false"]),
        (Column(FLOAT, np.array([0.5]), ["0.50"]), ["0.50"]),
    ],
    ids=["integer", "float", "boolean", "as written"],
)
def test_values_as_people_write_them(column: Column, texts: list[str | None]) -> None:
    assert column.texts() == texts


REFUSED = {
    "an unknown ending": ("t.xlsx", "", "has an unknown ending `.xlsx`"),
    "an empty file": ("t.csv", "", "has no rows"),
    "a header alone": ("t.csv", "a,b\n", "has no rows"),
    "a short record": ("t.csv", "a,b\n1,2\n3\n", "record 3 has 1 fields, the header 2"),
    "two columns of one name": ("t.csv", "a,a\n1,2\n", "has two columns ['a']"),
    "a line that is no object": ("t.jsonl", '{"a": 1}\n[2]\n', "line 2 is no JSON object: "),
    "Parquet that is none": ("t.parquet", "PAR0", "is not Parquet: "),
}


@pytest.mark.parametrize(("name", "content", "message"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    with pytest.raises(UserError) as error:
        read_table(written(tmp_path, name, content))

    assert error.value.findings[0].message.startswith(message)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"name\nM\xfcller\n")

    with pytest.raises(UserError, match="it is not UTF-8"):
        read_table(tmp_path / "t.csv")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_table(tmp_path / "t.csv")


def test_parquet_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # what a missing package looks like

    with pytest.raises(UserError) as error:
        read_table(written(tmp_path, "t.parquet", ""))

    assert error.value.findings[0].mend.startswith("install this package with its extra")
