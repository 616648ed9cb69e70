"""Pictures along event time as inline SVG: lines with their limits, shares, states.

Sizes are attributes and colours are classes, so that a page may forbid inline styles and one
picture serves light, dark and paper. None of them can be reached by the keyboard: whoever shows
one says the same in words and numbers beside it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite, sqrt
from typing import NamedTuple

from sidecar.adapters.markup import Html, element
from sidecar.adapters.phrases import instant

Values = Sequence[float | None]
"""One value per instant; None, or what is not finite, where there is none."""

_RIGHT, _TOP, _FOOT = 8, 8, 20
_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_STEPS = (
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 7, 14, 28, 91, 182, 364)),
)
_MOST_TICKS = 7
_NAME_ROOM = 34  # half of the name of an instant
_TICK_GAP = 13
_ROOT_TICKS = (0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_LINEAR_TICKS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)


class Line(NamedTuple):
    """One line of a picture."""

    kind: str
    """CSS class."""
    values: Values


class Mark(NamedTuple):
    """A span of event time that is marked."""

    kind: str
    """CSS class."""
    begin_ms: int
    end_ms: int
    title: str
    part: float = 1.0
    """Of the height that it could fill; in the middle."""


class Row(NamedTuple):
    """One row of a picture of states."""

    name: str
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Where instants stand in a picture."""

    begin_ms: int
    end_ms: int
    left: int = 42
    """Room for names of values."""
    width: int = 640
    """Of the picture, in units of which a letter is some 6 wide."""

    @property
    def right(self) -> int:
        """Give where the picture ends."""
        return self.width - _RIGHT

    def x(self, time_ms: int) -> float:
        """Give the place of an instant, within the picture whatever the instant."""
        part = (time_ms - self.begin_ms) / max(1, self.end_ms - self.begin_ms)
        return self.left + min(1.0, max(0.0, part)) * (self.right - self.left)

    def ticks(self) -> list[tuple[int, str]]:
        """Give some round instants, with what is written there."""
        span = self.end_ms - self.begin_ms
        fitting = (step for step in _STEPS if span / step <= _MOST_TICKS)
        step = next(fitting, _STEPS[-1] * (1 + span // (_STEPS[-1] * _MOST_TICKS)))
        form = "%Y-%m-%d" if step >= _DAY else "%m-%d %H:%M"
        first = -(-self.begin_ms // step) * step
        return [
            (at, datetime.fromtimestamp(at / 1000, UTC).strftime(form))
            for at in range(first, self.end_ms + 1, step)
        ]


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """Where values from 0 up stand in a picture."""

    top: float
    """The largest value."""
    height: int = 120
    root: bool = False
    """Whether places go by the square root, so that small values are seen beside large ones."""

    def y(self, value: float) -> float:
        """Give the place of a value, within the picture whatever the value."""
        part = min(1.0, max(0.0, value / self.top))
        return _TOP + (self.height - _TOP) * (1.0 - (sqrt(part) if self.root else part))

    def ticks(self) -> list[float]:
        """Give 0 and some round values, none too close to the one before it."""
        if self.root:
            wanted = [tick for tick in _ROOT_TICKS if tick <= self.top]
        else:
            steps = (step for step in _LINEAR_TICKS if self.top / step < 4.5)
            step = next(steps, self.top)
            wanted = [step * at for at in range(1, int(self.top / step) + 1)]
        ticks = [0.0]
        for tick in wanted:
            if self.y(ticks[-1]) - self.y(tick) >= _TICK_GAP:
                ticks.append(tick)
        return ticks


def line_chart(
    time: TimeAxis,
    value: ValueAxis,
    times_ms: Sequence[int],
    lines: Iterable[Line],
    marks: Iterable[Mark] = (),
    *,
    title: str,
) -> Html:
    """Draw lines through event time, before spans that are marked.

    Args:
        time: The axis of all pictures that stand below one another.
        value: The axis of this one.
        times_ms: The instants.
        lines: Drawn in this order, each with one value per instant.
        marks: What lies behind the lines.
        title: What the picture shows, in words.
    """
    return _picture(
        time,
        value.height,
        title,
        *_spans(time, marks, _TOP, value.height - _TOP),
        *_value_grid(value, time),
        *_time_grid(time, value.height),
        *(
            element("path", class_=f"line {line.kind}", d=path)
            for line in lines
            if (path := _path(time, value, times_ms, line.values))
        ),
    )


def share_chart(
    time: TimeAxis,
    times_ms: Sequence[int],
    parts: Sequence[Line],
    *,
    title: str,
    height: int = 140,
) -> Html:
    """Draw parts of a whole through event time, one above the other.

    Args:
        time: The axis.
        times_ms: The instants.
        parts: From the bottom, each with its amount at each instant. Where all are 0 nothing
            is drawn.
        title: What the picture shows, in words.
        height: Of the picture, without the names of instants.
    """
    amounts = [[value or 0.0 for value in part.values] for part in parts]
    wholes = [sum(at) or 1.0 for at in zip(*amounts, strict=True)]
    value = ValueAxis(1.0, height)
    below = [0.0] * len(times_ms)
    areas = []
    for part, amount in zip(parts, amounts, strict=True):
        above = [low + a / whole for low, a, whole in zip(below, amount, wholes, strict=True)]
        upper = _points(time, value, times_ms, above)
        lower = _points(time, value, times_ms, below)
        corners = " ".join([*upper, *reversed(lower)])
        areas.append(element("polygon", class_=f"part {part.kind}", points=corners))
        below = above
    return _picture(
        time,
        height,
        title,
        *areas,
        *_value_grid(value, time, percent=True),
        *_time_grid(time, height),
    )


def state_chart(time: TimeAxis, rows: Sequence[Row], *, title: str) -> Html:
    """Draw what state each of many was in through event time, one row for each.

    Args:
        time: The axis, with room for the names at its left.
        rows: From the top.
        title: What the picture shows, in words.
    """
    step = 22
    height = _TOP + step * len(rows)
    drawn: list[Html] = []
    for at, row in enumerate(rows):
        y = _TOP + step * at
        name = element("text", row.name, x=time.left - 8, y=y + 14, class_="name")
        drawn += [name, *_spans(time, row.marks, y + 2, step - 5)]
    return _picture(time, height, title, *_time_grid(time, height), *drawn)


def _picture(time: TimeAxis, height: int, title: str, *parts: Html) -> Html:
    return element(
        "svg",
        element("title", title),
        *parts,
        class_="chart",
        viewBox=f"0 0 {time.width} {height + _FOOT}",
        role="img",
    )


def _spans(time: TimeAxis, marks: Iterable[Mark], y: float, height: float) -> Iterator[Html]:
    for mark in marks:
        left, right = time.x(mark.begin_ms), time.x(mark.end_ms)
        yield element(
            "rect",
            element("title", mark.title) if mark.title else None,
            class_=f"mark {mark.kind}",
            x=f"{left:.1f}",
            y=f"{y + height * (1 - mark.part) / 2:.1f}",
            # What is shorter than a dot of the screen is seen all the same.
            width=f"{max(1.5, right - left):.1f}",
            height=f"{height * mark.part:.1f}",
        )


def _value_grid(value: ValueAxis, time: TimeAxis, percent: bool = False) -> Iterator[Html]:
    for tick in value.ticks():
        y = f"{value.y(tick):.1f}"
        text = f"{tick:.0%}" if percent else f"{tick:g}"
        yield element("line", class_="grid", x1=time.left, x2=time.right, y1=y, y2=y)
        yield element("text", text, class_="value", x=time.left - 5, y=y, dy=4)


def _time_grid(time: TimeAxis, height: int) -> Iterator[Html]:
    for at, text in time.ticks():
        x = time.x(at)
        yield element("line", class_="tick", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=_TOP, y2=height)
        # The names at both ends stay within the picture.
        middle = min(max(x, time.left + _NAME_ROOM), time.right - _NAME_ROOM)
        yield element("text", text, class_="time", x=f"{middle:.1f}", y=height + 14)


def _path(time: TimeAxis, value: ValueAxis, times_ms: Sequence[int], values: Values) -> str:
    """Join neighbours that have a value; one that has none beside it is a dot."""
    steps, drawing = [], False
    for at, (instant_ms, height) in enumerate(zip(times_ms, values, strict=True)):
        if height is None or not isfinite(height):
            drawing = False
            continue
        place = f"{time.x(instant_ms):.1f} {value.y(height):.1f}"
        alone = not drawing and (at + 1 == len(values) or values[at + 1] is None)
        steps.append(f"L{place}" if drawing else f"M{place}{'h0' if alone else ''}")
        drawing = True
    return "".join(steps)


def _points(
    time: TimeAxis, value: ValueAxis, times_ms: Sequence[int], values: Sequence[float]
) -> list[str]:
    return [
        f"{time.x(at):.1f},{value.y(height):.1f}"
        for at, height in zip(times_ms, values, strict=True)
    ]


def merge_marks(times_ms: Sequence[int], kinds: Sequence[str], begin_ms: int) -> list[Mark]:
    """Give one mark for each run of equal kinds; an empty kind is left out.

    Args:
        times_ms: The instants at which what is of a kind ends.
        kinds: The kind up to each instant.
        begin_ms: Where the first one begins.

    Example:
        >>> [mark[:3] for mark in merge_marks([10, 20, 30], ["few", "few", "steady"], 5)]
        [('few', 5, 20), ('steady', 20, 30)]
    """
    bounds = [begin_ms, *times_ms]
    runs: list[tuple[str, int, int]] = []
    for kind, (begin, end) in zip(kinds, pairwise(bounds), strict=True):
        if runs and runs[-1][0] == kind:
            runs[-1] = (kind, runs[-1][1], end)
        else:
            runs.append((kind, begin, end))
    return [
        Mark(kind, begin, end, f"{kind}: {instant(begin)} to {instant(end)}")
        for kind, begin, end in runs
        if kind
    ]
