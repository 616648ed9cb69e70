"""Pictures of figures as SVG files, for pages in light and in dark.

Colours follow the reader's scheme by a media query in the picture itself, so that one file
serves both. Each picture has a title that says it in words; its numbers stand beside the bars.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sidecar.adapters.markup import Html, element

_WIDTH = 720
_NAMES, _NUMBERS = 150, 170
_ROW, _TOP, _FOOT = 24, 36, 12
_HEIGHT, _LEFT, _RIGHT, _BOTTOM = 280, 52, 130, 44
_STYLE = (
    "text{fill:#1d2733;font:12px system-ui,sans-serif}.head{font-weight:600;font-size:14px}"
    ".grid{stroke:#8a94a6;stroke-width:.6;fill:none}.aim{stroke:#b3261e;stroke-dasharray:4 3}"
    ".s0{fill:#3b6fb6;stroke:#3b6fb6}.s1{fill:#b77a10;stroke:#b77a10}"
    ".s2{fill:#3a8a5c;stroke:#3a8a5c}.s3{fill:#8452a8;stroke:#8452a8}"
    "path.line{fill:none;stroke-width:2}"
    "@media (prefers-color-scheme:dark){text{fill:#e6ebf2}.aim{stroke:#ff8a80}"
    ".s0{fill:#7fb0f0;stroke:#7fb0f0}.s1{fill:#e0ab4f;stroke:#e0ab4f}"
    ".s2{fill:#74c99a;stroke:#74c99a}.s3{fill:#c79be6;stroke:#c79be6}}"
)
_FEW = 6
"""With so many places on the horizontal axis, these are named and not round numbers."""
KINDS = 4
"""So many colours there are."""


class Bar(NamedTuple):
    """One bar with its name before it and its number behind it."""

    name: str
    value: float
    text: str
    kind: int = 0
    """Which colour."""
    aim: float | None = None
    """A mark where the value should be."""


class Series(NamedTuple):
    """One line of a picture with two axes."""

    name: str
    points: Sequence[tuple[float, float]]


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Draw bars below one another, from 0 to the largest."""
    most = max([*(bar.value for bar in rows), *(bar.aim or 0.0 for bar in rows), 1e-9])
    room = _WIDTH - _NAMES - _NUMBERS
    children: list[Html] = []
    for at, bar in enumerate(rows):
        y = _TOP + at * _ROW
        children += [
            element("text", bar.name, x=_NAMES - 8, y=y + 14, text_anchor="end"),
            element(
                "rect",
                class_=f"s{bar.kind % KINDS}",
                x=_NAMES,
                y=y + 3,
                width=f"{room * bar.value / most:.1f}",
                height=_ROW - 8,
            ),
            element(
                "text",
                bar.text,
                x=f"{_NAMES + room * max(bar.value, bar.aim or 0.0) / most + 6:.1f}",
                y=y + 15,
            ),
        ]
        if bar.aim is not None:
            x = f"{_NAMES + room * bar.aim / most:.1f}"
            children.append(element("line", class_="aim", x1=x, x2=x, y1=y, y2=y + _ROW - 2))
    return _picture(title, _TOP + len(rows) * _ROW + _FOOT, children)


def curves(
    title: str,
    across: str,
    upwards: str,
    lines: Sequence[Series],
    *,
    across_log: bool = True,
    upwards_log: bool = False,
) -> str:
    """Draw lines.

    Args:
        title: What it shows.
        across: Name of the horizontal axis.
        upwards: Name of the vertical axis.
        lines: With at least one point in all.
        across_log: Whether the horizontal axis is logarithmic, for values above 0; else it
            begins at 0.
        upwards_log: Whether the vertical axis is, likewise.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    left = min(xs) if across_log else 0.0
    horizontal = _Axis(_LEFT, _WIDTH - _RIGHT, left, max(xs), log=across_log)
    places = sorted(set(xs))
    marked = places if len(places) <= _FEW else horizontal.ticks()
    low = min(ys) if upwards_log else 0.0
    vertical = _Axis(_HEIGHT - _BOTTOM, _TOP + 8, low, max(ys), log=upwards_log)
    children = [*_grid(horizontal, marked, vertical)]
    children += [
        element("text", across, x=(_LEFT + _WIDTH - _RIGHT) // 2, y=_HEIGHT - 8),
        element("text", upwards, x=_LEFT - 44, y=_TOP - 4),
    ]
    ends = sorted((vertical.at(line.points[-1][1]), at) for at, line in enumerate(lines))
    last = -math.inf
    for y, at in ends:
        line, kind = lines[at], f"s{at % KINDS}"
        path = "L".join(f"{horizontal.at(x):.1f} {vertical.at(v):.1f}" for x, v in line.points)
        last = max(y, last + 14)  # names do not lie upon each other
        children += [
            element("path", class_=f"line {kind}", d=f"M{path}"),
            element("text", line.name, x=_WIDTH - _RIGHT + 22, y=f"{last + 4:.1f}"),
            element("circle", class_=kind, cx=_WIDTH - _RIGHT + 12, cy=f"{last:.1f}", r=4),
        ]
    return _picture(title, _HEIGHT, children)


class _Axis(NamedTuple):
    begin: float
    end: float
    low: float
    high: float
    log: bool

    def at(self, value: float) -> float:
        """Give the place of a value."""
        low, high, value = (
            (math.log(self.low), math.log(self.high), math.log(value))
            if self.log
            else (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.0
        return self.begin + (self.end - self.begin) * share

    def ticks(self) -> list[float]:
        """Give round values: 1, 2 and 5 by powers of ten, or quarters of the whole."""
        if not self.log:
            step = _round_step(self.high / 4)
            return [at * step for at in range(int(self.high / step) + 1)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        every = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        return [value for value in every if self.low * 0.999 <= value <= self.high * 1.001]


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least)


def _grid(horizontal: _Axis, marked: Sequence[float], vertical: _Axis) -> Iterator[Html]:
    for value in vertical.ticks():
        y = f"{vertical.at(value):.1f}"
        yield element("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y)
        yield element("text", f"{value:g}", x=_LEFT - 6, y=y, dy=4, text_anchor="end")
    for value in marked:
        x = f"{horizontal.at(value):.1f}"
        yield element("text", f"{value:g}", x=x, y=_HEIGHT - _BOTTOM + 16, text_anchor="middle")


def _picture(title: str, height: float, children: Sequence[Html]) -> str:
    return (
        element(
            "svg",
            element("title", title),
            Html(f"<style>{_STYLE}</style>"),
            element("text", title, class_="head", x=8, y=18),
            *children,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {_WIDTH} {height:g}",
            role="img",
        )
        + "\n"
    )
