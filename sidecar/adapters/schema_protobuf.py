"""Reads Protobuf by the descriptor that a registry keeps; google.protobuf does the decoding."""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC
from importlib import import_module
from typing import Any, Literal, NamedTuple

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from sidecar.adapters.schema_registry import UnusableSchemaError
from sidecar.errors import MalformedPayloadError

# Files that every registry takes for known; their modules come with the libraries.
_KNOWN = re.compile(r"(google/protobuf|google/type|confluent(?:/\w+)*)/\w+\.proto")
_KNOWN_ROOTS = {"confluent": "confluent_kafka.schema_registry."}
_WRAPPER = re.compile(
    r"google\.protobuf\.(Double|Float|U?Int32|U?Int64|Bool|String|Bytes)Value"
)
_JSON = frozenset({f"google.protobuf.{name}" for name in ("Struct", "ListValue", "Value")})
_INTEGER_MAX = 2**53
_VARINT_BYTES = 10
_PLACES_MAX = 64


class ProtobufReader:
    """A `PayloadReader`."""

    encoding: Literal["avro", "protobuf"] = "protobuf"

    def __init__(self, file: FileDescriptorProto, pool: DescriptorPool) -> None:
        """Read by the messages of a file that is in a pool with all that it imports."""
        self._file = file
        self._pool = pool
        # Places that are in the file alone are kept, so the file is the bound.
        self._classes: dict[tuple[int, ...], Any] = {}
        self._trees = _Trees()

    def read(self, body: bytes) -> object:
        """Give a payload as maps, lists and scalars.

        A field with presence that is not set is absent. Times, wrappers and `Struct` are what
        they stand for.

        Raises:
            MalformedPayloadError: The bytes are not what the schema says.
        """
        places, start = _places(body)
        message_class = self._class(places)
        try:
            return self._trees.tree(message_class.FromString(body[start:]))
        except DecodeError as error:
            message = "is no message of the type that it names"
            raise MalformedPayloadError(message) from error
        except (ValueError, OverflowError, RecursionError) as error:
            message = f"has a value that cannot be read: {type(error).__name__}"
            raise MalformedPayloadError(message) from error

    def _class(self, places: tuple[int, ...]) -> Any:
        found = self._classes.get(places)
        if found is None:
            name = _named(self._file, places)
            found = GetMessageClass(self._pool.FindMessageTypeByName(name))
            self._classes[places] = found
        return found


def is_serialized(text: str) -> bool:
    """Tell whether a schema is a descriptor in base64, as serialisers in Python register it."""
    return _file(text) is not None


def protobuf_reader(text: str, references: Mapping[str, str]) -> ProtobufReader:
    """Build the reader of a schema.

    Args:
        text: The descriptor of a file, in base64.
        references: Those of the files that it imports, by the name in the import.

    Raises:
        UnusableSchemaError: It is no descriptor, or imports what is not there.
    """
    file = _file(text)
    if file is None:
        raise UnusableSchemaError(
            "the registry gives it as text alone, and not with `format=serialized`"
        )
    if not file.name:
        file.name = "schema.proto"
    pool = _Imports(references)
    pool.add(file)
    return ProtobufReader(file, pool.pool)


def _file(text: str) -> FileDescriptorProto | None:
    try:
        raw = base64.b64decode(text, validate=True)
        file = FileDescriptorProto.FromString(raw)
    except (ValueError, DecodeError):
        return None
    return file if raw and file.message_type else None


class _Imports:
    """Puts a file into a pool, behind all that it imports."""

    def __init__(self, references: Mapping[str, str]) -> None:
        self.pool = DescriptorPool()
        self._references = references
        self._added: set[str] = set()

    def add(self, file: FileDescriptorProto) -> None:
        """Add a file and its imports, each once."""
        self._added.add(file.name)
        for name in file.dependency:
            if name not in self._added:
                self.add(self._imported(name))
        self.pool.AddSerializedFile(file.SerializeToString())

    def _imported(self, name: str) -> FileDescriptorProto:
        if name in self._references:
            raw = base64.b64decode(self._references[name])
            file = FileDescriptorProto.FromString(raw)
            file.name = name
            return file
        if _KNOWN.fullmatch(name):
            module = name.removesuffix(".proto").replace("/", ".") + "_pb2"
            root = _KNOWN_ROOTS.get(name.partition("/")[0], "")
            try:
                known = import_module(root + module).DESCRIPTOR.serialized_pb
            except ImportError:
                known = None
            if known is not None:
                return FileDescriptorProto.FromString(known)
        raise UnusableSchemaError(f"imports `{name}`, which it does not refer to")


# --- which message ---------------------------------------------------------------------------


def _places(body: bytes) -> tuple[tuple[int, ...], int]:
    """Read the place of the message in its file, and where the message begins.

    Its length and the places in it are zigzag varints; a length of 0 is the first message.
    """
    count, at = _zigzag(body, 0)
    if not 0 <= count <= _PLACES_MAX:
        raise MalformedPayloadError("the place of the message is none (byte 0)")
    places = []
    for _ in range(count):
        place, at = _zigzag(body, at)
        places.append(place)
    return tuple(places) or (0,), at


def _zigzag(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(body[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at + shift + 1
    raise MalformedPayloadError(f"the place of the message is cut off (byte {at})")


def _named(file: FileDescriptorProto, places: tuple[int, ...]) -> str:
    """Give the full name of the message at a place."""
    names = [file.package] if file.package else []
    inside: Any = file.message_type
    for place in places:
        if not 0 <= place < len(inside):
            raise MalformedPayloadError("names a message that the schema does not have")
        message: DescriptorProto = inside[place]
        names.append(message.name)
        inside = message.nested_type
    return ".".join(names)


# --- what it says ----------------------------------------------------------------------------


class _Field(NamedTuple):
    """How one field of a message is read."""

    attribute: str
    name: str
    """In the tree."""
    optional: bool
    read: Callable[[Any], object]


class _Trees:
    """Turns messages of one pool into maps, lists and scalars."""

    def __init__(self) -> None:
        self._fields: dict[str, tuple[_Field, ...]] = {}

    def tree(self, message: Any) -> object:
        """Give what a message says."""
        name: str = message.DESCRIPTOR.full_name
        if name.startswith("google.protobuf."):
            if name == "google.protobuf.Timestamp":
                return message.ToDatetime(tzinfo=UTC)
            if name in _JSON:
                return _json(message)
            if _WRAPPER.fullmatch(name):
                return message.value
        fields = self._fields.get(name)
        if fields is None:
            fields = tuple(map(self._field, message.DESCRIPTOR.fields))
            self._fields[name] = fields
        return {
            field.name: field.read(getattr(message, field.attribute))
            for field in fields
            if not field.optional or message.HasField(field.attribute)
        }

    def _field(self, field: Any) -> _Field:
        optional = field.has_presence and not field.is_repeated
        return _Field(field.name, _name(field), optional, self._how(field))

    def _how(self, field: Any) -> Callable[[Any], object]:
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            read = self._one(message.fields_by_name["value"])
            return lambda entries: {key: read(value) for key, value in entries.items()}
        read = self._one(field)
        return (lambda items: [read(item) for item in items]) if field.is_repeated else read

    def _one(self, field: Any) -> Callable[[Any], object]:
        if field.message_type is not None:
            return self.tree
        if field.enum_type is not None:
            names = {value.number: value.name for value in field.enum_type.values}
            return lambda number: names.get(number, number)
        return lambda value: value


def _json(message: Any) -> object:
    """Give what `Struct`, `ListValue` or `Value` hold.

    They have floats alone where JSON has integers too: whole numbers are integers.
    """
    match message.DESCRIPTOR.name:
        case "Struct":
            return {key: _json(value) for key, value in message.fields.items()}
        case "ListValue":
            return [_json(value) for value in message.values]
    match message.WhichOneof("kind"):
        case None | "null_value":
            return None
        case "number_value":
            number: float = message.number_value
            whole = number.is_integer() and abs(number) <= _INTEGER_MAX
            return int(number) if whole else number
        case "struct_value" | "list_value" as kind:
            return _json(getattr(message, kind))
        case kind:
            scalar: object = getattr(message, kind)
            return scalar


def _name(field: Any) -> str:
    """Give the field's own name, or the one that its `json_name` sets in its place.

    Names of features may be any text, those of fields may not. Without the option `json_name`
    is the field's name in camel case.
    """
    words = field.name.split("_")
    camel = words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])
    given: str = field.json_name
    return str(field.name) if given == camel else given
