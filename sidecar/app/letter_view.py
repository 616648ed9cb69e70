"""A dead letter as text: what is wrong, and its payload as far as it can be read.

Values are masked unless they are asked for: names, types and sizes are shown. Where a payload
cannot be read its bytes are, and of those only what is the syntax of JSON.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from sidecar.app.letters import Letter, printable, rfc3339
from sidecar.errors import MalformedPayloadError
from sidecar.events import Headers
from sidecar.pipeline.framing import framed
from sidecar.ports import PlainJson, Schema, UnknownSchema

Steps = tuple[str | int, ...]
"""Names and positions on the way from the payload to one of its values."""

# Their values name formats, not people.
_OPEN_HEADERS = frozenset({"content-type", "ce_specversion"})
_MSGPACK_MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
_SYNTAX = frozenset(b'{}[]:," \t\r\n')
_BYTE = re.compile(r"\(byte (\d{1,9})\)")
_INDEX = re.compile(r"\[(\d{1,9})\]")
_DEEPEST = 64
_DUMPED = 256
_BEFORE = 128
_ROW = 16
_LABEL = 10
_MARK = "  <== here"


class Spot(NamedTuple):
    """How much of a path is there in a payload."""

    steps: Steps
    rest: str
    """What is not there, as `.age`; empty when all is."""


def describe(letter: Letter, *, reveal: bool, schema: Schema | None = None) -> str:
    """Write a letter as text.

    Args:
        letter: The letter.
        reveal: Whether key, values and headers of the record are shown as they are.
        schema: The one that it names, as far as a registry was asked.

    Returns:
        Lines for a terminal; control characters are escaped.
    """
    lines = [
        *_facts(letter, reveal=reveal),
        *_schema_line(letter, schema),
        "",
        *_payload(letter, schema, reveal=reveal),
    ]
    return "\n".join(printable(line) for line in lines)


def _facts(letter: Letter, *, reveal: bool) -> Iterator[str]:
    facts: dict[str, object] = {
        "letter": letter.place,
        "refused": rfc3339(letter.time_ms),
        "code": letter.said("code"),
        "stage": letter.said("stage"),
        "path": letter.said("path"),
        "message": letter.said("message"),
        "source": letter.source,
        "sent": rfc3339(number if (number := letter.number("timestamp")) is not None else -1),
        "attempts": letter.attempts,
        "version": letter.said("version"),
        "key": _bytes_text(letter.key, reveal=reveal),
    }
    for name, fact in facts.items():
        yield f"{name:<{_LABEL}} {fact}".rstrip()
    for name, value in letter.original_headers():
        shown = reveal or name.lower() in _OPEN_HEADERS
        yield f"{'header':<{_LABEL}} {name}: {_bytes_text(value, reveal=shown)}"


def _schema_line(letter: Letter, schema: Schema | None) -> Iterator[str]:
    """Name the schema of a letter that names one, and what is wrong with it."""
    found = framed(letter.value or b"", letter.headers)
    if found is not None:
        why = f": {schema.why}" if isinstance(schema, UnknownSchema) else ""
        yield f"{'schema':<{_LABEL}} {found.schema_id}{why}"


def _payload(letter: Letter, schema: Schema | None, *, reveal: bool) -> Iterator[str]:
    value = letter.value
    if value is None or not letter.has_payload:
        yield "No payload: the record could not be read, or the broker did not take it."
        return
    read = decode(value, letter.headers, schema)
    if read is None:
        yield f"Payload, {len(value):,} bytes, which cannot be read:"
        yield from dump(value, letter.said("message"), reveal=reveal)
        return
    encoding, tree = read
    spot = find(tree, letter.said("path"))
    masked = "" if reveal else "; values are masked, --reveal shows them"
    yield f"Payload, {len(value):,} bytes of {encoding}{masked}:"
    yield from _Page(reveal=reveal, spot=spot).lines(tree)


def _bytes_text(value: bytes | None, *, reveal: bool) -> str:
    if value is None:
        return "null"
    if not reveal:
        return f"<{len(value):,} bytes>"
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"hex:{value.hex()}"


# --- reading -------------------------------------------------------------------------------


def decode(
    value: bytes, headers: Headers, schema: Schema | None = None
) -> tuple[str, Any] | None:
    """Read a payload, more leniently than the sidecar does: what is wrong is to be seen.

    Args:
        value: The bytes; the prefix of a schema registry is passed over.
        headers: Of the record; a content type of MessagePack counts.
        schema: The one that it names, where it is known.

    Returns:
        The encoding's name and the tree; None when it cannot be read.
    """
    found = framed(value, headers)
    if found is not None:
        value = found.body
    if schema is not None and not isinstance(schema, PlainJson | UnknownSchema):
        try:
            return schema.encoding.capitalize(), schema.read(value)
        except MalformedPayloadError:
            return None
    named = {name.lower(): text or b"" for name, text in headers}
    said = b"msgpack" in named.get("content-type", b"").lower()
    try:
        if said or (value[:1] and value[0] in _MSGPACK_MAPS):
            return "MessagePack", msgspec.msgpack.decode(value, strict=False)
        # json instead of msgspec: it takes NaN and Infinity, which may be what is wrong.
        return "JSON", json.loads(value.decode())
    except (ValueError, RecursionError, msgspec.DecodeError):
        return None


def find(tree: Any, path: str) -> Spot:
    """Follow a path such as `$.features.amount` as far as it goes.

    A name that has dots itself is found: the longest name that fits is taken.

    Example:
        >>> find({"features": {"a.b": [1, 2]}}, "$.features.a.b[1]")
        Spot(steps=('features', 'a.b', 1), rest='')
        >>> find({"features": {}}, "$.features.age")
        Spot(steps=('features',), rest='.age')
    """
    steps: Steps = ()
    rest = path.removeprefix("$")
    while rest and (step := _next(tree, rest)) is not None:
        name, rest = step
        steps = (*steps, name)
        tree = tree[name]
    return Spot(steps, rest)


def _next(tree: Any, rest: str) -> tuple[str | int, str] | None:
    """Give the first step into a tree, and what is left of the path behind it."""
    if isinstance(tree, dict):
        fitting = (
            name
            for name in tree
            if isinstance(name, str)
            and rest.startswith(f".{name}")
            and rest[len(name) + 1 :][:1] in ("", ".", "[")
        )
        longest = max(fitting, key=len, default=None)
        return None if longest is None else (longest, rest[len(longest) + 1 :])
    match = _INDEX.match(rest)
    if isinstance(tree, list) and match is not None and int(match[1]) < len(tree):
        return int(match[1]), rest[match.end() :]
    return None


# --- writing -------------------------------------------------------------------------------


class _Page:
    """Writes a tree as JSON is written, with a mark at what is wrong."""

    def __init__(self, *, reveal: bool, spot: Spot) -> None:
        self._reveal = reveal
        self._spot = spot
        self._mark = f"{_MARK}, without `{spot.rest.lstrip('.')}`" if spot.rest else _MARK

    def lines(
        self, node: Any, at: Steps = (), name: str = "", comma: str = ""
    ) -> Iterator[str]:
        """Write a value, each line indented by its depth."""
        indent = "  " * len(at)
        mark = self._mark if at == self._spot.steps else ""
        pairs = _pairs(node)
        opening, closing = "[]" if isinstance(node, list) else "{}"
        if pairs is None:
            yield f"{indent}{name}{self._leaf(node)}{comma}{mark}"
        elif not pairs:
            yield f"{indent}{name}{opening}{closing}{comma}{mark}"
        elif len(at) >= _DEEPEST:
            yield f"{indent}{name}{opening} ... {closing}{comma}{mark}"
        else:
            yield f"{indent}{name}{opening}{mark}"
            for number, (step, label, inner) in enumerate(pairs, 1):
                more = "," if number < len(pairs) else ""
                yield from self.lines(inner, (*at, step), label, more)
            yield f"{indent}{closing}{comma}"

    def _leaf(self, node: Any) -> str:
        return _literal(node) if self._reveal else masked(node)


def _pairs(node: Any) -> list[tuple[str | int, str, Any]] | None:
    """Give step, label and value of what a container holds; None for no container."""
    if isinstance(node, dict):
        return [(name, f"{_literal(name)}: ", inner) for name, inner in node.items()]
    if isinstance(node, list):
        return [(at, "", inner) for at, inner in enumerate(node)]
    return None


def masked(value: object) -> str:
    """Give the kind of a value, and its size.

    Example:
        >>> masked("1250"), masked(1250), masked(None)
        ('<text, 4 characters>', '<integer>', 'null')
    """
    match value:
        case None:
            return "null"
        case bool():
            return "<boolean>"
        case int():
            return "<integer>"
        case float():
            finite = value - value == 0  # NaN and the infinities give NaN
            return "<number>" if finite else "<number, not finite>"
        case str():
            return f"<text, {len(value):,} characters>"
        case bytes():
            return f"<{len(value):,} bytes>"
    return f"<{type(value).__name__.lower()}>"


def _literal(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)  # what only MessagePack has: bytes, times, extensions


def dump(value: bytes, message: str, *, reveal: bool) -> Iterator[str]:
    """Write bytes in hexadecimal: the first ones, or those around the byte that is at fault.

    Masked, what looks like JSON shows its syntax, and anything else its first byte alone.

    Args:
        value: The bytes.
        message: What was wrong; `(byte 512)` in it says where.
        reveal: Whether all bytes are shown.
    """
    said = _BYTE.search(message)
    fault = int(said[1]) if said else None
    begin = max(0, (fault or 0) - _BEFORE) // _ROW * _ROW
    is_json = value.lstrip()[:1] in (b"{", b"[")
    # Row by row: it is a picture for people, of 256 bytes at most.
    for at in range(begin, min(begin + _DUMPED, len(value)), _ROW):
        row = [
            (byte, reveal or at + k == 0 or (is_json and byte in _SYNTAX))
            for k, byte in enumerate(value[at : at + _ROW])
        ]
        digits = " ".join(f"{byte:02x}" if shown else ".." for byte, shown in row)
        text = "".join(
            chr(byte) if shown and 0x20 <= byte < 0x7F else "." for byte, shown in row
        )
        mark = _MARK if fault is not None and at <= fault < at + _ROW else ""
        yield f"{at:08x}  {digits:<{3 * _ROW - 1}}  {text}{mark}"
    if (left := len(value) - begin - _DUMPED) > 0:
        yield f"... and {left:,} bytes more"
