"""`docs/configuration.md`, made from the settings: `python -m sidecar.config.reference`.

What stands above the tables is `reference.md`, beside this file.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from msgspec import NODEFAULT, UNSET, Struct
from msgspec.structs import FieldInfo, fields

from sidecar.config.convert import default_of
from sidecar.config.describe import describe
from sidecar.config.kinds import in_words, is_section, members, unwrap, written
from sidecar.config.settings import SidecarSettings

EXAMPLE = Path(__file__).with_name("example.yaml")
_FRAME = Path(__file__).with_name("reference.md")


def reference() -> str:
    """Give the whole page as Markdown."""
    frame, example = (path.read_text(encoding="utf-8") for path in (_FRAME, EXAMPLE))
    page = frame.replace("<!-- example.yaml -->\n", example)
    return "\n".join([page, *_section(SidecarSettings, "")]).rstrip() + "\n"


def _section(section: type[Struct], path: str) -> Iterator[str]:
    """Give the table of one section, then the sections in it."""
    if path:
        yield f"### `{path}`\n"
    yield f"{inspect.getdoc(section)}\n"
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    meanings = describe(section)
    for field in fields(section):
        yield _row(field, meanings[field.name])
    yield ""
    for field in fields(section):
        for inner, suffix in _sections_of(field.type):
            yield from _section(inner, f"{path}.{field.encode_name}{suffix}".removeprefix("."))


def _sections_of(kind: Any) -> Iterator[tuple[type[Struct], str]]:
    for bare, _ in map(unwrap, members(kind)):
        if is_section(bare):
            yield bare, ""
        if get_origin(bare) is list:
            yield from ((inner, "[]") for inner, _ in _sections_of(get_args(bare)[0]))


def _row(field: FieldInfo, meaning: str) -> str:
    words = re.sub(r"\ba section with [^|]*?(?=( or |$))", "section", in_words(field.type))
    words = re.sub(r"^an? ", "", words)
    return f"| `{field.encode_name}` | {words} | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    default = default_of(field)
    if default is NODEFAULT:
        return "**must be given**"
    if default is UNSET or default is None or default in ("", [], {}):
        return ""
    return "" if isinstance(default, Struct) else f"`{written(default)}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
