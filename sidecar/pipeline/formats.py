"""What a record's value is: its encoding, and the envelope that it may come in.

CloudEvents 1.0 come in two modes over Kafka. *Structured*: the content type begins with
`application/cloudevents` and the value is the whole envelope. *Binary*: the attributes are
headers named `ce_...` and the value is the data alone. Everything else is a bare event.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct

from sidecar.events import Headers, RejectCode
from sidecar.pipeline.depth import json_too_deep, msgpack_too_deep
from sidecar.pipeline.framing import MAGIC, framed
from sidecar.pipeline.refusal import DECODER_ERRORS, RefusedError, refusal

Format = Literal["auto", "json", "msgpack", "cloudevents", "oip", "kserve"]

_STRUCTURED = "application/cloudevents"
MARKS = frozenset({"ce_specversion", "ce_id", "ce_source", "ce_type"})
"""Headers that a CloudEvent in binary mode has; without all of them a record is none."""

_MSGPACK_TYPES = frozenset(
    {"application/msgpack", "application/x-msgpack", "application/vnd.msgpack"}
)
# Names that say nothing about the bytes.
_NEUTRAL_TYPES = frozenset({"", "application/octet-stream", "text/plain"})
_MSGPACK_MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])

Encoding = Literal["json", "msgpack"]
"""How the bytes of an event are written."""


class Envelope(NamedTuple):
    """What a CloudEvent says around its data."""

    id: str
    time: datetime | None
    type: str = ""


class Payload(NamedTuple):
    """The bytes of an event, and how to read them."""

    body: bytes
    encoding: Encoding
    envelope: Envelope | None = None
    """None for a bare event, which says its id and time itself."""
    path: str = "$"
    """Where `body` stands in the record."""


class _Structured(Struct, kw_only=True, gc=False):
    """The JSON envelope of a CloudEvent. A version other than 1.0 is another format."""

    specversion: str
    id: str
    source: str
    type: str
    time: Annotated[datetime, Meta(tz=True)] | None = None
    datacontenttype: str | None = None
    data: Raw = Raw()
    data_base64: bytes | None = None


class _Times(Struct):
    """The header `ce_time`, as a type of its own for its errors."""

    time: Annotated[datetime, Meta(tz=True)] | None


class FormatReader:
    """Finds the event in a record's value."""

    def __init__(self, input_format: Format, max_depth: int) -> None:
        """Say what may come.

        Args:
            input_format: `auto` goes by the headers, then by the first byte.
            max_depth: Deepest nesting of a value.
        """
        self._format = input_format
        self._max_depth = max_depth
        self._structured = msgspec.json.Decoder(_Structured)

    def read(self, value: bytes, headers: Headers) -> Payload:
        """Give the event's bytes. They are not deeper than allowed.

        Args:
            value: The record's value, not empty.
            headers: The record's headers; the last of equal names counts.

        Raises:
            RefusedError: The value is of no format that is read, or its envelope is broken.
        """
        _refuse_registry(value)
        match self._format:
            case "json" | "msgpack" as encoding:
                payload = Payload(value, encoding)
            case _:
                payload = self._by_headers(value, headers)
        self._refuse_deep(payload)
        return payload

    def envelope(self, headers: Headers) -> Envelope | None:
        """Give the envelope of an event that a schema of its own describes.

        Args:
            headers: The record's headers.

        Returns:
            None for a bare event.

        Raises:
            RefusedError: Another format is to be read, or the envelope is broken.
        """
        if self._format in ("json", "msgpack"):
            raise _unsupported(f"the config reads `{self._format}` alone")
        named = _by_name(headers)
        if _essence(named.get("content-type", b"")).startswith(_STRUCTURED):
            raise _unsupported("CloudEvents in another format than JSON are not read")
        if named.keys() >= MARKS:
            return _envelope(named)
        if self._format == "cloudevents":
            raise _unsupported("it is no CloudEvent, and the config reads nothing else")
        return None

    def _by_headers(self, value: bytes, headers: Headers) -> Payload:
        named = _by_name(headers)
        content_type = _essence(named["content-type"]) if "content-type" in named else ""
        if content_type.startswith(_STRUCTURED):
            return self._from_structured(value, content_type)
        if "ce_id" in named and named.keys() >= MARKS:
            if self._format == "kserve":
                # The logger keeps the content type of the caller, which is often wrong.
                content_type = "application/json"
            return _from_binary(value, named, content_type)
        if self._format in ("cloudevents", "kserve"):
            return self._from_structured(value, _STRUCTURED)
        return Payload(value, _encoding(value, content_type))

    def _from_structured(self, value: bytes, content_type: str) -> Payload:
        if content_type not in (_STRUCTURED, f"{_STRUCTURED}+json"):
            raise _unsupported("CloudEvents in another format than JSON are not read")
        self._refuse_deep(Payload(value, "json"))
        try:
            event = self._structured.decode(value)
        except DECODER_ERRORS as error:
            raise refusal(error, value, malformed=RejectCode.MALFORMED_JSON) from error
        _refuse_version(event.specversion)
        envelope = Envelope(event.id, event.time, event.type)
        if event.data_base64 is not None:
            body, path = event.data_base64, "$.data_base64"
            _refuse_registry(body, path)
            encoding = _encoding(body, _essence((event.datacontenttype or "").encode()))
            return Payload(body, encoding, envelope, path)
        if not (body := bytes(event.data)):
            raise RefusedError(RejectCode.MISSING_FIELD, "the CloudEvent has no data", "$.data")
        return Payload(body, "json", envelope, "$.data")

    def _refuse_deep(self, payload: Payload) -> None:
        too_deep = json_too_deep if payload.encoding == "json" else msgpack_too_deep
        if too_deep(payload.body, self._max_depth):
            raise RefusedError(
                RejectCode.TOO_DEEP, f"nested deeper than {self._max_depth}", payload.path
            )


def _refuse_registry(body: bytes, path: str = "$") -> None:
    """Refuse what a schema registry's serialiser wrote: producers often forget that they do."""
    if body.startswith(MAGIC):
        found = framed(body, ())
        which = "cut off" if found is None else f"schema {found.schema_id}"
        raise RefusedError(
            RejectCode.REGISTRY_PREFIX,
            f"begins with the prefix of a schema registry ({which}), and none was asked: set "
            "`registry.url`, or have the producer send plain JSON or MessagePack",
            path,
        )


def _by_name(headers: Headers) -> dict[str, bytes]:
    return {name.lower(): text for name, text in headers if text is not None}


def _from_binary(value: bytes, named: Mapping[str, bytes], content_type: str) -> Payload:
    return Payload(value, _encoding(value, content_type), _envelope(named))


def _envelope(named: Mapping[str, bytes]) -> Envelope:
    _refuse_version(_header_text(named, "ce_specversion"))
    time = _header_time(named) if "ce_time" in named else None
    return Envelope(_header_text(named, "ce_id"), time, _header_text(named, "ce_type"))


def _header_text(named: Mapping[str, bytes], name: str) -> str:
    try:
        return named[name].decode()
    except UnicodeDecodeError as error:
        raise RefusedError(
            RejectCode.INVALID_UTF8,
            f"header is not UTF-8: {error.reason} (byte {error.start})",
            f"headers.{name}",
        ) from error


def _header_time(named: Mapping[str, bytes]) -> datetime | None:
    try:
        return msgspec.convert({"time": _header_text(named, "ce_time")}, _Times).time
    except msgspec.ValidationError as error:
        raise RefusedError(
            RejectCode.INVALID_TIME, "the header is no RFC 3339 time", "headers.ce_time"
        ) from error


def _refuse_version(version: str) -> None:
    if version != "1.0":
        raise _unsupported("CloudEvents of another version than 1.0 are not read")


def _essence(content_type: bytes) -> str:
    """Give the type without its parameters; what is no text is no type that is read."""
    return content_type.partition(b";")[0].strip().lower().decode(errors="replace")


def _encoding(body: bytes, content_type: str) -> Encoding:
    """Go by the content type, then by the first byte."""
    if content_type in _MSGPACK_TYPES:
        return "msgpack"
    if content_type.endswith(("/json", "+json")):
        return "json"
    if content_type not in _NEUTRAL_TYPES:
        raise _unsupported("the content type is neither JSON nor MessagePack")
    return "msgpack" if body[:1] and body[0] in _MSGPACK_MAPS else "json"


def _unsupported(message: str) -> RefusedError:
    return RefusedError(RejectCode.UNSUPPORTED_FORMAT, message)
