"""Why a value is refused: from what a decoder says to a closed code and a path."""

import re
from collections.abc import Collection

from msgspec import DecodeError, ValidationError

from sidecar.events import RejectCode

_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_BEYOND = re.compile(r"Expected `(?:float|int)` [<>]=|Number out of range")
_FEATURES = "$.features"
_TIME = "$.time"


class RefusedError(Exception):
    """Unwinds the decoding of one value; never leaves `decode`."""

    def __init__(self, code: RejectCode, message: str, path: str = "$") -> None:
        """Keep what the dead letter will say.

        Args:
            code: The closed reason.
            message: For people; holds no value of the payload.
            path: Where in the payload.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path


DECODER_ERRORS = (DecodeError, UnicodeDecodeError, RecursionError)
"""All that a msgspec decoder raises for bytes from outside."""


def refuse_size(value: bytes, max_bytes: int) -> None:
    """Refuse a value that has no bytes, or more than allowed.

    Raises:
        RefusedError: It is so.
    """
    if len(value) > max_bytes:
        raise RefusedError(
            RejectCode.TOO_LARGE, f"{len(value)} bytes, at most {max_bytes} are read"
        )
    if not value:
        raise RefusedError(RejectCode.EMPTY, "the value has no bytes")


def refusal(
    error: Exception,
    value: bytes,
    *,
    malformed: RejectCode,
    limited: Collection[str] = (),
    root: str = "$",
) -> RefusedError:
    """Say why a value is refused.

    Args:
        error: One of `DECODER_ERRORS`.
        value: The bytes that were decoded.
        malformed: Code for bytes that are not of the format at all.
        limited: Features that have limits of their own.
        root: Path of `value` within the record.

    Returns:
        The refusal; its message names types, limits and positions, never a value.
    """
    match error:
        case RecursionError():
            return RefusedError(RejectCode.TOO_DEEP, "nested too deeply", root)
        case UnicodeDecodeError():
            byte = value.find(error.object) + error.start
            return RefusedError(
                RejectCode.INVALID_UTF8,
                f"text is not UTF-8: {error.reason} (byte {byte})",
                root,
            )
        case ValidationError():
            code, message, path = _mismatch(str(error), limited)
            return RefusedError(code, message, root + path.removeprefix("$"))
    return RefusedError(malformed, str(error), root)


def _mismatch(text: str, limited: Collection[str]) -> tuple[RejectCode, str, str]:
    message, _, where = text.rpartition(" - at `")
    if not message:
        message, where = text, "$`"
    # A key that is no text is reported as "`key` in `$.features`".
    path = where.removesuffix("`").rpartition("in `")[2]
    if missing := _MISSING.fullmatch(message):
        return _absent(f"{path}.{missing[1]}")
    if message.endswith("got `null`"):
        return _absent(path)
    if message.startswith("Invalid enum value"):
        # The only closed list of an event is the model's name, and the text repeats the value.
        return RejectCode.UNKNOWN_MODEL, "names another model than the bundle's", path
    if path == _TIME and "got `" not in message:
        return RejectCode.INVALID_TIME, message, path
    if _BEYOND.match(message):
        has_limits = path.removeprefix(f"{_FEATURES}.") in limited and "Number" not in message
        code = RejectCode.OUT_OF_LIMITS if has_limits else RejectCode.NUMBER_OUT_OF_RANGE
        return code, message, path
    return RejectCode.WRONG_TYPE, message, path


def _absent(path: str) -> tuple[RejectCode, str, str]:
    if path.startswith(f"{_FEATURES}."):
        return RejectCode.MISSING_FEATURE, "a required feature has no value", path
    return RejectCode.MISSING_FIELD, "a required field has no value", path
