"""When did which drift begin? Reads the report of a replay.

    python timeline.py REPORT [WINDOW]

Prints, for the shortest window or the one that is named, each subject whose population
stability index was past its critical value at two or more points in a row: since when, and how
far at most. One point alone may be chance.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple


class Run(NamedTuple):
    """Points in a row at which a subject was past its critical value."""

    begin_ms: int
    points: int
    most: float
    """Largest index over its critical value."""


def main(report: str, window: str = "") -> None:
    """Print the runs of every subject, in the order in which they began."""
    timeline = json.loads(Path(report).read_text(encoding="utf-8"))["timeline"]
    windows = [each["window"] for each in timeline[-1]["windows"]] if timeline else []
    window = window or next(iter(windows), "")
    if window not in windows:
        sys.exit(f"no window {window or 'at all'} in {report}; there are: {', '.join(windows)}")
    found = [
        (run, name)
        for name, points in sorted(severities(timeline, window).items())
        for run in runs(points)
        if run.points > 1
    ]
    print(f"{'since':<18}{'points':>7}{'at most':>9}  what, over {window}")
    for run, name in sorted(found):
        begin = datetime.fromtimestamp(run.begin_ms / 1000, UTC)
        print(f"{begin:%Y-%m-%d %H:%M}  {run.points:>7}{run.most:>8.1f}x  {name}")


def severities(
    timeline: Iterable[dict[str, Any]], window: str
) -> dict[str, list[tuple[int, float]]]:
    """Give for each subject the instants, and how often its critical value it reached there."""
    found: dict[str, list[tuple[int, float]]] = {}
    for point in timeline:
        for each in point["windows"]:
            if each["window"] == window:
                for subject in each["subjects"]:
                    found.setdefault(subject["name"], []).append(
                        (point["end_ms"], severity(subject["scores"]))
                    )
    return found


def severity(scores: Iterable[dict[str, Any]]) -> float:
    """Give the index over its critical value; 0 while the window holds too few records."""
    return next((s["value"] / s["critical"] for s in scores if s["method"] == "psi"), 0.0)


def runs(points: Iterable[tuple[int, float]]) -> Iterator[Run]:
    """Cut the points where the subject comes back under its critical value."""
    run: Run | None = None
    for instant, value in points:
        if value > 1:
            run = run or Run(instant, 0, 0.0)
            run = Run(run.begin_ms, run.points + 1, max(run.most, value))
        elif run:
            yield run
            run = None
    if run:
        yield run


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
