"""How a record names its schema in a registry: before its value, or in a header.

*Prefix*: a zero byte, the schema's number in four bytes, then the payload. *Header*:
`__value_schema_id` holds a version byte with the number (0) or the GUID (1), and the value is
the payload alone. A record with the header is read by it, whatever its value begins with.

Protobuf needs the place of the message in its file too. It stands behind the id, so in the
prefix form it is the begin of what follows, and in the header form it is put there.
"""

from typing import NamedTuple
from uuid import UUID

from sidecar.events import Headers, RecordBatch
from sidecar.ports import PlainJson, Schema, SchemaId, Schemas

HEADER = "__value_schema_id"
MAGIC = b"\x00"
"""First byte of the prefix. No event in JSON or MessagePack begins with it."""

NO_SCHEMAS: Schemas = {}
_NUMBER_END = 5
_GUID_MAGIC = b"\x01"
_GUID_END = 17


class Framed(NamedTuple):
    """A record that names its schema."""

    schema_id: SchemaId
    body: bytes
    """What follows the id."""


def framed(value: bytes, headers: Headers) -> Framed | None:
    """Take a record apart; None when it names no schema.

    Args:
        value: The record's value.
        headers: Its headers; the last of equal names counts.
    """
    said = header_of(headers) if headers else None
    if said is not None and (found := _split(said)) is not None:
        schema_id, rest = found
        return Framed(schema_id, rest + value)
    if value[:1] == MAGIC and (found := _split(value)) is not None:
        return Framed(*found)
    return None


def header_of(headers: Headers) -> bytes | None:
    """Give what the header says that names a schema; None without one."""
    said = None
    for name, text in headers:
        if name == HEADER:
            said = text
    return said


def schema_ids(records: RecordBatch) -> set[SchemaId]:
    """Give the schemas that the records of a batch name.

    A record without headers that does not begin with a zero byte costs one comparison.
    """
    return {
        found.schema_id
        for value, headers in zip(records.values, records.headers, strict=True)
        if value is not None
        and (headers or value[:1] == MAGIC)
        and (found := framed(value, headers)) is not None
    }


def offline_schemas(records: RecordBatch) -> Schemas:
    """Give what is known of a batch's schemas without a registry: which of them are JSON.

    Args:
        records: A payload that begins as a JSON object does is taken for one.
    """
    known: dict[SchemaId, Schema] = {}
    for value, headers in zip(records.values, records.headers, strict=True):
        found = None if value is None else framed(value, headers)
        if found is not None and found.body.lstrip()[:1] == b"{":
            known[found.schema_id] = PlainJson()
    return known


def _split(text: bytes) -> tuple[SchemaId, bytes] | None:
    if text[:1] == MAGIC and len(text) >= _NUMBER_END:
        return int.from_bytes(text[1:_NUMBER_END]), text[_NUMBER_END:]
    if text[:1] == _GUID_MAGIC and len(text) >= _GUID_END:
        return str(UUID(bytes=text[1:_GUID_END])), text[_GUID_END:]
    return None
