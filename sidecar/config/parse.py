"""The text of a config file as a plain tree: YAML, TOML or JSON.

YAML is read as its version 1.2 core schema has it, without tags and merge keys: `no` is a
word and not false, `1e-3` is a number, a date is text. An operator who lists country codes
should not meet false in place of Norway.
"""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from math import isfinite
from pathlib import Path

import yaml

from sidecar.config.faults import FAULTY, Faults, Faulty
from sidecar.config.tree import map_scalars
from sidecar.errors import ConfigError, Finding

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_UNFIT = re.compile("[\0\ud800-\udfff]")  # no file name and no UTF-8 can hold them
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


def parse(path: Path, faults: Faults) -> object:
    """Read a config file.

    Args:
        path: The file; its extension names the format.
        faults: Takes duplicate keys, and gets the lines of a YAML file.

    Returns:
        Maps with text keys, lists and scalars; an empty map for an empty file.

    Raises:
        ConfigError: Nothing can be made of the file: it is not there, or its syntax is broken.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(f"`{suffix}`" for suffix in _READERS)
        raise _unreadable(path, f"unknown extension `{path.suffix}`", f"use one of {known}")
    try:
        return reader(path.read_text(encoding="utf-8-sig"), faults)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _unreadable(path, reason, "give a file that can be read") from None
    except UnicodeDecodeError as error:
        text = f"is not UTF-8 at byte {error.start}"
        raise _unreadable(path, text, "save the file as UTF-8") from None
    except (ValueError, OverflowError, yaml.YAMLError) as error:
        raise _unreadable(path, _syntax_error(error), "mend the syntax there") from None


def scalar(text: str) -> str | int | float | bool | None:
    """Read an unquoted scalar of YAML 1.2.

    Example:
        >>> [scalar(text) for text in ("12", "1e-3", "true", "NO", "~", "2026-01-31")]
        [12, 0.001, True, 'NO', None, '2026-01-31']
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def refuse_odd_scalars(tree: object, faults: Faults) -> object:
    """Put `FAULTY` for what no setting can hold: a TOML date, infinity, half a character."""

    def check(path: str, value: object) -> object:
        match value:
            case None | int() | Faulty():
                return value
            case str() if not _UNFIT.search(value):
                return value
            case float() if isfinite(value):
                return value
        faults.add(path, "is neither text nor a finite number", "write one of these")
        return FAULTY

    return map_scalars(tree, check)


def _unreadable(path: Path, message: str, mend: str) -> ConfigError:
    return ConfigError(str(path), [Finding("$", message, mend)])


def _syntax_error(error: Exception) -> str:
    """Say what is wrong and where, without the text around it: a secret could stand there."""
    match error:
        case yaml.MarkedYAMLError():
            mark = error.problem_mark or error.context_mark
            where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            return f"{error.problem or error.context}{where}"
        case yaml.reader.ReaderError():
            return f"{error.reason}, at character {error.position + 1}"
    return str(error)


# --- YAML ----------------------------------------------------------------------------------


def _read_yaml(text: str, faults: Faults) -> object:
    node = yaml.compose(text, Loader=yaml.BaseLoader)
    return {} if node is None else _build(node, "$", faults)


def _build(node: yaml.Node, path: str, faults: Faults) -> object:
    faults.lines.setdefault(path, node.start_mark.line + 1)
    if node.tag not in _PLAIN_TAGS:
        faults.add(path, f"the tag `{node.tag}` is not supported", "leave it out")
    if isinstance(node, yaml.MappingNode):
        return _build_map(node, path, faults)
    if isinstance(node, yaml.SequenceNode):
        return [
            _build(item, f"{path}[{index}]", faults) for index, item in enumerate(node.value)
        ]
    unquoted = isinstance(node, yaml.ScalarNode) and node.style is None
    return scalar(node.value) if unquoted else node.value


def _build_map(node: yaml.MappingNode, path: str, faults: Faults) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            faults.add(path, "a key is a list or a map", "write a name as the key")
            continue
        here = f"{path}.{key.value}"
        faults.lines[here] = key.start_mark.line + 1
        if key.value in tree:
            _refuse_duplicate(here, faults)
        tree[key.value] = _build(value, here, faults)
    return tree


# --- JSON and TOML -------------------------------------------------------------------------


class _Pairs(list[tuple[str, object]]):
    """A JSON object as it is written, with its duplicate keys."""


def _read_json(text: str, faults: Faults) -> object:
    return _unpair(json.loads(text, object_pairs_hook=_Pairs), "$", faults)


def _unpair(tree: object, path: str, faults: Faults) -> object:
    if isinstance(tree, _Pairs):
        for key, times in Counter(key for key, _ in tree).items():
            if times > 1:
                _refuse_duplicate(f"{path}.{key}", faults)
        return {key: _unpair(value, f"{path}.{key}", faults) for key, value in tree}
    if isinstance(tree, list):
        return [_unpair(value, f"{path}[{index}]", faults) for index, value in enumerate(tree)]
    return tree


def _read_toml(text: str, faults: Faults) -> object:
    return tomllib.loads(text)  # a duplicate key is a syntax error of TOML


def _refuse_duplicate(path: str, faults: Faults) -> None:
    faults.add(path, "this key is written twice", "keep one of the two")


_READERS: dict[str, Callable[[str, Faults], object]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".toml": _read_toml,
    ".json": _read_json,
}
