"""What a report says of one window, turned round: each subject with its way through time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.adapters.time_charts import TimeAxis, Values
from sidecar.app.replay_episodes import Episode
from sidecar.app.replay_report import ReplayReport
from sidecar.app.replay_timeline import Peak, SubjectPoint, WindowPoint
from sidecar.monitors.episodes import DATASET
from sidecar.monitors.snapshot import Method, Subject, SubjectDrift, WindowSnapshot, score_of

# Points that pictures show. A timeline that is not told its step has no more.
_MOST_POINTS = 200
_ORDER = ("critical", "warning", "drifted before", "past chance", "steady", "no verdict")


@dataclass(frozen=True, slots=True)
class Track:
    """One subject over one window, through time."""

    now: SubjectDrift
    """At the end."""
    peak: Peak | None
    """When it differed most; None without a verdict at any time."""
    points: Sequence[SubjectPoint]
    """One per instant of the window's view."""
    episodes: Sequence[Episode]

    @property
    def verdict(self) -> str:
        """What it does at the end, in a word or three."""
        active = {each.severity for each in self.episodes if each.ended_ms is None}
        if active:
            return "critical" if "critical" in active else "warning"
        if self.episodes:
            return "drifted before"
        if not self.now.scores:
            return "no verdict"
        return "past chance" if self.now.drifting else "steady"

    @property
    def drifts(self) -> bool:
        """Whether it does at the end."""
        return self.verdict in ("critical", "warning")

    @property
    def last_span(self) -> tuple[int, int | None] | None:
        """Give since and until when it drifted last, whatever the severity; None if never."""
        if not self.episodes:
            return None
        if self.drifts:
            active = [each.since_ms for each in self.episodes if each.ended_ms is None]
            return min(active), None
        last = max(self.episodes, key=lambda each: (each.ended_ms or 0, -each.since_ms))
        return last.since_ms, last.ended_ms

    @property
    def rank(self) -> tuple[int, float, str]:
        """What drifts stands first, then what did, then by how far past chance it was."""
        highest = self.peak.drift.severity if self.peak else 0.0
        return _ORDER.index(self.verdict), -max(self.now.severity, highest), self.now.name

    def values(self, method: Method) -> Values:
        """Give a score at each instant; None where there was no verdict."""
        found = (score_of(point.scores, method) for point in self.points)
        return [None if score is None else score.value for score in found]

    def limits(self, method: Method) -> Values:
        """Give the critical value of a score at each instant, likewise."""
        found = (score_of(point.scores, method) for point in self.points)
        return [None if score is None else score.critical for score in found]


@dataclass(frozen=True, slots=True)
class WindowView:
    """One window with the way of all its subjects."""

    key: str
    """What classes and anchors of the page call it."""
    now: WindowSnapshot
    axis: TimeAxis
    times_ms: Sequence[int]
    points: Sequence[WindowPoint]
    tracks: Sequence[Track]
    """The most telling first."""
    dataset: Sequence[Episode]
    """Of the data set as a whole."""

    @property
    def best_records(self) -> int:
        """Give the most records that the window held at any instant."""
        return max((point.records for point in self.points), default=0)

    @property
    def ever_ready(self) -> bool:
        """Whether there was a verdict at any instant."""
        return any(point.ready for point in self.points)


def window_views(report: ReplayReport) -> list[WindowView]:
    """Give all windows, shortest first; none when no event was decided."""
    if not report.timeline:
        return []
    stride = -(-len(report.timeline) // _MOST_POINTS)
    # From the end, so that the last one is there.
    shown = report.timeline[::-1][::stride][::-1]
    axis = TimeAxis(shown[0].end_ms - report.judgement.pane_ms, shown[-1].end_ms)
    peaks = {(p.window, p.drift.subject, p.drift.name): p for p in report.peaks}
    return [
        _view(
            at,
            now,
            axis,
            [point.end_ms for point in shown],
            [point.windows[at] for point in shown],
            peaks,
            report.episodes,
        )
        for at, now in enumerate(report.monitors.windows)
    ]


def chosen(views: Sequence[WindowView]) -> WindowView | None:
    """Give the window to show first: the most drift in it, then a verdict, then its length."""
    return max(
        views,
        key=lambda view: (
            sum(bool(track.episodes) for track in view.tracks),
            view.ever_ready,
            view.now.length_ms,
        ),
        default=None,
    )


def _view(
    at: int,
    now: WindowSnapshot,
    axis: TimeAxis,
    times_ms: Sequence[int],
    points: Sequence[WindowPoint],
    peaks: Mapping[tuple[str, Subject, str], Peak],
    episodes: Sequence[Episode],
) -> WindowView:
    tracks = [
        Track(
            now=drift,
            peak=peaks.get((now.window, drift.subject, drift.name)),
            points=[point.subjects[row] for point in points],
            episodes=[
                episode
                for episode in episodes
                if (episode.window, episode.subject, episode.name)
                == (now.window, drift.subject, drift.name)
            ],
        )
        for row, drift in enumerate(now.subjects)
    ]
    tracks.sort(key=lambda track: track.rank)
    dataset = [
        each for each in episodes if (each.window, each.subject) == (now.window, DATASET)
    ]
    return WindowView(f"w{at}", now, axis, times_ms, points, tracks, dataset)
