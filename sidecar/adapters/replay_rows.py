"""From the columns of a table to events: values get the types that the signature wants."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct, defstruct

from sidecar.adapters.replay_lines import EventClock
from sidecar.adapters.replay_records import KeptRecord
from sidecar.bundle.manifest import Feature, FeatureType
from sidecar.errors import Finding, UserError, did_you_mean
from sidecar.pipeline.signature import EARLIEST_MS, LATEST_MS

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Which columns of a table hold what is no feature."""

    id: str = ""
    """The event's id; the number of the row, from 0, when empty."""
    time: str = ""
    """When it happened: RFC 3339, a date, or milliseconds since 1970. UTC when it has no
    offset."""
    key: str = ""
    """The record's key; none when empty."""

    @property
    def chosen(self) -> dict[str, str]:
        """The columns that are named, by the option that names them."""
        named = {"--id": self.id, "--time": self.time, "--key": self.key}
        return {option: column for option, column in named.items() if column}


FEATURES_ALONE = TableColumns()


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, in order."""

    columns: Mapping[str, Sequence[Any]]
    """By name, all of one length; what is missing is None."""
    broken: Mapping[int, bytes]
    """By position among all rows: those that have no columns, as they stand in the file."""
    first: int
    """Number of the first row in the file, from 0."""
    count: int
    """All rows, those that are broken too."""


class _Event(Struct, omit_defaults=True):
    """A PredictionEvent, as a producer would write it."""

    id: str
    features: Struct
    time: Any = None


class RowEvents:
    """Turns rows into records whose values are events in JSON."""

    def __init__(
        self,
        what: str,
        features: Sequence[Feature],
        choice: TableColumns,
        columns: Sequence[str],
        topic: str,
    ) -> None:
        """Find the features among the columns.

        Args:
            what: Name of the file, for errors.
            features: The model's signature.
            choice: The columns that are no features.
            columns: All columns of the table.
            topic: What the records say they come from.

        Raises:
            UserError: A column that was named is not there, or no column is a feature.
        """
        self._features = [feature for feature in features if feature.name in columns]
        _refuse_missing(what, choice, columns, found=bool(self._features))
        self._choice = choice
        self._topic = topic
        self._clock = EventClock()
        self._encode = msgspec.json.Encoder().encode
        # Fields are numbered, as the names of columns may be any text.
        names = [feature.name for feature in self._features]
        self._row_type = defstruct(
            "Row",
            [(f"f{at}", Any) for at in range(len(names))],
            rename={f"f{at}": name for at, name in enumerate(names)},
        )
        self.wanted = [name for name in columns if name in {*names, *choice.chosen.values()}]
        """The columns that are read."""
        self.notes = list(_notes(features, columns, self.wanted))

    def records(self, rows: Rows) -> list[KeptRecord]:
        """Give the records of some rows, those that are broken as they stand in the file."""
        times = self._times(rows)
        values, keys = self._values(rows, times), self._keys(rows)
        events = zip(times, values, keys, strict=True)
        records: list[KeptRecord] = []
        # One record per row, as one line becomes one record in the other formats.
        for position in range(rows.count):
            offset = rows.first + position
            if (broken := rows.broken.get(position)) is not None:
                place = self._topic, 0, offset, self._clock.said(None)
                records.append(KeptRecord(*place, None, broken))
            else:
                time, value, key = next(events)
                said = time if type(time) is int else None
                place = self._topic, 0, offset, self._clock.said(said)
                records.append(KeptRecord(*place, key, value))
        return records

    def _times(self, rows: Rows) -> Sequence[Any]:
        if not self._choice.time:
            return [None] * (rows.count - len(rows.broken))
        return _each(instant, rows.columns[self._choice.time])

    def _values(self, rows: Rows, times: Sequence[Any]) -> list[bytes]:
        features = [
            converted(feature.type, rows.columns[feature.name]) for feature in self._features
        ]
        events = map(_Event, self._ids(rows), map(self._row_type, *features), times)
        return list(map(self._encode, events))

    def _ids(self, rows: Rows) -> list[str]:
        numbers = [rows.first + at for at in range(rows.count) if at not in rows.broken]
        if not self._choice.id:
            return list(map(str, numbers))
        named = map(_as_text, rows.columns[self._choice.id])
        return [str(n if i is None else i) for i, n in zip(named, numbers, strict=True)]

    def _keys(self, rows: Rows) -> list[bytes | None]:
        if not self._choice.key:
            return [None] * (rows.count - len(rows.broken))
        return list(map(_as_key, rows.columns[self._choice.key]))


def _refuse_missing(
    what: str, choice: TableColumns, columns: Sequence[str], *, found: bool
) -> None:
    there = f"the columns are {', '.join(columns)}"
    findings = [
        Finding(option, f"there is no column `{column}`", did_you_mean(column, columns, there))
        for option, column in choice.chosen.items()
        if column not in columns
    ]
    if not found:
        message = "no column has the name of a feature"
        findings.append(Finding(what, message, f"name them as the model does; {there}"))
    if findings:
        raise UserError(what, findings)


def _notes(
    features: Sequence[Feature], columns: Sequence[str], wanted: Sequence[str]
) -> Sequence[str]:
    ignored = [name for name in columns if name not in wanted]
    absent = [feature.name for feature in features if feature.name not in columns]
    notes = []
    if ignored:
        notes.append(f"columns that are no feature are ignored: {', '.join(ignored)}")
    if absent:
        notes.append(f"features without a column are missing everywhere: {', '.join(absent)}")
    return notes


# --- values --------------------------------------------------------------------------------


def converted(kind: FeatureType, column: Sequence[Any]) -> Sequence[Any]:
    """Give a column as its feature's type; a value that is none of that type stays as it is.

    What stays is refused by the pipeline, with the path and the code that a producer would
    get. An infinite number stays as its name, since JSON has no such number.

    Args:
        kind: The feature's type.
        column: Values as the file has them.
    """
    return _each(_CONVERTERS[kind], column)


def _each(convert: Callable[[Any], Any], column: Sequence[Any]) -> Sequence[Any]:
    if set(map(type, column)) == {str}:
        # Text repeats itself: each form is looked at once.
        forms = {text: convert(text) for text in set(column)}
        return [forms[text] for text in column]
    return list(map(convert, column))


def _as_float(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text):
            return None if text.lower() in ("", "nan") else value
        value = float(text)
    elif isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _as_integer(value: Any) -> Any:
    if type(value) is int:
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    number = _as_float(value)
    # Where one value is missing, many tools write the whole column as floats.
    whole = isinstance(number, float) and number.is_integer()
    return int(number) if whole else number


def _as_boolean(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip().lower()
        return None if not text else _BOOLEANS.get(text, value)
    return None if isinstance(value, float) and math.isnan(value) else value


def _as_text(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    return None if isinstance(value, float) and math.isnan(value) else value


def _as_key(value: Any) -> bytes | None:
    if isinstance(value, bytes):
        return value
    text = _as_text(value)
    return None if text is None else str(text).encode()


_CONVERTERS: Mapping[FeatureType, Callable[[Any], Any]] = {
    FeatureType.FLOAT: _as_float,
    FeatureType.INTEGER: _as_integer,
    FeatureType.BOOLEAN: _as_boolean,
    FeatureType.STRING: _as_text,
}


def instant(value: Any) -> Any:
    """Give an instant as Unix milliseconds; None where it is missing, else the value itself.

    Example:
        >>> instant("2026-03-01"), instant("2026-03-01T01:00:00+01:00"), instant("soon")
        (1772323200000, 1772323200000, 'soon')
    """
    value = _as_integer(value)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            return value
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if isinstance(value, int) and not EARLIEST_MS <= value <= LATEST_MS:
        return str(value)
    return value
