"""Kept records as lines of JSON, and as batches.

A line is `{"topic", "partition", "offset", "timestamp", "key", "headers", "value"}`. Bytes are
text where they are UTF-8, else `{"base64": "..."}`. What `kcat -J` writes is read as well.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Raw, Struct

from sidecar.events import Headers, RecordBatch, Span

_NULL = Raw(b"null")


class KeptRecord(NamedTuple):
    """A record with its place."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def batches_of(records: Sequence[KeptRecord]) -> Iterator[RecordBatch]:
    """Give records as batches: one per run of records from one topic, in their order.

    Args:
        records: In the order of their replay. The order within a partition is kept; a batch
            has the rows of one partition together.
    """
    for topic, run in groupby(records, key=lambda record: record.topic):
        yield _batch(topic, sorted(run, key=lambda record: record.partition))


def _batch(topic: str, rows: Sequence[KeptRecord]) -> RecordBatch:
    partitions = np.fromiter((row.partition for row in rows), np.int64, len(rows))
    cuts = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), len(rows)]
    return RecordBatch(
        topic=topic,
        spans=tuple(Span(rows[start].partition, start, stop) for start, stop in pairwise(cuts)),
        offsets=np.fromiter((row.offset for row in rows), np.int64, len(rows)),
        timestamps_ms=np.fromiter((row.timestamp_ms for row in rows), np.int64, len(rows)),
        keys=[row.key for row in rows],
        values=[row.value for row in rows],
        headers=[row.headers for row in rows],
    )


# --- lines ---------------------------------------------------------------------------------


class _Base64(Struct, forbid_unknown_fields=True):
    base64: bytes


class RecordLine(Struct, kw_only=True):
    """A record as it stands in a file. `payload` and `ts` are the words of `kcat`."""

    topic: str | None = None
    partition: int = 0
    offset: int | None = None
    timestamp: int | None = None
    ts: int | None = None
    key: Raw = _NULL
    headers: Raw = _NULL
    value: Raw = Raw()
    payload: Raw = Raw()

    def content(self) -> bytes | None:
        """Give the bytes of the value; None for a tombstone.

        Raises:
            ValueError: There is none, or it is no text.
        """
        raw = bytes(self.value) or bytes(self.payload)
        if not raw:
            raise ValueError("a record has a value")
        return raw_bytes(raw)


_decode_text = msgspec.json.Decoder(str).decode
_decode_base64 = msgspec.json.Decoder(_Base64).decode
_decode_named = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_pairs = msgspec.json.Decoder(list[tuple[str, Raw]]).decode
_decode_flat = msgspec.json.Decoder(list[str]).decode
decode_record = msgspec.json.Decoder(RecordLine).decode
"""From a line to a `RecordLine`; raises `msgspec.DecodeError`."""


def raw_bytes(raw: bytes) -> bytes | None:
    """Give the bytes that a JSON value stands for.

    Text stands for its UTF-8, `{"base64": ...}` for what it encodes, null for nothing, and
    everything else for itself: an event may stand in the line as JSON within JSON.

    Raises:
        msgspec.DecodeError: A text that has no UTF-8.
    """
    match raw[:1]:
        case b'"':
            return _decode_text(raw).encode()
        case b"n":
            return None
        case b"{":
            try:
                return _decode_base64(raw).base64
            except msgspec.DecodeError:
                return raw
        case _:
            return raw


def raw_headers(raw: bytes) -> Headers:
    """Give the headers that a JSON value stands for: an object, pairs, or a flat list.

    Raises:
        msgspec.DecodeError: It is something else.
    """
    if raw[:1] == b"n":
        return ()
    if raw[:1] == b"{":
        pairs = list(_decode_named(raw).items())
        return [(name, raw_bytes(bytes(value))) for name, value in pairs]
    try:
        return [(name, raw_bytes(bytes(value))) for name, value in _decode_pairs(raw)]
    except msgspec.ValidationError:
        flat = _decode_flat(raw)
        return [(name, text.encode()) for name, text in zip(flat[::2], flat[1::2], strict=True)]


_encode = msgspec.json.Encoder().encode


def encode_record(record: KeptRecord) -> bytes:
    """Write a record as a line, without its end.

    Headers are an object, or pairs where a name comes twice.
    """
    headers = [(name, _shown(value)) for name, value in record.headers]
    named = dict(headers)
    return _encode(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp_ms,
            "key": _shown(record.key),
            "headers": named if len(named) == len(headers) else headers,
            "value": _shown(record.value),
        }
    )


def _shown(content: bytes | None) -> str | Mapping[str, str] | None:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
