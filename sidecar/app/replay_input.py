"""What is replayed: a file or a range of a topic, as one stream of record batches."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec

from sidecar.adapters.replay_lines import (
    event_lines,
    numbered_lines,
    record_lines,
    unreadable,
)
from sidecar.adapters.replay_rows import FEATURES_ALONE, TableColumns
from sidecar.adapters.replay_tables import TableFile
from sidecar.adapters.replay_topic import EVERYTHING, TopicRange, parse_place
from sidecar.bundle.manifest import Manifest
from sidecar.config.settings import SidecarSettings
from sidecar.errors import Finding, UserError, did_you_mean
from sidecar.events import RecordBatch

TOPIC = "topic"
"""The input that is the config's events topic."""
_TOPIC_PREFIX = "kafka:"
_LINES = (".jsonl", ".ndjson")
_TABLES = (".csv", ".parquet", ".pq")


class InputFormat(StrEnum):
    """What the lines or rows of a file are."""

    AUTO = "auto"
    """Told by the ending, and by the first line of a JSONL file."""
    EVENTS = "events"
    """Values of records, one per line."""
    RECORDS = "records"
    """Records with their places, keys and headers, one per line."""
    TABLE = "table"
    """Features by column, one event per row."""


class Recording(Protocol):
    """Records that were kept. They come in the same order and the same batches each time."""

    @property
    def notes(self) -> Sequence[str]:
        """What is left out, for people."""
        ...

    @property
    def progress(self) -> tuple[int, int]:
        """How much is read, and of how much, in a unit of its own."""
        ...

    def batches(self, max_records: int) -> AsyncIterator[RecordBatch]:
        """Give all records, at most so many in a batch; once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChoice:
    """What the user names."""

    name: str
    """A file, `topic`, or `kafka:TOPIC`."""
    format: InputFormat = InputFormat.AUTO
    columns: TableColumns = FEATURES_ALONE
    begin: str = ""
    """Topics only: an offset, offsets by partition, or a time; see `parse_place`."""
    end: str = ""

    @property
    def topic(self) -> str | None:
        """The topic that is named; empty for that of the config, None for a file."""
        if self.name == TOPIC:
            return ""
        has_prefix = self.name.startswith(_TOPIC_PREFIX)
        return self.name.removeprefix(_TOPIC_PREFIX) if has_prefix else None


def open_recording(
    choice: InputChoice,
    settings: SidecarSettings,
    manifest: Manifest,
    environ: Mapping[str, str],
) -> tuple[InputFormat, Recording]:
    """Find out what is named; a topic is not connected to before it is read.

    Args:
        choice: What the user names.
        settings: With every name filled in.
        manifest: The model's signature, by which the columns of a table are found.
        environ: Where secrets of the brokers are looked up.

    Returns:
        The format, `records` for a topic, and the records.

    Raises:
        UserError: It cannot be read, or an option does not go with it.
    """
    if choice.topic is not None:
        _refuse(choice, "a topic", choice.columns.chosen)
        begin = parse_place("--from", choice.begin) if choice.begin else EVERYTHING
        end = parse_place("--to", choice.end) if choice.end else EVERYTHING
        topic = choice.topic or settings.topics.events
        return InputFormat.RECORDS, TopicRange(settings.kafka, topic, begin, end, environ)
    _refuse(choice, "a file", {"--from": choice.begin, "--to": choice.end})
    kind = input_format(choice, manifest)
    path, topic = Path(choice.name), settings.topics.events
    if kind is InputFormat.TABLE:
        return kind, TableFile(path, manifest.features, choice.columns, topic)
    _refuse(choice, f"a file of {kind}", choice.columns.chosen)
    open_lines = record_lines if kind is InputFormat.RECORDS else event_lines
    return kind, open_lines(path, topic)


def input_format(choice: InputChoice, manifest: Manifest) -> InputFormat:
    """Give the format of a file: as asked, or as its name and its first line say.

    A first line with `offset` and `value` is a record's, one that has the name of a feature is
    a row's, and every other one is an event, whatever is wrong with it.

    Raises:
        UserError: The ending says nothing, or the file cannot be read.
    """
    path = Path(choice.name)
    ending = path.suffix.lower()
    if ending in _TABLES or (ending in _LINES and choice.format is InputFormat.TABLE):
        return InputFormat.TABLE
    if choice.format is not InputFormat.AUTO:
        return choice.format
    if ending not in _LINES:
        if not path.exists():
            raise UserError(choice.name, [_nowhere(choice.name)])
        known = ", ".join((*_LINES, *_TABLES))
        mend = f"name it {known}, or say --input-format; a topic is written `kafka:NAME`"
        raise UserError(
            choice.name, [Finding("INPUT", f"has an unknown ending `{ending}`", mend)]
        )
    names = _first_names(path)
    if {"offset"} < names and names & {"value", "payload"}:
        return InputFormat.RECORDS
    is_row = "features" not in names and names & {f.name for f in manifest.features}
    return InputFormat.TABLE if is_row else InputFormat.EVENTS


def _nowhere(name: str) -> Finding:
    mend = "name a file; a topic is written `kafka:NAME`, the config's own `topic`"
    return Finding("INPUT", "there is no such file", did_you_mean(name, [TOPIC], mend))


def _first_names(path: Path) -> set[str]:
    """Give the names in the first line of a file; none when it is no object."""
    try:
        with path.open("rb") as file:
            _, line = next(numbered_lines(file, path), (0, b""))
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return set(msgspec.json.decode(line, type=dict[str, Any]))
    except ValueError:
        return set()


def _refuse(choice: InputChoice, what: str, options: Mapping[str, str]) -> None:
    """Refuse options that do not go with what the input is."""
    findings = [
        Finding(option, f"has no meaning for {what}", "leave it out")
        for option, value in options.items()
        if value
    ]
    if findings:
        raise UserError(choice.name, findings)
