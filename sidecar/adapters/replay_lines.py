"""Replay input in lines: events as they would be on the topic, or records of an export."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Raw, Struct

from sidecar.adapters.replay_records import (
    KeptRecord,
    batches_of,
    decode_record,
    raw_bytes,
    raw_headers,
)
from sidecar.errors import Finding, UserError
from sidecar.events import RecordBatch
from sidecar.pipeline.signature import EventTime

# What is in memory at once: a batch has at most so many bytes, and no line is longer.
_BATCH_BYTES = 8 << 20
_LINE_BYTES = 64 << 20

Line = tuple[int, bytes]
"""Its number, from 0, and its bytes without the end of the line."""


class LineFile:
    """Records made of the lines of a file; see `event_lines` and `record_lines`."""

    notes: Sequence[str] = ()

    def __init__(
        self, path: Path, to_records: Callable[[Sequence[Line]], Sequence[KeptRecord]]
    ) -> None:
        """Say what is read; the file is opened when batches are asked for."""
        self._path = path
        self._to_records = to_records
        self._done = 0

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes that are read, and of how many."""
        return self._done, self._path.stat().st_size

    async def batches(self, max_records: int) -> AsyncIterator[RecordBatch]:
        """Give the records in the order of the lines.

        Args:
            max_records: Most records of a batch.

        Raises:
            UserError: The file cannot be read, or has a line that is no record's.
        """
        try:
            with self._path.open("rb") as file:
                for lines in _chunks(file, self._path, max_records):
                    for batch in batches_of(self._to_records(lines)):
                        yield batch
                    self._done = file.tell()
        except OSError as error:
            raise unreadable(self._path, error) from error


def event_lines(path: Path, topic: str) -> LineFile:
    """Read a file with one event per line.

    Args:
        path: The file. A line that is no event becomes a record all the same.
        topic: What the records say they come from: partition 0, the line's number as offset.
    """
    clock = EventClock()

    def records(lines: Sequence[Line]) -> list[KeptRecord]:
        return [
            KeptRecord(topic, 0, number, clock.read(line), None, line) for number, line in lines
        ]

    return LineFile(path, records)


def record_lines(path: Path, topic: str) -> LineFile:
    """Read a file with one record per line; see `replay_records`.

    Args:
        path: The file. A line that is no record counts as an event.
        topic: The topic of records that name none.
    """
    clock = EventClock()
    return LineFile(path, lambda lines: [_record(line, topic, clock) for line in lines])


def _record(line: Line, topic: str, clock: "EventClock") -> KeptRecord:
    number, content = line
    try:
        kept = decode_record(content)
        value = kept.content()
        timestamp_ms = kept.ts if kept.timestamp is None else kept.timestamp
        return KeptRecord(
            topic=kept.topic or topic,
            partition=kept.partition,
            offset=number if kept.offset is None else kept.offset,
            timestamp_ms=clock.read(value) if timestamp_ms is None else timestamp_ms,
            key=raw_bytes(bytes(kept.key)),
            value=value,
            headers=raw_headers(bytes(kept.headers)),
        )
    except ValueError:  # also what msgspec raises; the pipeline says what is wrong with it
        return KeptRecord(topic, 0, number, clock.read(content), None, content)


# --- when ----------------------------------------------------------------------------------


class _Timed(Struct):
    """All that is read of an event to know when it happened, in an envelope or bare."""

    time: EventTime = None
    data: Raw = Raw()


class EventClock:
    """Gives records of a file the timestamp that a broker would have: the event's own time.

    So no event lies ahead of its record, and one without a time gets that of the line before
    it; before the first of all it is the beginning of 1970.
    """

    def __init__(self) -> None:
        """Begin at 1970."""
        self._last_ms = 0
        self._decode = msgspec.json.Decoder(_Timed).decode

    def read(self, value: bytes | None) -> int:
        """Give the time of an event in Unix milliseconds; whatever the bytes are."""
        try:
            timed = self._decode(value or b"")
            if timed.time is None and timed.data:
                timed = self._decode(timed.data)
        except ValueError:
            return self._last_ms
        return self.said(timed.time)

    def said(self, time: EventTime) -> int:
        """Give the time that an event says, or the last one."""
        if isinstance(time, int):
            self._last_ms = time
        elif time is not None:
            self._last_ms = round(time.timestamp() * 1000)
        return self._last_ms


# --- lines ---------------------------------------------------------------------------------


def _chunks(file: BinaryIO, path: Path, max_records: int) -> Iterator[list[Line]]:
    chunk: list[Line] = []
    size = 0
    for number, line in numbered_lines(file, path):
        chunk.append((number, line))
        size += len(line)
        if len(chunk) == max_records or size >= _BATCH_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def numbered_lines(file: BinaryIO, path: Path) -> Iterator[Line]:
    """Give the lines of a file, those without a character left out but counted.

    Raises:
        UserError: A line is longer than any record.
    """
    for number, line in enumerate(iter(lambda: file.readline(_LINE_BYTES), b"")):
        if len(line) == _LINE_BYTES and not line.endswith(b"\n"):
            message = f"line {number + 1} is longer than {_LINE_BYTES >> 20} MiB"
            raise UserError(
                str(path), [Finding(path.name, message, "write one record per line")]
            )
        if content := line.strip(b"\r\n"):
            yield number, content


def unreadable(path: Path, error: OSError) -> UserError:
    """Give the fault of a file that the system does not let us read."""
    message = f"cannot be read: {error.strerror or error}"
    return UserError(str(path), [Finding(path.name, message, "check the path and the file")])
