"""How the drift numbers went: the windows at one instant of event time after another."""

from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct

from sidecar.events import DecisionBatch, Int64Column, Rejection
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.snapshot import DriftScore, MonitorSnapshot, Subject, SubjectDrift
from sidecar.runtime.observers import Observers

_MOST_POINTS = 200


class SubjectPoint(Struct, frozen=True, kw_only=True):
    """One subject over one window, without its picture."""

    name: str
    subject: Subject
    records: int
    scores: tuple[DriftScore, ...]
    missing_ratio: float
    unseen_ratio: float
    out_of_range_ratio: float


class WindowPoint(Struct, frozen=True, kw_only=True):
    """One window at one instant."""

    window: str
    records: int
    ready: bool
    decisions: dict[str, int]
    subjects: tuple[SubjectPoint, ...]


class TimelinePoint(Struct, frozen=True, kw_only=True):
    """All windows at one instant."""

    end_ms: int
    """Event time at which the windows end, Unix milliseconds."""
    windows: tuple[WindowPoint, ...]


class Timeline:
    """Shows decided batches to the observers, and notes the windows as event time goes on.

    A point is noted whenever the newest event time passes a multiple of the step, before the
    event that passes it is counted. So a batch is cut where that happens, and the points do not
    depend on the size of batches. Without a step there is one per pane at first; when there
    are too many, every other one goes and the step doubles.
    """

    def __init__(
        self, drift: DriftMonitor, observers: Observers, pane_ms: int, step_ms: int | None
    ) -> None:
        """Begin without a point.

        Args:
            drift: Where the windows are read.
            observers: All that watch, the drift monitor too.
            pane_ms: Slice of event time by which windows move.
            step_ms: Event time between two points; None for as many as are good to look at.
        """
        self._drift = drift
        self._observers = observers
        self._step = step_ms or pane_ms
        self._thins = step_ms is None
        self._points: list[TimelinePoint] = []
        self._newest: dict[int, int] = {}
        self._now: int | None = None

    def observe(self, decisions: DecisionBatch, rejections: Sequence[Rejection]) -> None:
        """Show a batch to the observers, a step at a time."""
        for part in self._parts(decisions):
            self._observers.settled(part, rejections)
            rejections = ()

    def points(self) -> tuple[TimelinePoint, ...]:
        """Give all points; the last is the end."""
        if self._now is not None:
            self._note()
        return tuple(self._points)

    def _parts(self, decisions: DecisionBatch) -> Iterator[DecisionBatch]:
        steps = self._steps(decisions)
        if not len(steps):
            yield decisions
        for step in np.unique(steps).tolist():
            rows = np.flatnonzero(steps == step)
            self._pass(int(decisions.events.event_time_ms[rows].max()))
            yield decisions if len(rows) == len(decisions) else decisions.take(rows)

    def _steps(self, decisions: DecisionBatch) -> Int64Column:
        """Say of each event how far its partition has come with it."""
        newest = decisions.events.event_time_ms.copy()
        for span in decisions.events.spans():
            own = newest[span.start : span.stop]
            own[:] = np.maximum.accumulate(own)
            np.maximum(own, self._newest.get(span.partition, own[0]), out=own)
            self._newest[span.partition] = int(own[-1])
        begun = newest.min(initial=0) if self._now is None else self._now
        return np.maximum(newest, begun) // self._step

    def _pass(self, time_ms: int) -> None:
        """Note the windows when this event time is in a later step than all before."""
        if self._now is not None and time_ms // self._step > self._now // self._step:
            self._note()
        self._now = time_ms if self._now is None else max(time_ms, self._now)

    def _note(self) -> None:
        self._points.append(_point(self._drift.snapshot()))
        if self._thins and len(self._points) > _MOST_POINTS:
            self._step *= 2
            # Of the points in one step the last one stays.
            last = {(point.end_ms - 1) // self._step: point for point in self._points}
            self._points = list(last.values())


def _point(snapshot: MonitorSnapshot) -> TimelinePoint:
    return TimelinePoint(
        end_ms=max(window.end_ms for window in snapshot.windows),
        windows=tuple(
            WindowPoint(
                window=window.window,
                records=window.records,
                ready=window.ready,
                decisions=window.decisions,
                subjects=tuple(map(_subject, window.subjects)),
            )
            for window in snapshot.windows
        ),
    )


def _subject(drift: SubjectDrift) -> SubjectPoint:
    return SubjectPoint(
        name=drift.name,
        subject=drift.subject,
        records=drift.records,
        scores=drift.scores,
        missing_ratio=drift.missing_ratio,
        unseen_ratio=drift.unseen_ratio,
        out_of_range_ratio=drift.out_of_range_ratio,
    )
