"""How the drift numbers went: the windows at one instant of event time after another."""

from collections.abc import Callable

from msgspec import Struct

from sidecar.app.replay_episodes import Episode, EpisodeBook
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.snapshot import DriftScore, MonitorSnapshot, Subject, SubjectDrift

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
    start_ms: int
    """Event time; earlier than its length says where it grew."""
    records: int
    ready: bool
    decisions: dict[str, int]
    subjects: tuple[SubjectPoint, ...]


class TimelinePoint(Struct, frozen=True, kw_only=True):
    """All windows at one instant."""

    end_ms: int
    """Event time at which the windows end, Unix milliseconds."""
    windows: tuple[WindowPoint, ...]


class Peak(Struct, frozen=True, kw_only=True):
    """One subject over one window when it differed most, with its picture."""

    window: str
    end_ms: int
    """Event time at which that window ended, Unix milliseconds."""
    drift: SubjectDrift


class Timeline:
    """Notes the windows as event time goes on.

    It is told of each evaluation, which the monitor makes when event time leaves a pane, before
    the event that leaves it is counted; so the points do not depend on the size of batches. Of
    the evaluations in one step the first is a point. Without a step it is a pane at first; when
    there are too many points, it doubles. Peaks are looked for at each point that there ever
    was, and whenever an episode begins or ends; episodes are noted of every evaluation.
    """

    def __init__(self, drift: DriftMonitor, pane_ms: int, step_ms: int | None) -> None:
        """Begin without a point.

        Args:
            drift: Evaluates the windows, and tells of it from here on.
            pane_ms: Slice of event time by which windows move.
            step_ms: Event time between two points; None for as many as are good to look at.
        """
        self._drift = drift
        self._step = step_ms or pane_ms
        self._thins = step_ms is None
        self._points: dict[int, TimelinePoint] = {}
        self._end: tuple[TimelinePoint, ...] = ()
        self._peaks: dict[tuple[str, str, str], Peak] = {}
        self._book = EpisodeBook()
        drift.evaluated = self._note

    def close(self) -> MonitorSnapshot:
        """Note the windows at the end of the replay, and give them.

        They hold the events of the last pane too, which is not over and is not judged.
        """
        snapshot = self._drift.snapshot()
        if snapshot.newest_event_time_ms is not None:
            self._end = (_point(snapshot),)
            self._raise_peaks(snapshot)
        return snapshot

    def points(self) -> tuple[TimelinePoint, ...]:
        """Give the points in order, the end too."""
        return (*self._points.values(), *self._end)

    def peaks(self) -> tuple[Peak, ...]:
        """Give each subject over each window when its index was the most critical values high.

        A subject that never had a verdict has no peak.
        """
        return tuple(self._peaks.values())

    def episodes(self) -> tuple[Episode, ...]:
        """Give when drift began and ended, the earliest first."""
        return self._book.episodes()

    def _note(self, end_ms: int, ask: Callable[[], MonitorSnapshot]) -> None:
        turned = self._book.note(end_ms, self._drift.alerts.episodes())
        is_point = end_ms // self._step not in self._points
        if turned or is_point:
            snapshot = ask()
            self._raise_peaks(snapshot)
            if is_point:
                self._points[end_ms // self._step] = _point(snapshot)
        if self._thins and len(self._points) > _MOST_POINTS:
            self._step *= 2
            kept: dict[int, TimelinePoint] = {}
            for each in self._points.values():
                kept.setdefault(each.end_ms // self._step, each)
            self._points = kept

    def _raise_peaks(self, snapshot: MonitorSnapshot) -> None:
        for window in snapshot.windows:
            for drift in window.subjects:
                key = window.window, drift.subject, drift.name
                highest = self._peaks.get(key)
                if drift.severity > (0.0 if highest is None else highest.drift.severity):
                    self._peaks[key] = Peak(
                        window=window.window, end_ms=window.end_ms, drift=drift
                    )


def _point(snapshot: MonitorSnapshot) -> TimelinePoint:
    return TimelinePoint(
        end_ms=max(window.end_ms for window in snapshot.windows),
        windows=tuple(
            WindowPoint(
                window=window.window,
                start_ms=window.start_ms,
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
