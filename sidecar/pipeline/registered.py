"""Values whose schema stands in a registry: out of their frame, and into maps and scalars."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from sidecar.errors import MalformedPayloadError
from sidecar.events import Headers, RejectCode
from sidecar.pipeline.framing import HEADER, framed, header_of
from sidecar.pipeline.refusal import RefusedError
from sidecar.ports import PayloadReader, PlainJson, Schemas, UnknownSchema

MALFORMED_PAYLOAD: Mapping[Literal["avro", "protobuf"], RejectCode] = {
    "avro": RejectCode.MALFORMED_AVRO,
    "protobuf": RejectCode.MALFORMED_PROTOBUF,
}


class Unframed(NamedTuple):
    """A value without its frame."""

    body: bytes
    reader: PayloadReader | None = None
    """None for JSON, and for a record that names no schema that is known."""


def unframed(value: bytes, headers: Headers, schemas: Schemas) -> Unframed:
    """Take the frame off a value whose schema is known.

    Args:
        value: The record's value.
        headers: Its headers.
        schemas: Those that are known.

    Raises:
        RefusedError: The registry has no such schema.
    """
    found = framed(value, headers) if schemas else None
    schema = None if found is None else schemas.get(found.schema_id)
    if found is None or schema is None:
        return Unframed(value)
    if isinstance(schema, UnknownSchema):
        message = f"schema {found.schema_id}: {schema.why}"
        raise RefusedError(RejectCode.UNKNOWN_SCHEMA, message)
    return Unframed(found.body, None if isinstance(schema, PlainJson) else schema)


def read_payload(body: bytes, reader: PayloadReader) -> object:
    """Read a payload by its schema.

    Raises:
        RefusedError: It is not what the schema says.
    """
    try:
        return reader.read(body)
    except MalformedPayloadError as error:
        raise RefusedError(MALFORMED_PAYLOAD[reader.encoding], str(error)) from error


def refusal_of_unread(
    refused: RefusedError, value: bytes, headers: Headers, schemas: Schemas
) -> RefusedError:
    """Say why a value was refused that was read as JSON or MessagePack.

    A record whose header names a schema, and which is no JSON, was written in Avro or Protobuf:
    that it is no JSON either helps nobody.

    Args:
        refused: What is wrong with it as JSON or MessagePack.
        value: The bytes.
        headers: Of the record.
        schemas: Those that are known.
    """
    named = header_of(headers) if headers else None
    if named is None or value.lstrip()[:1] == b"{":
        return refused
    found = framed(value, headers)
    if found is None:
        message = "the header names no schema that can be looked up"
    elif found.schema_id in schemas:
        return refused
    else:
        message = (
            f"the header names schema {found.schema_id} of a registry, and none was asked: set "
            "`registry.url`, or have the producer send plain JSON or MessagePack"
        )
    return RefusedError(RejectCode.REGISTRY_PREFIX, message, f"headers.{HEADER}")
