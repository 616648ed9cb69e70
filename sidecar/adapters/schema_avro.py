"""Reads Avro by the schema that it was written with; fastavro does the decoding.

A schema comes from outside and decides how much work a byte makes. So those are refused that a
few bytes could crash or stall the process with: a schema that refers to itself (the decoder
recurses in C, without a limit), and an array of items that take no bytes. And a decimal has a
longest length: to make a number of a megabyte takes minutes.
"""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from fastavro import parse_schema, schemaless_reader
from fastavro.read import LOGICAL_READERS

from sidecar.adapters.schema_registry import UnusableSchemaError
from sidecar.errors import MalformedPayloadError

_DECIMAL_BYTES = 128  # 308 digits, as many as a float has room for
_NAMED = frozenset({"record", "error", "enum", "fixed"})


class AvroReader:
    """A `PayloadReader`."""

    encoding: Literal["avro", "protobuf"] = "avro"

    def __init__(self, schema: Any) -> None:
        """Read by a schema that fastavro has parsed."""
        self._schema = schema

    def read(self, body: bytes) -> object:
        """Give a payload as maps, lists and scalars; logical types as Python has them.

        Raises:
            MalformedPayloadError: The bytes are not what the schema says.
        """
        stream = io.BytesIO(body)
        try:
            tree: object = schemaless_reader(stream, self._schema, None)
        except Exception as error:  # which ones is not written down, and bytes make any
            at = stream.tell()
            message = f"is not what the schema says: {type(error).__name__} (byte {at})"
            raise MalformedPayloadError(message) from error
        if (left := len(body) - stream.tell()) > 0:
            raise MalformedPayloadError(f"{left} bytes are left over (byte {stream.tell()})")
        return tree


def _bounded(read: Callable[..., object]) -> Callable[..., object]:
    """Let a reader of decimals read short ones alone."""

    def read_short(data: bytes, *schemas: Any) -> object:
        if len(data) > _DECIMAL_BYTES:
            raise ValueError(f"a decimal of {len(data)} bytes")
        return read(data, *schemas)

    return read_short


# fastavro looks logical types up here, and nowhere else; this process has no other user of it.
for _kind in ("bytes-decimal", "fixed-decimal"):
    LOGICAL_READERS[_kind] = _bounded(LOGICAL_READERS[_kind])


def avro_reader(text: str, references: Sequence[str], max_depth: int) -> AvroReader:
    """Build the reader of a schema.

    Args:
        text: The schema, as JSON.
        references: The schemas that it refers to; each behind what it refers to itself.
        max_depth: Deepest nesting.

    Raises:
        UnusableSchemaError: Nothing should be read by it.
    """
    named: dict[str, Any] = {}
    for each in references:
        parse_schema(_loaded(each), named)
    schema = parse_schema(_loaded(text), named)
    _Survey(named, max_depth).refuse_costly(schema, ())
    return AvroReader(schema)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()  # a primitive may stand as a bare word


class _Survey:
    """Looks at all that a schema consists of."""

    def __init__(self, named: Mapping[str, Any], max_depth: int) -> None:
        self._named = named
        self._max_depth = max_depth

    def refuse_costly(self, schema: Any, above: tuple[str, ...], depth: int = 0) -> None:
        """Refuse a schema with which few bytes make endless work."""
        if depth > self._max_depth:
            raise UnusableSchemaError(f"is nested deeper than {self._max_depth}")
        kind, schema = self._resolved(schema)
        name = schema.get("name", "") if kind in _NAMED else ""
        if name and name in above:
            raise UnusableSchemaError(f"`{name}` refers to itself, which is not read")
        if kind == "array" and self._takes_nothing(schema["items"]):
            raise UnusableSchemaError("has an array of items that take no bytes")
        for inner in _parts(kind, schema):
            self.refuse_costly(inner, (*above, name) if name else above, depth + 1)

    def _takes_nothing(self, schema: Any) -> bool:
        kind, schema = self._resolved(schema)
        if kind == "fixed":
            return bool(schema["size"] == 0)
        if kind in ("record", "error"):
            return all(self._takes_nothing(field["type"]) for field in schema["fields"])
        return bool(kind == "null")

    def _resolved(self, schema: Any) -> tuple[str, Any]:
        """Give the kind of a schema and the schema itself, where it may be a name."""
        if isinstance(schema, list):
            return "union", schema
        if isinstance(schema, dict):
            inner = schema["type"]
            return self._resolved(inner) if isinstance(inner, dict | list) else (inner, schema)
        found = self._named.get(schema)
        return (schema, {}) if found is None else (found["type"], found)


def _parts(kind: str, schema: Any) -> list[Any]:
    match kind:
        case "union":
            return list(schema)
        case "record" | "error":
            return [field["type"] for field in schema["fields"]]
        case "array":
            return [schema["items"]]
        case "map":
            return [schema["values"]]
    return []
