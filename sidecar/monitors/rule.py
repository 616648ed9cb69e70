"""The alert rule: from one evaluation of the windows after another to episodes of drift.

A pure fold. A subject is *rejected* when its records show, at the false discovery rate over all
subjects of the window, that its true population stability index is larger than the tolerance. A
subject that stays rejected for `hold` drifts: an episode begins. It ends when the excess stays
below half the tolerance for `resolve`. The data set drifts when enough of its features do.

Everything goes by the event time at which the evaluated windows end. What gives no verdict, a
window or a subject with too few records, changes nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from sidecar.config.settings import DriftSettings
from sidecar.events import DriftKind, Severity
from sidecar.monitors.episodes import DATASET, SEVERITIES, Evidence
from sidecar.stats.discovery import benjamini_hochberg

Turn = Literal["began", "ended"]


class Track(NamedTuple):
    """What an episode is of."""

    length_ms: int
    subject: DriftKind
    name: str
    severity: Severity


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far one subject of one window is from or in an episode of one severity."""

    track: Track
    since_ms: int
    """End of the first window in a row that was rejected; the episode counts from there."""
    began_ms: int | None = None
    """End of the window with which the episode began; None before that."""
    clear_since_ms: int | None = None
    """End of the first window in a row whose excess is small enough to end the episode."""
    evidence: Evidence | None = None
    """Of the beginning."""


class RuleState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the rule remembers; immutable."""

    end_ms: int | None = None
    """End of the windows of the last evaluation; None before the first."""
    progress: tuple[Progress, ...] = ()
    """Of what is rejected or drifts; the rest is at rest."""
    begun: dict[str, int] = {}
    """Episodes begun so far, by `<kind>/<length in ms>/<severity>`."""


class Verdict(NamedTuple):
    """What an evaluation says of one subject that has enough records."""

    subject: DriftKind
    name: str
    excess: float
    """Population stability index without its mean under no drift."""
    p: Mapping[Severity, float]
    """Chance of an index this large while the true one is no larger than the tolerance."""
    evidence: Callable[[Severity], Evidence]
    """Gives the numbers, where they are wanted."""


class WindowVerdicts(NamedTuple):
    """What an evaluation says of one window that has enough records."""

    length_ms: int
    subjects: Sequence[Verdict]
    features: Sequence[str]
    """All that are watched, those without a verdict too."""
    evidence: Evidence
    """Of the window as a whole."""


class Edge(Struct, frozen=True, kw_only=True):
    """An episode begins or ends."""

    turn: Turn
    track: Track
    at_ms: int
    """Event time: the end of the window that decided it."""
    since_ms: int
    """When what makes the episode was first seen."""
    evidence: Evidence


def episode_key(subject: DriftKind, length_ms: int, severity: Severity) -> str:
    """Give the key of `RuleState.begun`.

    Example:
        >>> episode_key("feature", 300_000, "critical")
        'feature/300000/critical'
    """
    return f"{subject}/{length_ms}/{severity}"


def tolerance(settings: DriftSettings, severity: Severity) -> float:
    """Give the population stability index that is tolerated before an alert of a severity."""
    return settings.delta if severity == "critical" else settings.warning_delta


def fold(
    state: RuleState,
    settings: DriftSettings,
    end_ms: int,
    windows: Sequence[WindowVerdicts],
) -> tuple[RuleState, tuple[Edge, ...]]:
    """Take one evaluation.

    Args:
        state: After the evaluations before it.
        settings: Tolerances and times.
        end_ms: Event time at which its windows end; one that was evaluated changes nothing.
        windows: Those that have a verdict.

    Returns:
        The state after it, and the episodes that began or ended with it.
    """
    if state.end_ms is not None and end_ms <= state.end_ms:
        return state, ()
    progress = {each.track: each for each in state.progress}
    edges: list[Edge] = []
    for window in windows:
        for severity in SEVERITIES:
            for track, verdict, rejected in _judged(window, settings, severity):
                small = verdict.excess < tolerance(settings, severity) / 2
                after = _step(progress.get(track), track, end_ms, settings, rejected, small)
                edges += _move(
                    progress, track, after, end_ms, partial(verdict.evidence, severity)
                )
        edges += _dataset(progress, settings, end_ms, window)
    begun = dict(state.begun)
    for edge in edges:
        if edge.turn == "began":
            length_ms, subject, _, severity = edge.track
            key = episode_key(subject, length_ms, severity)
            begun[key] = begun.get(key, 0) + 1
    after_all = RuleState(end_ms=end_ms, progress=tuple(progress.values()), begun=begun)
    return after_all, tuple(edges)


def active(state: RuleState) -> Iterator[Progress]:
    """Give the episodes that have begun and not ended."""
    return (each for each in state.progress if each.began_ms is not None)


def _judged(
    window: WindowVerdicts, settings: DriftSettings, severity: Severity
) -> Iterator[tuple[Track, Verdict, bool]]:
    """Give each subject with a verdict, and whether it is rejected."""
    p_values = np.array([each.p[severity] for each in window.subjects], np.float64)
    rejected = benjamini_hochberg(p_values, settings.false_discovery_rate).tolist()
    for verdict, is_rejected in zip(window.subjects, rejected, strict=True):
        track = Track(window.length_ms, verdict.subject, verdict.name, severity)
        yield track, verdict, is_rejected


def _step(
    before: Progress | None,
    track: Track,
    end_ms: int,
    settings: DriftSettings,
    rejected: bool,
    small: bool,
) -> Progress | None:
    """Give where a subject stands after a verdict; None is at rest."""
    if before is None or before.began_ms is None:
        if not rejected:
            return None
        now = before or Progress(track=track, since_ms=end_ms)
        lasted = end_ms - now.since_ms >= settings.hold.ms
        return replace(now, began_ms=end_ms) if lasted else now
    if not small:
        return replace(before, clear_since_ms=None)
    clear_since_ms = end_ms if before.clear_since_ms is None else before.clear_since_ms
    if end_ms - clear_since_ms >= settings.resolve.ms:
        return None
    return replace(before, clear_since_ms=clear_since_ms)


def _move(
    progress: dict[Track, Progress],
    track: Track,
    after: Progress | None,
    end_ms: int,
    evidence: Callable[[], Evidence],
) -> Iterator[Edge]:
    """Note where a subject stands, and give the edge that leads there."""
    before = progress.pop(track, None)
    was_active = before is not None and before.began_ms is not None
    if after is not None:
        if after.began_ms is not None and not was_active:
            shown = evidence()
            after = replace(after, evidence=shown)
            yield _edge("began", after, end_ms, shown)
        progress[track] = after
    elif before is not None and was_active:
        yield _edge("ended", before, end_ms, evidence())


def _edge(turn: Turn, progress: Progress, end_ms: int, evidence: Evidence) -> Edge:
    return Edge(
        turn=turn,
        track=progress.track,
        at_ms=end_ms,
        since_ms=progress.since_ms,
        evidence=evidence,
    )


def _dataset(
    progress: dict[Track, Progress],
    settings: DriftSettings,
    end_ms: int,
    window: WindowVerdicts,
) -> Iterator[Edge]:
    """Let the data set follow its features, which bring hold and hysteresis with them."""
    drifting = {
        name: since_ms
        for name in window.features
        if (since_ms := _drifts_since(progress, window.length_ms, name)) is not None
    }
    evidence = replace(
        window.evidence, features=tuple(drifting), features_watched=len(window.features)
    )
    enough: Mapping[Severity, bool] = {
        "warning": bool(drifting),
        "critical": bool(drifting)
        and len(drifting) >= settings.dataset_share * len(window.features),
    }
    for severity in SEVERITIES:
        track = Track(window.length_ms, DATASET, DATASET, severity)
        after = None
        if enough[severity]:
            since_ms = min(drifting.values())
            after = progress.get(track) or Progress(
                track=track, since_ms=since_ms, began_ms=end_ms
            )
        yield from _move(progress, track, after, end_ms, lambda: evidence)


def _drifts_since(progress: Mapping[Track, Progress], length_ms: int, name: str) -> int | None:
    """Give since when a feature drifts, whatever the severity; None when it does not."""
    found = (progress.get(Track(length_ms, "feature", name, each)) for each in SEVERITIES)
    since = [each.since_ms for each in found if each is not None and each.began_ms is not None]
    return min(since, default=None)
