"""The types of settings in words, for faults and for the reference page."""

import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta, Struct, UnsetType

from sidecar.config.values import Address, ByteSize, Duration, Secret

_WORDS: dict[object, str] = {
    str: "text",
    bool: "`true` or `false`",
    Duration: "a duration",
    ByteSize: "a size",
    Secret: "`{file: PATH}` or `{env: NAME}`",
    Address: "an address",
    Path: "a path",
}


def members(kind: Any) -> tuple[Any, ...]:
    """Give the alternatives of a type, without None and "not given"."""
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(m for m in get_args(kind) if m not in (types.NoneType, UnsetType))
    return (kind,)


def unwrap(kind: Any) -> tuple[Any, Sequence[Meta]]:
    """Take the limits off a type.

    Returns:
        The bare type, and its limits.
    """
    if get_origin(kind) is Annotated:
        bare, *limits = get_args(kind)
        return bare, [limit for limit in limits if isinstance(limit, Meta)]
    return kind, ()


def extra(kind: Any, key: str) -> Any:
    """Give a note for the loader that a type carries; None without."""
    notes = [meta.extra for meta in unwrap(kind)[1] if meta.extra]
    return next((note[key] for note in notes if key in note), None)


def words(kind: Any) -> list[str]:
    """Give the words of the closed lists that a setting takes.

    Example:
        >>> words(Literal["auto"] | Annotated[int, Meta(ge=1, le=256)])
        ['auto']
    """
    lists = [bare for bare, _ in map(unwrap, members(kind)) if get_origin(bare) is Literal]
    return [word for each in lists for word in get_args(each) if isinstance(word, str)]


def in_words(kind: Any) -> str:
    """Say what a setting of this type takes.

    Example:
        >>> in_words(Literal["auto"] | Annotated[int, Meta(ge=1, le=256)])
        '`auto` or a whole number from 1 to 256'
    """
    return " or ".join(_one_in_words(member) for member in members(kind))


def is_section(kind: Any) -> bool:
    """Whether a type is a Struct, so that a map stands there."""
    return isinstance(kind, type) and issubclass(kind, Struct)


def written(value: object) -> str:
    """Write a value as a config would.

    Example:
        >>> written([Duration(300_000), True, None])
        '[5m, true, null]'
    """
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def _one_in_words(kind: Any) -> str:
    bare, limits = unwrap(kind)
    if title := next((limit.title for limit in limits if limit.title), None):
        return title
    if bare in (int, float):
        number = "a whole number" if bare is int else "a number"
        return number + "".join(_range(limit) for limit in limits)
    if get_origin(bare) is Literal:
        values = [f"`{value}`" for value in get_args(bare)]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    if get_origin(bare) is list:
        return f"a list, each {in_words(get_args(bare)[0])}"
    if is_section(bare):
        keys = ", ".join(f"`{name}`" for name in bare.__struct_encode_fields__)
        return f"a section with {keys}"
    above = " above 0" if extra(kind, "positive") else ""
    return _WORDS.get(bare, "a map") + above


def _range(limit: Meta) -> str:
    if limit.ge is not None and limit.le is not None:
        return f" from {limit.ge} to {limit.le}"
    bounds = {"at least": limit.ge, "above": limit.gt, "at most": limit.le, "below": limit.lt}
    said = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
    return f" {' and '.join(said)}" if said else ""
