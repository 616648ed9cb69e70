"""Episodes of drift, and what they rest on; immutable, for snapshots, signals and storage."""

from typing import get_args

from msgspec import Struct

from sidecar.events import DriftKind, Severity

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
KINDS: tuple[DriftKind, ...] = get_args(DriftKind)
DATASET: DriftKind = "dataset"


class BinShare(Struct, frozen=True):
    """One bin of a picture."""

    name: str
    reference: float
    """Share of the reference."""
    current: float
    """Share of the window."""


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The numbers of one window when it was evaluated."""

    start_ms: int
    end_ms: int
    """Event time, exclusive."""
    records: int
    psi: float | None = None
    """Population stability index; none of the numbers are there for the data set."""
    psi_excess: float | None = None
    """The same without its mean under no drift."""
    critical: float | None = None
    """What `psi` passes by chance at the false discovery rate."""
    p: float | None = None
    """Chance of an index this large while the true one is no larger than the tolerance."""
    bins: tuple[BinShare, ...] = ()
    """The bins that differ most, the worst first."""
    features: tuple[str, ...] = ()
    """Of the data set: the features that drift."""
    features_watched: int | None = None
    """Of the data set: how many features are watched."""


class DriftEpisode(Struct, frozen=True, kw_only=True):
    """Drift that has begun and not ended."""

    window: str
    """Length of the window as the config writes it: `5m`."""
    subject: DriftKind
    name: str
    """The feature's name, or the subject itself."""
    severity: Severity
    since_ms: int
    """Event time since when it is past its tolerance."""
    began_ms: int
    """Event time at which it had lasted long enough."""
    evidence: Evidence
    """Of its beginning."""


class EpisodeCount(Struct, frozen=True, kw_only=True):
    """How many episodes have begun since the rule began."""

    window: str
    subject: DriftKind
    severity: Severity
    count: int
