"""Replay input in columns: CSV, Parquet, and JSONL with one flat object per line."""

import csv
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import msgspec

from sidecar.adapters.replay_lines import Line, numbered_lines, unreadable
from sidecar.adapters.replay_records import batches_of
from sidecar.adapters.replay_rows import RowEvents, Rows, TableColumns
from sidecar.bundle.manifest import Feature
from sidecar.errors import Finding, UserError
from sidecar.events import RecordBatch

_MEND = "check the file"
# A column of JSONL is one that is in any of these; a line may leave out what is missing.
_HEAD_LINES = 1_000


class _Reader(Protocol):
    """A table that is open for one pass."""

    def head(self) -> Sequence[str]:
        """Give the names of the columns; before anything else."""
        ...

    def progress(self) -> tuple[int, int]:
        """Give how much is read, and of how much."""
        ...

    def rows(self, wanted: Sequence[str], max_rows: int) -> Iterator[Rows]:
        """Give these columns, so many rows at once."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class TableFile:
    """Records made of the rows of a table.

    They come from partition 0; the offset is the number of the row, from 0. See `RowEvents`.
    """

    def __init__(
        self, path: Path, features: Sequence[Feature], choice: TableColumns, topic: str
    ) -> None:
        """Open the file and look at its columns.

        Args:
            path: A file that ends in `.csv`, `.parquet`, `.pq`, `.jsonl` or `.ndjson`.
            features: The model's signature.
            choice: The columns that are no features.
            topic: What the records say they come from.

        Raises:
            UserError: The file cannot be read, or does not have the columns.
        """
        kinds: dict[str, Callable[[Path], _Reader]] = {
            ".csv": _Csv,
            ".parquet": _Parquet,
            ".pq": _Parquet,
        }
        try:
            self._reader = kinds.get(path.suffix.lower(), _Jsonl)(path)
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            self._events = RowEvents(str(path), features, choice, self._reader.head(), topic)
            self._progress = self._reader.progress()
        except BaseException:
            self._reader.close()
            raise

    @property
    def notes(self) -> Sequence[str]:
        """What is left out, for people."""
        return self._events.notes

    @property
    def progress(self) -> tuple[int, int]:
        """How much is read, and of how much: bytes, or rows of Parquet."""
        return self._progress

    async def batches(self, max_records: int) -> AsyncIterator[RecordBatch]:
        """Give the records in the order of the rows; once.

        Args:
            max_records: Most records of a batch.

        Raises:
            UserError: The file is broken.
        """
        try:
            for rows in self._reader.rows(self._events.wanted, max_records):
                self._progress = self._reader.progress()
                for batch in batches_of(self._events.records(rows)):
                    yield batch
        finally:
            self._reader.close()


class _Csv:
    """A header, then rows. One with another number of fields is broken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._bytes = path.open("rb")
        lines = (line.decode("utf-8") for line in self._bytes)
        self._rows = csv.reader(lines)
        self._names: list[str] = []

    def head(self) -> Sequence[str]:
        header = next(self._read(), [])
        names = self._names = [name.removeprefix("\ufeff").strip() for name in header]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise _fault(self._path, f"has two columns {twice}", "rename one of them")
        return names

    def _read(self) -> Iterator[list[str]]:
        try:
            yield from (row for row in self._rows if row)
        except UnicodeDecodeError as error:
            message = f"is not UTF-8, near line {self._rows.line_num + 1}"
            raise _fault(self._path, message, "save it as UTF-8") from error
        except csv.Error as error:
            message = f"line {self._rows.line_num}: {error}"
            raise _fault(self._path, message, _MEND) from error

    def progress(self) -> tuple[int, int]:
        return self._bytes.tell(), self._size

    def rows(self, wanted: Sequence[str], max_rows: int) -> Iterator[Rows]:
        place = {name: self._names.index(name) for name in wanted}
        width, first, source = len(self._names), 0, self._read()
        while chunk := list(islice(source, max_rows)):
            broken = {
                at: ",".join(row).encode() for at, row in enumerate(chunk) if len(row) != width
            }
            sound = [row for row in chunk if len(row) == width] if broken else chunk
            fields = list(zip(*sound, strict=True)) or [()] * width
            columns = {name: fields[at] for name, at in place.items()}
            yield Rows(columns, broken, first, len(chunk))
            first += len(chunk)

    def close(self) -> None:
        self._bytes.close()


class _Jsonl:
    """One flat object per line; another line is broken. The first lines show the columns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._decode = msgspec.json.Decoder(dict[str, Any]).decode
        self._file = path.open("rb")

    def head(self) -> Sequence[str]:
        lines = islice(numbered_lines(self._file, self._path), _HEAD_LINES)
        # A dict keeps the order in which the names are met.
        names = dict.fromkeys(name for line in lines for name in self._row(line) or ())
        self._file.seek(0)
        return list(names)

    def _row(self, line: Line) -> dict[str, Any] | None:
        try:
            return self._decode(line[1])
        except ValueError:
            return None

    def progress(self) -> tuple[int, int]:
        return self._file.tell(), self._size

    def rows(self, wanted: Sequence[str], max_rows: int) -> Iterator[Rows]:
        source, first = numbered_lines(self._file, self._path), 0
        while chunk := list(islice(source, max_rows)):
            found = [self._row(line) for line in chunk]
            broken = {at: chunk[at][1] for at, row in enumerate(found) if row is None}
            sound = [row for row in found if row is not None]
            columns = {name: [row.get(name) for row in sound] for name in wanted}
            yield Rows(columns, broken, first, len(chunk))
            first += len(chunk)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Read row group by row group, and of each only the columns that are wanted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._arrow = import_module("pyarrow")
            parquet = import_module("pyarrow.parquet")
        except ImportError as error:
            mend = "install the extra: pip install 'sidecar[parquet]', or give CSV or JSONL"
            raise _fault(path, "is Parquet, and pyarrow is not installed", mend) from error
        try:
            self._file = parquet.ParquetFile(path, memory_map=True)
        except self._arrow.ArrowException as error:
            raise _fault(path, f"is not Parquet: {error}", _MEND) from error
        self._done = 0

    def head(self) -> Sequence[str]:
        names: Sequence[str] = self._file.schema_arrow.names
        return names

    def progress(self) -> tuple[int, int]:
        return self._done, self._file.metadata.num_rows

    def rows(self, wanted: Sequence[str], max_rows: int) -> Iterator[Rows]:
        try:
            for batch in self._file.iter_batches(max_rows, columns=list(wanted)):
                columns = {name: self._values(batch.column(name)) for name in wanted}
                first = self._done
                self._done += batch.num_rows
                yield Rows(columns, {}, first, batch.num_rows)
        except self._arrow.ArrowException as error:
            raise _fault(self._path, f"cannot be read: {error}", _MEND) from error

    def _values(self, column: Any) -> Sequence[Any]:
        """Give the values as Python's; instants as Unix milliseconds, UTC."""
        kinds = self._arrow.types
        if kinds.is_timestamp(column.type) or kinds.is_date(column.type):
            instants = column.cast(self._arrow.timestamp("ms"), safe=False)
            column = instants.cast(self._arrow.int64())
        values: Sequence[Any] = column.to_pylist()
        return values

    def close(self) -> None:
        self._file.close()


def _fault(path: Path, message: str, mend: str) -> UserError:
    return UserError(str(path), [Finding(path.name, message, mend)])
