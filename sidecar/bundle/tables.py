"""Reference rows from CSV, Parquet or JSONL, as typed columns."""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sidecar.bundle.manifest import FeatureType
from sidecar.errors import Finding, UserError
from sidecar.events import BoolColumn, Float64Column

# `007` is a code, not a number, and so is everything that only Python reads as one (`1_000`).
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan", re.ASCII | re.IGNORECASE
)
_BOOLEANS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, with the type that events would give its values."""

    kind: FeatureType | None
    """None for a mixture, or for something that is no feature, such as a list."""
    numbers: Float64Column | None = None
    """Floats, integers and booleans, NaN where missing."""
    text: list[str | None] | None = None
    """Strings, and every column of a CSV file as it stands there."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.text or ()) if self.numbers is None else len(self.numbers)

    def texts(self) -> list[str | None]:
        """Give the values as people write them: `3`, `0.5`, `true`, None where missing."""
        if self.text is not None:
            return self.text
        numbers = np.empty(0) if self.numbers is None else self.numbers
        return [None if np.isnan(number) else self._written(number) for number in numbers]

    def take(self, rows: BoolColumn) -> "Column":
        """Give the marked rows."""
        text = None if self.text is None else list(compress(self.text, rows.tolist()))
        return Column(self.kind, None if self.numbers is None else self.numbers[rows], text)

    def _written(self, number: float) -> str:
        if self.kind is FeatureType.BOOLEAN:
            return "true" if number else "false"
        return str(int(number)) if float(number).is_integer() else str(float(number))


Table = Mapping[str, Column]
"""Columns by name, in the order of the file, all of one length."""


def read_table(path: Path) -> Table:
    """Read reference rows.

    A missing value is an empty field of a CSV file, a null of the others, and NaN anywhere.
    The type of a column is that of all its values: of a CSV file the form in which they are
    written, of JSON their type (`1` is an integer, `1.0` a float), of Parquet the column's.

    Args:
        path: A file that ends in `.csv`, `.jsonl`, `.ndjson`, `.parquet` or `.pq`.

    Raises:
        UserError: It cannot be read as what its name says, or has no rows.
    """
    readers: dict[str, Callable[[Path], Table]] = {
        ".csv": _read_csv,
        ".jsonl": _read_jsonl,
        ".ndjson": _read_jsonl,
        ".parquet": _read_parquet,
        ".pq": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise _unreadable(
            path, f"has an unknown ending `{path.suffix}`", "give CSV, Parquet or JSONL"
        )
    try:
        table = reader(path)
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise _unreadable(
            path, f"cannot be read: {reason}", "check the path and the file"
        ) from exc
    if not any(len(column) for column in table.values()):
        raise _unreadable(path, "has no rows", "give rows that the model was trained on")
    return table


def _read_csv(path: Path) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        names = next(rows, [])
        if twice := {name for name in names if names.count(name) > 1}:
            raise _unreadable(path, f"has two columns {sorted(twice)}", "rename one of them")
        body = [row for row in rows if row]
    for number, row in enumerate(body, start=2):
        if len(row) != len(names):
            message = f"record {number} has {len(row)} fields, the header {len(names)}"
            raise _unreadable(path, message, "quote fields that hold a comma")
    fields = zip(*body, strict=True) if body else [() for _ in names]
    return {name: _csv_column(column) for name, column in zip(names, fields, strict=True)}


def _csv_column(fields: Sequence[str]) -> Column:
    text = [field.strip() or None for field in fields]
    distinct = {value for value in text if value is not None}
    kind = _written_kind(distinct)
    if kind is FeatureType.STRING:
        return Column(kind, None, text)
    number_of = {value: _BOOLEANS.get(value.lower()) for value in distinct}
    numbers = {value: float(value) if n is None else n for value, n in number_of.items()}
    return Column(kind, np.array([numbers.get(v, np.nan) if v else np.nan for v in text]), text)


def _written_kind(distinct: set[str]) -> FeatureType:
    """Tell the type by how the values are written."""
    if distinct and all(map(_INTEGER.fullmatch, distinct)):
        return FeatureType.INTEGER
    if distinct and all(value.lower() in _BOOLEANS for value in distinct):
        return FeatureType.BOOLEAN
    return FeatureType.FLOAT if all(map(_FLOAT.fullmatch, distinct)) else FeatureType.STRING


def _read_jsonl(path: Path) -> Table:
    columns: dict[str, list[Any]] = {}
    decoder = msgspec.json.Decoder(dict[str, Any])
    count = 0
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            message = f"line {number} is no JSON object: {exc}"
            raise _unreadable(path, message, "write one flat object per line") from exc
        for name in row:  # in the order of the file, which may be the model's
            columns.setdefault(name, [None] * count)
        for name, values in columns.items():
            values.append(row.get(name))
        count += 1
    return {name: _typed_column(values) for name, values in columns.items()}


def _typed_column(values: Sequence[Any]) -> Column:
    """Give values of Python types as a column."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {str}:
        return Column(FeatureType.STRING, None, list(values))
    if kinds == {bool}:
        kind = FeatureType.BOOLEAN
    elif kinds == {int}:
        kind = FeatureType.INTEGER
    elif kinds <= {int, float}:
        kind = FeatureType.FLOAT
    else:
        return Column(None, None, [None if value is None else str(value) for value in values])
    return Column(kind, np.array([np.nan if v is None else float(v) for v in values]))


def _read_parquet(path: Path) -> Table:
    try:
        arrow = import_module("pyarrow")
        parquet = import_module("pyarrow.parquet")
    except ImportError as exc:
        mend = "install this package with its extra `parquet`, or give CSV or JSONL"
        raise _unreadable(path, "is Parquet, and pyarrow is not installed", mend) from exc
    try:
        table = parquet.read_table(path)
    except arrow.ArrowException as exc:
        raise _unreadable(path, f"is not Parquet: {exc}", "check the file") from exc
    return {name: _arrow_column(table[name], arrow) for name in table.column_names}


def _arrow_column(values: Any, arrow: Any) -> Column:
    """Give a column of Arrow's as one of ours."""
    kinds = arrow.types
    if kinds.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if kinds.is_boolean(values.type):
        return Column(FeatureType.BOOLEAN, _arrow_numbers(values.cast(arrow.int8()), arrow))
    if kinds.is_integer(values.type):
        return Column(FeatureType.INTEGER, _arrow_numbers(values, arrow))
    if any(test(values.type) for test in (kinds.is_floating, kinds.is_decimal, kinds.is_null)):
        return Column(FeatureType.FLOAT, _arrow_numbers(values, arrow))
    is_text = kinds.is_string(values.type) or kinds.is_large_string(values.type)
    texts = [None if value is None else str(value) for value in values.to_pylist()]
    return Column(FeatureType.STRING if is_text else None, None, texts)


def _arrow_numbers(values: Any, arrow: Any) -> Float64Column:
    floats = values.cast(arrow.float64(), safe=False).to_numpy()
    return np.array(floats, np.float64)


def _unreadable(path: Path, message: str, mend: str) -> UserError:
    return UserError(str(path), [Finding(path.name, message, mend)])
