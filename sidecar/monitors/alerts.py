"""What the alert rule remembers in this process, and what it has to say."""

from collections.abc import Callable, Collection, Sequence
from functools import cache, partial
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from sidecar.config.settings import MonitorSettings
from sidecar.config.values import Duration
from sidecar.events import DriftKind, Severity
from sidecar.monitors.calibration import Calibration
from sidecar.monitors.compare import Comparison
from sidecar.monitors.episodes import (
    DATASET,
    KINDS,
    SEVERITIES,
    BinShare,
    DriftEpisode,
    EpisodeCount,
    Evidence,
)
from sidecar.monitors.rule import (
    Edge,
    RuleState,
    Track,
    Verdict,
    WindowVerdicts,
    active,
    episode_key,
    fold,
)
from sidecar.monitors.snapshot import SubjectDrift
from sidecar.monitors.windows import Window

SPEAKER = 0
"""The input partition whose owner speaks for all: it is there in every topic."""

_MOST_BINS = 5
# Of a topic that is away for long the oldest are lost; but never of one evaluation.
_MOST_UNTOLD = 200


Drifts = Callable[[], Sequence[Sequence[SubjectDrift]]]
"""Gives all statistics, by window and subject."""


class Compared(NamedTuple):
    """One evaluation."""

    windows: Sequence[Window]
    calibrations: Sequence[Calibration]
    """One for each."""
    comparison: Comparison
    """Of them all."""


class LearnedFactors(Struct, frozen=True):
    """The overdispersion of windows of one length, as live windows showed it."""

    length_ms: int
    windows: int
    """How many it was measured on."""
    factors: tuple[float, ...]
    """One per subject, in the order of the reference."""


class KnownState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rule's state as processes hand it to each other."""

    era: int = 0
    """Counts how often the rule began anew; event time may go back with it."""
    rule: RuleState = RuleState()
    untold: tuple[Edge, ...] = ()
    """What began or ended and is not told yet, in order."""
    lost: int = 0
    """How much of that was dropped, because too much waited."""
    first_ms: int | None = None
    """Event time from which on live windows are looked at, to learn how they differ."""
    learned: tuple[LearnedFactors, ...] = ()
    """What they showed, where the bundle does not know it. Once learned it stays."""

    @property
    def age(self) -> tuple[int, int]:
        """What is greater for a later state."""
        end_ms = self.rule.end_ms
        return self.era, -1 if end_ms is None else end_ms


class DriftAlerts:
    """Folds evaluations where this process speaks for the fleet, and follows where not.

    One process speaks: the one that has input partition 0. All others show its state.
    """

    def __init__(
        self, settings: MonitorSettings, subjects: Collection[tuple[DriftKind, str]]
    ) -> None:
        """Begin at rest.

        Args:
            settings: The windows, and the rule.
            subjects: What is watched in each window: what it is, and its name.
        """
        self._settings = settings
        lengths_ms = self._lengths = tuple(length.ms for length in settings.windows)
        self._tracks = frozenset(
            Track(length_ms, kind, name, severity)
            for length_ms in lengths_ms
            for kind, name in (*subjects, (DATASET, DATASET))
            for severity in SEVERITIES
        )
        self._most_untold = max(_MOST_UNTOLD, 2 * len(self._tracks))
        self.speaks: Callable[[], bool] = lambda: True
        """Tells whether this process speaks; it does when nobody else can."""
        self.state = KnownState()
        self._stored: KnownState | None = self.state

    @property
    def changed(self) -> bool:
        """Whether the state is not stored as it is."""
        return self.state is not self._stored

    def judges(self, end_ms: int) -> bool:
        """Tell whether an evaluation of windows that end there is to be taken here."""
        last_ms = self.state.rule.end_ms
        return self.speaks() and (last_ms is None or end_ms > last_ms)

    def take(self, end_ms: int, compared: Compared) -> None:
        """Take an evaluation.

        Windows of whose length it is not known how they differ with nothing drifting give no
        verdict: with dependent events nearly all of them would be past their tolerance.

        Args:
            end_ms: Event time at which the windows end.
            compared: All windows beside the reference.
        """
        windows, calibrations, comparison = compared
        drifts = cache(comparison.drifts)  # most evaluations need none of it
        verdicts = [
            _verdicts(windows[at], comparison, at, drifts)
            for at, calibration in enumerate(calibrations)
            if calibration.origin != "none"
            and windows[at].records >= self._settings.min_records
        ]
        rule, edges = fold(self.state.rule, self._settings.drift, end_ms, verdicts)
        untold = (*self.state.untold, *edges)
        most = self._most_untold
        lost = self.state.lost + max(0, len(untold) - most)
        self.state = replace(self.state, rule=rule, untold=untold[-most:], lost=lost)

    def watch_from(self, first_ms: int) -> None:
        """Note where learning begins."""
        self.state = replace(self.state, first_ms=first_ms)

    def learn(self, found: Sequence[LearnedFactors]) -> None:
        """Keep what live windows showed."""
        self.state = replace(self.state, learned=(*self.state.learned, *found))

    # --- reading -----------------------------------------------------------------------------

    def episodes(self) -> tuple[DriftEpisode, ...]:
        """Give the episodes that have begun and not ended."""
        return tuple(
            DriftEpisode(
                window=str(Duration(each.track.length_ms)),
                subject=each.track.subject,
                name=each.track.name,
                severity=each.track.severity,
                since_ms=each.since_ms,
                began_ms=each.began_ms,
                evidence=each.evidence,
            )
            for each in active(self.state.rule)
            if each.began_ms is not None and each.evidence is not None
        )

    def counts(self) -> tuple[EpisodeCount, ...]:
        """Give how many episodes have begun, of every kind that there is."""
        kinds = {track.subject for track in self._tracks}
        return tuple(
            EpisodeCount(
                window=str(Duration(length_ms)),
                subject=kind,
                severity=severity,
                count=self.state.rule.begun.get(episode_key(kind, length_ms, severity), 0),
            )
            for length_ms in self._lengths
            for kind in KINDS
            for severity in SEVERITIES
            if kind in kinds
        )

    # --- storing -----------------------------------------------------------------------------

    def due(self, *, kept: bool) -> tuple[Edge, ...]:
        """Give what is to be told by this process.

        Args:
            kept: Whether states are stored; then only what is stored is told.
        """
        if not self.speaks():
            return ()
        known = () if self._stored is None else self._stored.untold
        return tuple(edge for edge in self.state.untold if not kept or edge in known)

    def told(self, edges: Collection[Edge]) -> None:
        """Note that edges are written, or will never be."""
        untold = tuple(edge for edge in self.state.untold if edge not in edges)
        if untold != self.state.untold:
            self.state = replace(self.state, untold=untold)

    def stored(self, state: KnownState) -> None:
        """Note that a state of ours is written."""
        self._stored = state

    def overwritten(self) -> None:
        """Note that somebody else wrote where ours stood."""
        self._stored = None

    def follow(self, state: KnownState) -> None:
        """Take the state of another process, if it is no older than what is known."""
        if state.age >= self.state.age:
            progress = tuple(p for p in state.rule.progress if p.track in self._tracks)
            self.state = replace(state, rule=replace(state.rule, progress=progress))
            self._stored = self.state

    def forget(self) -> None:
        """Drop what is known; what is stored comes again."""
        self.state = KnownState()
        self._stored = self.state

    def begin_anew(self) -> None:
        """Begin at rest, in place of all that was ever stored."""
        self.state = KnownState(era=self.state.era + 1)


def _verdicts(
    window: Window, comparison: Comparison, row: int, drifts: Drifts
) -> WindowVerdicts:
    """Give what a window says, of the subjects that have enough records."""
    subjects = comparison.reference.subjects
    columns = zip(
        comparison.ready[row].tolist(),
        comparison.psi_excess[row].tolist(),
        comparison.p_warning[row].tolist(),
        comparison.p_critical[row].tolist(),
        strict=True,
    )
    return WindowVerdicts(
        length_ms=window.length_ms,
        subjects=[
            Verdict(
                subject=subjects[at].subject,
                name=subjects[at].name,
                excess=excess,
                p={"warning": p_warning, "critical": p_critical},
                evidence=partial(_evidence, window, drifts, row, at),
            )
            for at, (ready, excess, p_warning, p_critical) in enumerate(columns)
            if ready
        ],
        features=[each.name for each in subjects if each.subject == "feature"],
        evidence=Evidence(
            start_ms=window.start_ms, end_ms=window.end_ms, records=window.records
        ),
    )


def _evidence(
    window: Window, drifts: Drifts, row: int, at: int, severity: Severity
) -> Evidence:
    drift = drifts()[row][at]
    values = {score.method: score for score in drift.scores}
    shares = map(BinShare, drift.bins, drift.reference, drift.current)
    worst = sorted(shares, key=lambda each: -abs(each.current - each.reference))
    return Evidence(
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        records=drift.records,
        psi=values["psi"].value,
        psi_excess=values["psi_excess"].value,
        critical=values["psi"].critical,
        p=drift.p_critical if severity == "critical" else drift.p_warning,
        bins=tuple(worst[:_MOST_BINS]),
    )
