"""Tables as lines of text that fit a width; knows nothing of sidecars or terminals."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Literal, NamedTuple
from unicodedata import category, east_asian_width

Mood = Literal["plain", "warn", "bad"]

_GAP = "  "
_NARROWEST = 21  # an address with its port
_CUT = "\N{HORIZONTAL ELLIPSIS}"


class Column(NamedTuple):
    """One column."""

    title: str
    right: bool = False
    """Whether it holds numbers."""
    rank: int = 0
    """The column of the largest is left out first where not all fit; 0 stays."""


class Row(NamedTuple):
    """One row."""

    cells: tuple[str, ...]
    mood: Mood = "plain"
    """Said by the words of the row as well."""
    key: str = ""
    """What the row is about; no other row of its table has it."""


class Table(NamedTuple):
    """Rows under titles; the first column is shortened before others are left out."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""
    """What is said above it."""


Fact = tuple[str, str]
"""A heading, and what is said under it."""


def lines(table: Table, width: int | None = None) -> list[str]:
    """Lay a table out: a line of titles, then one a row.

    Args:
        table: What to lay out.
        width: No line is longer; None for as long as it takes.

    Example:
        >>> names = Column("name"), Column("lag", right=True)
        >>> lines(Table(names, (Row(("a", "1,200")), Row(("credit", "7")))))
        ['name      lag', 'a       1,200', 'credit      7']
    """
    grid = [[each.title for each in table.columns], *([*row.cells] for row in table.rows)]
    grid = [[printable(cell) for cell in row] for row in grid]
    widths = [max(map(cells_of, column)) for column in zip(*grid, strict=True)]
    shown = list(range(len(widths)))
    if width is not None:
        shown = _fitting(table.columns, widths, width)
        others = sum(widths[at] + len(_GAP) for at in shown if at)
        widths[0] = max(1, min(widths[0], width - others))
    laid = (
        _GAP.join(_cell(row[at], widths[at], right=table.columns[at].right) for at in shown)
        for row in grid
    )
    return [cut(line.rstrip(), width) if width else line.rstrip() for line in laid]


def fact_lines(facts: Sequence[Fact], width: int | None = None) -> list[str]:
    """Lay facts out: headings on the left, beside them what they say, on several lines if long.

    Example:
        >>> fact_lines([("why", "no broker answers"), ("lag", "7")], 16)
        ['why  no broker', '     answers', 'lag  7']
    """
    indent = max((cells_of(heading) for heading, _ in facts), default=0) + len(_GAP)
    laid: list[str] = []
    for heading, text in facts:
        room = None if width is None else max(_NARROWEST // 2, width - indent)
        said = [text] if room is None else wrap(text, room, break_on_hyphens=False) or [""]
        heads = [heading, *[""] * (len(said) - 1)]
        laid += [
            _cell(head, indent, right=False) + part
            for head, part in zip(heads, said, strict=True)
        ]
    return laid if width is None else [cut(line, width) for line in laid]


def fitting(parts: Sequence[str], width: int | None = None) -> str:
    """Join as many of the first parts as fit beside each other.

    Example:
        >>> fitting(["lag 7", "in flight 3"], 12)
        'lag 7'
    """
    joined, *rest = parts
    for part in rest:
        longer = f"{joined}{_GAP}{part}"
        if width is not None and cells_of(longer) > width:
            break
        joined = longer
    return joined if width is None else cut(joined, width)


def cut(text: str, width: int) -> str:
    """Shorten a text, with a mark where something is left out.

    Example:
        >>> cut("months_since", 7), cut("age", 7)
        ('months…', 'age')
    """
    if cells_of(text) <= width:
        return text
    while text and cells_of(text) > width - 1:
        text = text[:-1]
    return text + _CUT


def printable(text: str) -> str:
    """Give a text without anything that a terminal would obey: names come from elsewhere.

    Example:
        >>> printable("a" + chr(27) + "[2Jb")
        'a�[2Jb'
    """
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def cells_of(text: str) -> int:
    """Count the cells that a text takes: two for a wide character, none for an accent.

    Example:
        >>> cells_of("lag"), cells_of("e" + chr(0x301)), cells_of(chr(0x4E00))
        (3, 1, 2)
    """
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if category(character) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Choose the columns that fit once the first is as narrow as it may be."""
    shown = list(range(len(widths)))
    first = min(widths[0], _NARROWEST)
    while first + sum(widths[at] + len(_GAP) for at in shown if at) > width:
        last = max(shown, key=lambda at: columns[at].rank)
        if not columns[last].rank:
            break
        shown.remove(last)
    return shown


def _cell(text: str, width: int, *, right: bool) -> str:
    text = cut(text, width)
    space = " " * (width - cells_of(text))
    return space + text if right else text + space
