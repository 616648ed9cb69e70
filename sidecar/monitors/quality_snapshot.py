"""What is said about data quality and answers at one moment; immutable."""

from typing import Literal

from msgspec import Struct

Check = Literal[
    "missing",
    "unseen",
    "out_of_range",
    "fault",
    "rejected",
    "stale",
    "duplicate",
    "fallback",
]


class QualityRatio(Struct, frozen=True, kw_only=True):
    """One share of a window, and the band that it should stay in."""

    check: Check
    """`missing`, `unseen`, `out_of_range`: events whose value of the feature is so. `fault`:
    records refused because of the feature. `rejected`: records refused for whatever reason.
    `stale`: events older than `monitors.quality.freshness` when their record was written.
    `duplicate`: events whose id was seen lately. `fallback`: events that were the model's to
    decide, and were decided by rule, cache or default."""
    feature: str = ""
    """Empty where it is about the whole record."""
    ratio: float
    records: int
    """What it is a share of."""
    expected: float | None
    """In the reference, or as `monitors.quality.usual` has it; None where nobody knows."""
    lower: float | None = None
    upper: float | None = None
    """Ends of the band, included; None with too few records, or with nothing expected."""

    @property
    def breached(self) -> bool:
        """Whether the share lies outside its band."""
        if self.lower is None or self.upper is None:
            return False
        return not self.lower <= self.ratio <= self.upper


class Freshness(Struct, frozen=True, kw_only=True):
    """How old events were when their records were written; the ends of cells 19 % long."""

    median_seconds: float
    p99_seconds: float


class DecisionShare(Struct, frozen=True, kw_only=True):
    """Decisions of one source for one reason."""

    source: str
    reason: str
    records: int
    ratio: float
    """Of all decisions of the window."""


class RuleShare(Struct, frozen=True, kw_only=True):
    """Decisions of one fallback rule."""

    rule: str
    records: int
    ratio: float
    """Of all decisions of the window."""


class Agreement(Struct, frozen=True, kw_only=True):
    """How often the model says what the upstream prediction said."""

    label: str
    """What upstream said: a label of the model's; empty for all together."""
    compared: int
    """Events that have both."""
    agreed: int

    @property
    def ratio(self) -> float | None:
        """Share of agreement; None with nothing to compare."""
        return self.agreed / self.compared if self.compared else None


class QualityWindow(Struct, frozen=True, kw_only=True):
    """All that is counted over one rolling window."""

    window: str
    """Its length as the config writes it: `5m`."""
    length_ms: int
    start_ms: int
    end_ms: int
    """Event time, exclusive; a refused record counts at the newest event before it."""
    records: int
    """Decided and refused ones."""
    ready: bool
    """Whether that is `monitors.min_records`; without them no band is left."""
    ratios: tuple[QualityRatio, ...]
    rejections: dict[str, int]
    """Refused records by code, without those that are 0."""
    faults: dict[str, dict[str, int]]
    """Refused records by the feature at fault and by code, without those that are 0."""
    freshness: Freshness | None
    """None without events."""
    decisions: tuple[DecisionShare, ...]
    """Without those that are 0."""
    rules: tuple[RuleShare, ...]
    """All rules of the config, in their order."""
    agreement: tuple[Agreement, ...]
    """All together first, then by label; empty unless `model.shadow` is on."""

    @property
    def breached(self) -> tuple[QualityRatio, ...]:
        """The shares outside their bands."""
        return tuple(ratio for ratio in self.ratios if ratio.breached)


class UnseenValue(Struct, frozen=True, kw_only=True):
    """A value that the reference never had."""

    value: str
    """As text, cut to 64 characters."""
    records: int
    """At least this many; see `UnseenValues.error`."""


class UnseenValues(Struct, frozen=True, kw_only=True):
    """What this process saw of a categorical feature that the reference never had.

    Of the running period and the one before; each is as long as the longest window.
    """

    feature: str
    records: int
    distinct: float
    """Estimate of how many different values that are; off by 3 % in two cases of three."""
    error: int
    """How many records a value may have beyond what is said of it."""
    top: tuple[UnseenValue, ...]
    """The most frequent ones, the most frequent first."""


class QualitySnapshot(Struct, frozen=True, kw_only=True):
    """All windows, shortest first, and what was unseen."""

    windows: tuple[QualityWindow, ...]
    unseen: tuple[UnseenValues, ...]
    """Of every categorical feature that is watched; of this process alone, since its start."""
