"""How deep a value is nested, known before it is decoded, so that no depth can harm a decoder.

Counting stops at nothing: any bytes get a depth, and whether they are well formed is for the
decoder to say.
"""

import re
from collections.abc import Sequence

import msgspec
import numpy as np

from sidecar.pipeline.refusal import DECODER_ERRORS

# A string in full, or up to the end where nobody closes it. Possessive, so that a value made of
# quotes and backslashes is read once and not once per quote.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")
_BRACKET = ord("[")
_BRACE = ord("{")
_OPENERS = np.frombuffer(b"[{", np.uint8)

_CONTAINERS = bytes([*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])
_Scalar = str | int | float | bool | None
# No deeper than 2, which is the lowest limit that can be set.
_USUAL_MSGPACK = msgspec.msgpack.Decoder(
    dict[str, _Scalar | list[_Scalar] | dict[str, _Scalar]]
)


USUAL_DEPTH = 3
"""An event has its own brace, that of its features, and perhaps that of its prediction."""


def is_usual_json(value: bytes) -> bool:
    """Whether at most `USUAL_DEPTH` braces and no bracket open, so that JSON is no deeper.

    For a value that begins with a brace. It searches instead of counting: a search runs at the
    speed of memory, a count looks at each byte.
    """
    if _BRACKET in value:
        return False
    second, last = value.find(b"{", 1), value.rfind(b"{")
    return second == last or value.find(b"{", second + 1) == last


def are_usual_json(values: Sequence[bytes]) -> bool:
    """Whether each of some values is usual, at a fraction of what it costs to ask each.

    For values that open two braces or more, as an event does with its features: where all
    together open no more than two each, each of them opens two. So it may say no too often.

    Example:
        >>> are_usual_json([b'{"a": {}}', b'{"b": {}}']), are_usual_json([b'{"a": [{}]}'])
        (True, False)
    """
    joined = b"".join(values)
    if _BRACKET in joined:
        return False
    braces = np.count_nonzero(np.frombuffer(joined, np.uint8) == _BRACE)
    return int(braces) <= 2 * len(values)


def json_too_deep(value: bytes, max_depth: int) -> bool:
    """Whether JSON nests deeper than `max_depth` objects and arrays; strings do not count.

    Example:
        >>> json_too_deep(b'{"a": [1, "[[["]}', 2), json_too_deep(b'{"a": [[1]]}', 2)
        (False, True)
    """
    if is_usual_json(value) and max_depth >= USUAL_DEPTH:
        return False
    if value.count(b"[") + value.count(b"{") <= max_depth:
        return False
    brackets = _STRING.sub(b"", value).translate(None, _NO_BRACKET)
    opens = np.isin(np.frombuffer(brackets, np.uint8), _OPENERS)
    return int(np.cumsum(np.where(opens, 1, -1)).max(initial=0)) > max_depth


def msgpack_too_deep(value: bytes, max_depth: int) -> bool:
    """Whether MessagePack nests deeper than `max_depth` maps and arrays.

    Example:
        >>> msgpack_too_deep(bytes([0x91, 0x91, 0x01]), 2)  # [[1]]
        False
        >>> msgpack_too_deep(bytes([0x91, 0x91, 0x90]), 2)  # [[[]]]
        True
    """
    # The bytes of numbers and texts count here too: some 15 floats pass for 20 containers.
    if len(value) - len(value.translate(None, _CONTAINERS)) <= max_depth:
        return False
    return not _is_usual_msgpack(value) and _walk(value, max_depth)


def _is_usual_msgpack(value: bytes) -> bool:
    """Whether it is a map of scalars and of flat maps and lists, as nearly every event is.

    Decoding it as such costs a tenth of walking through it.
    """
    try:
        _USUAL_MSGPACK.decode(value)
    except DECODER_ERRORS:
        return False
    return True


# By first byte: bytes of the head with a payload of fixed size, bytes of the length behind it
# (0 for none), and items per unit of that length (0 for a scalar, 1 an array, 2 a map).
_HEAD = [1] * 256
_LENGTH = [0] * 256
_ITEMS = [0] * 256
for _byte in range(0x80, 0xA0):
    _ITEMS[_byte] = 2 if _byte < 0x90 else 1
for _byte in range(0xA0, 0xC0):
    _HEAD[_byte] = 1 + (_byte & 0x1F)
for _byte, _size in zip(
    range(0xCA, 0xD9), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17), strict=True
):
    _HEAD[_byte] = 1 + _size
for _first, _widths, _extra in (
    (0xC4, (1, 2, 4), 0),
    (0xC7, (1, 2, 4), 1),
    (0xD9, (1, 2, 4), 0),
    (0xDC, (2, 4), 0),
    (0xDE, (2, 4), 0),
):
    for _byte, _width in enumerate(_widths, _first):
        _HEAD[_byte], _LENGTH[_byte] = 1 + _width + _extra, _width
_ITEMS[0xDC] = _ITEMS[0xDD] = 1
_ITEMS[0xDE] = _ITEMS[0xDF] = 2


def _walk(value: bytes, max_depth: int) -> bool:
    """Read the heads one after another; iterative, so that no depth can overflow a stack."""
    awaited: list[int] = []  # items still to come, by open container
    at = 0
    while at < len(value):
        kind = value[at]
        width, items = _LENGTH[kind], _ITEMS[kind]
        length = int.from_bytes(value[at + 1 : at + 1 + width]) if width else kind & 0x0F
        at += _HEAD[kind]
        if awaited:
            awaited[-1] -= 1
        if items:
            awaited.append(length * items)
            if len(awaited) > max_depth:
                return True
        elif width:
            at += length
        while awaited and awaited[-1] == 0:
            awaited.pop()
        if not awaited:
            return False
    return False
