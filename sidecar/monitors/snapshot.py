"""What the monitors say at one moment; immutable, for metrics, status page and reports."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from sidecar.monitors.episodes import DriftEpisode, EpisodeCount

Subject = Literal["feature", "score", "confidence", "label"]
Method = Literal[
    "psi", "psi_excess", "js", "hellinger", "chi_square", "ks", "wasserstein", "l_infinity"
]
ReferenceKind = Literal["overall", "seasonal"]
CalibrationOrigin = Literal["bundle", "learned", "none"]


class DriftScore(Struct, frozen=True):
    """One measure of the difference between the window and the reference."""

    method: Method
    """`psi`: population stability index, in nats; `psi_excess`: the same without its mean under
    no drift, below 0 by chance; `js`: Jensen-Shannon distance, base 2; `hellinger`: Hellinger
    distance; `chi_square`: the statistic of the two-sample test. Of numbers alone, `ks`:
    Kolmogorov-Smirnov distance, and `wasserstein`: Wasserstein distance over the standard
    deviation of the reference. Of categories alone, `l_infinity`: the largest change of a
    share."""
    value: float
    critical: float | None
    """What `value` passes by chance at the configured false discovery rate, for this many
    records of this overdispersion; None for `wasserstein` and `l_infinity`."""

    @property
    def exceeded(self) -> bool:
        """Whether chance alone is no good explanation."""
        return self.critical is not None and self.value > self.critical


def score_of(scores: Iterable[DriftScore], method: Method) -> DriftScore | None:
    """Give the score of a method; None where there is none."""
    return next((score for score in scores if score.method == method), None)


class SubjectDrift(Struct, frozen=True, kw_only=True):
    """One feature, or the score, confidence or label, over one window."""

    name: str
    """The feature's name, or the subject itself."""
    subject: Subject
    records: int
    """Records of the window that were counted for it."""
    overdispersion: float
    """How many times as far as independent events clean windows lie from the reference; 1
    while that is not known."""
    scores: tuple[DriftScore, ...]
    """Empty while the window holds too few records: it is insufficient."""
    p_warning: float | None
    """Chance of an index this large while the true one is `drift.warning_delta`; None without
    a verdict."""
    p_critical: float | None
    """The same for `drift.delta`."""
    missing_ratio: float
    unseen_ratio: float
    """Share in a category that the reference never had; 0 for numbers."""
    out_of_range_ratio: float
    """Share below the smallest or above the largest value of the reference; 0 for
    categories."""
    reference_missing_ratio: float
    bins: tuple[str, ...]
    """Names of the bins that `reference` and `current` count, for pictures."""
    reference: tuple[float, ...]
    """Share of the reference in each bin."""
    current: tuple[float, ...]
    """Share of the window in each bin."""

    def score(self, method: Method) -> DriftScore | None:
        """Give the score of a method; None without a verdict, and where there is none."""
        return score_of(self.scores, method)

    @property
    def severity(self) -> float:
        """The population stability index over its critical value; 0 without a verdict."""
        psi = self.score("psi")
        return psi.value / psi.critical if psi is not None and psi.critical else 0.0

    @property
    def drifting(self) -> bool:
        """Whether the population stability index is past its critical value."""
        return self.severity > 1.0


class WindowSnapshot(Struct, frozen=True, kw_only=True):
    """All subjects over one rolling window."""

    window: str
    """Its length as the config writes it: `5m`."""
    length_ms: int
    start_ms: int
    end_ms: int
    """Event time, exclusive: the end of the pane of the newest event."""
    records: int
    ready: bool
    """Whether the window holds `monitors.min_records`; without them there is no verdict."""
    reference: ReferenceKind
    """What it is compared with: all reference rows, or those of its hours of the week."""
    calibration: CalibrationOrigin
    """Where the overdispersion of its length comes from; `none`: it is not known, and critical
    values are those of independent events."""
    calibration_windows: int
    """How many windows it was measured on."""
    decisions: dict[str, int]
    """Decisions of the window by source."""
    subjects: tuple[SubjectDrift, ...]


class MonitorSnapshot(Struct, frozen=True, kw_only=True):
    """All windows, shortest first."""

    windows: tuple[WindowSnapshot, ...]
    newest_event_time_ms: int | None
    """None before the first event."""
    late: int
    """Events that came too late for any window, since the start."""
    future: int
    """Events whose time was ahead of their record and was capped, since the start."""
    episodes: tuple[DriftEpisode, ...] = ()
    """Drift that has begun and not ended, by the windows at the last turn of a pane."""
    episodes_begun: tuple[EpisodeCount, ...] = ()
    signals_lost: int = 0
    """Begins and ends of episodes that nobody is told of, because too many waited."""
