"""What the monitors say at one moment; immutable, for metrics, status page and reports."""

from typing import Literal

from msgspec import Struct

Subject = Literal["feature", "score", "confidence", "label"]
Method = Literal["psi", "js", "ks"]


class DriftScore(Struct, frozen=True):
    """One measure of the difference between the window and the reference."""

    method: Method
    """`psi`: population stability index (nats); `js`: Jensen-Shannon distance, base 2;
    `ks`: Kolmogorov-Smirnov distance, ordered subjects only."""
    value: float
    critical: float
    """What `value` passes by chance at the configured false discovery rate, for this many
    records."""

    @property
    def exceeded(self) -> bool:
        """Whether chance alone is no good explanation."""
        return self.value > self.critical


class SubjectDrift(Struct, frozen=True, kw_only=True):
    """One feature, or the score, confidence or label, over one window."""

    name: str
    """The feature's name, or the subject itself."""
    subject: Subject
    records: int
    """Records of the window that were counted for it."""
    scores: tuple[DriftScore, ...]
    """Empty while the window holds too few records."""
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

    @property
    def severity(self) -> float:
        """The population stability index over its critical value; 0 without a verdict."""
        return next((s.value / s.critical for s in self.scores if s.method == "psi"), 0.0)

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
