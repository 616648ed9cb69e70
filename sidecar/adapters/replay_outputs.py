"""Where a replay writes: decisions as JSONL or Parquet, dead letters as JSONL.

A file is written beside its place and moved there when all went well, so that none is ever
half of what it should be.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec
import numpy as np
from msgspec.structs import astuple, fields

from sidecar.adapters.replay_records import KeptRecord, encode_record
from sidecar.errors import Finding, UserError
from sidecar.events import Decision, OutboundSlice, RecordBatch

# Parquet is read fastest in row groups of this order.
_GROUP_ROWS = 65_536
_TABLES = (".parquet", ".pq")
_PARTS_OF_LETTERS = (".jsonl", ".ndjson")


class Output(Protocol):
    """Takes what the stages encoded."""

    def write(self, records: RecordBatch, part: OutboundSlice) -> None:
        """Write records that came of a batch."""
        ...


def is_table(path: Path) -> bool:
    """Whether decisions go into columns, by the name's ending."""
    return path.suffix.lower() in _TABLES


@contextmanager
def decisions_file(path: Path) -> Iterator[Output]:
    """Open a file for decisions: their bytes, one per line, or Parquet by the name's ending.

    Raises:
        UserError: The ending is neither, or the file cannot be written.
    """
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            with whole_file(path) as file:
                yield _DecisionLines(file)
        case ending if ending in _TABLES:
            with whole_file(path) as file, _DecisionTable(path, file) as table:
                yield table
        case _:
            raise _unknown("--decisions", path, "write `.jsonl` or `.parquet`")


@contextmanager
def dead_letters_file(path: Path) -> Iterator[Output]:
    """Open a file for dead letters: records with their headers, one per line.

    Raises:
        UserError: It does not end in `.jsonl`, or cannot be written.
    """
    if path.suffix.lower() not in _PARTS_OF_LETTERS:
        raise _unknown("--dead-letters", path, "write `.jsonl`")
    with whole_file(path) as file:
        yield _LetterLines(file)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name when the block ends well, and else not at all.

    Raises:
        UserError: It cannot be written.
    """
    filling = path.with_name(f".{path.name}.part")
    try:
        file = filling.open("wb")
    except OSError as error:
        message = f"cannot be written: {error.strerror}"
        mend = "give a path in a folder that is there"
        raise UserError(str(path), [Finding(path.name, message, mend)]) from error
    try:
        with file:
            yield file
        filling.replace(path)
    finally:
        filling.unlink(missing_ok=True)


def _unknown(option: str, path: Path, mend: str) -> UserError:
    message = f"`{path.name}` has an ending that is not written"
    return UserError(str(path), [Finding(option, message, mend)])


class _DecisionLines:
    """The bytes of each decision, as they would be on the topic."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, _records: RecordBatch, part: OutboundSlice) -> None:
        self._file.writelines(_lines(value or b"" for value in part.values))


class _LetterLines:
    """Dead letters at the place of the record that they are."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, records: RecordBatch, part: OutboundSlice) -> None:
        headers = part.headers or [()] * len(part.rows)
        columns = zip(part.keys, part.values, headers, part.rows, strict=True)
        self._file.writelines(
            _lines(
                encode_record(
                    KeptRecord(
                        topic=records.topic,
                        partition=part.partition,
                        offset=int(records.offsets[row]),
                        timestamp_ms=int(records.timestamps_ms[row]),
                        key=key,
                        value=value,
                        headers=head,
                    )
                )
                for key, value, head, row in columns
            )
        )


def _lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (line + b"\n" for line in lines)


class _DecisionTable:
    """Decisions as columns: what they say, then partition, offset and key of the event."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        try:
            arrow = self._arrow = import_module("pyarrow")
            parquet = import_module("pyarrow.parquet")
        except ImportError as error:
            mend = "install the extra: pip install 'sidecar[parquet]', or write `.jsonl`"
            finding = Finding("--decisions", "Parquet needs pyarrow", mend)
            raise UserError(str(path), [finding]) from error
        text, number = arrow.string(), arrow.float64()
        kinds = {
            "event_time": arrow.timestamp("ms", "UTC"),
            "score": number,
            "confidence": number,
            "flags": arrow.list_(text),
        }
        self._names = [field.name for field in fields(Decision)]
        self._schema = arrow.schema(
            [
                *((name, kinds.get(name, text)) for name in self._names),
                ("partition", arrow.int32()),
                ("offset", arrow.int64()),
                ("key", arrow.binary()),
            ]
        )
        self._decode = msgspec.json.Decoder(Decision).decode
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._held: list[Any] = []
        self._held_rows = 0

    def __enter__(self) -> "_DecisionTable":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def write(self, records: RecordBatch, part: OutboundSlice) -> None:
        decisions = [astuple(self._decode(value or b"")) for value in part.values]
        columns: dict[str, Any] = dict(
            zip(self._names, zip(*decisions, strict=True), strict=True)
        )
        times = [time.removesuffix("Z") for time in columns["event_time"]]
        columns["event_time"] = np.array(times, "datetime64[ms]")
        columns["partition"] = [part.partition] * len(decisions)
        columns["offset"] = records.offsets[list(part.rows)]
        columns["key"] = part.keys
        self._held.append(self._arrow.table(columns, schema=self._schema))
        self._held_rows += len(decisions)
        if self._held_rows >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(self._arrow.concat_tables(self._held))
            self._held, self._held_rows = [], 0
