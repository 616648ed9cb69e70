"""What aborted transactions wrote, from a broker's own log files.

Neither client has a word in it: a reader of committed records cannot see what it was spared.
The layout is that of Kafka's record batches, version 2.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Base offset, length of the rest; after these twelve bytes: leader epoch, magic, CRC,
# attributes, last offset delta, two timestamps, producer id, producer epoch, base sequence,
# number of records.
_FRAME = struct.Struct(">qi")
_HEAD = struct.Struct(">ibIhiqqqhii")
_MAGIC = 2
_TRANSACTIONAL = 0x10
_CONTROL = 0x20
_ABORT = 0


class Batch(NamedTuple):
    """What matters here of a batch."""

    first: int
    last: int
    producer: int
    transactional: bool
    marker: int | None
    """Of a control batch: its type. 0 aborts."""


def aborted(data: Path, topic: str) -> set[tuple[int, int]]:
    """Give partition and offset of each record of a topic whose transaction was aborted.

    Args:
        data: The broker's `log.dirs`.
        topic: The topic.
    """
    found = set()
    for folder in data.glob(f"{topic}-*"):
        partition = folder.name.removeprefix(f"{topic}-")
        if partition.isdecimal():
            segments = b"".join(path.read_bytes() for path in sorted(folder.glob("*.log")))
            found |= {(int(partition), offset) for offset in aborted_offsets(segments)}
    return found


def aborted_offsets(log: bytes) -> set[int]:
    """Give the offsets in one partition's log whose transaction ended with an abort."""
    pending: dict[int, set[int]] = defaultdict(set)
    found: set[int] = set()
    for batch in batches(log):
        if batch.marker is not None:
            written = pending.pop(batch.producer, set())
            if batch.marker == _ABORT:
                found |= written
        elif batch.transactional:
            pending[batch.producer] |= set(range(batch.first, batch.last + 1))
    return found


def batches(log: bytes) -> Iterator[Batch]:
    """Give the whole batches of a log; what is still being written, or empty space, ends it."""
    at = 0
    while at + _FRAME.size + _HEAD.size <= len(log):
        first, length = _FRAME.unpack_from(log, at)
        head = _HEAD.unpack_from(log, at + _FRAME.size)
        _, magic, _, attributes, delta, _, _, producer, _, _, _ = head
        end = at + _FRAME.size + length
        if magic != _MAGIC or end > len(log):
            return
        records = log[at + _FRAME.size + _HEAD.size : end]
        marker = _marker(records) if attributes & _CONTROL else None
        transactional = bool(attributes & _TRANSACTIONAL)
        yield Batch(first, first + delta, producer, transactional, marker)
        at = end


def _marker(records: bytes) -> int:
    """Give the type of a control record: the second number of its key."""
    at = 0
    for _ in range(4):  # length, attributes (a byte below 128), time and offset deltas
        at = _behind_number(records, at)
    at = _behind_number(records, at)  # length of the key
    return int(struct.unpack_from(">hh", records, at)[1])


def _behind_number(records: bytes, at: int) -> int:
    """Step over a number of variable length: all of its bytes but the last have the top bit."""
    while records[at] & 0x80:
        at += 1
    return at + 1
