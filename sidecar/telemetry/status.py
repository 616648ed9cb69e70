"""What the process says about itself at one moment, and who is asked for it.

`StatusView` is the JSON of `/api/v1/status` and the source of the status page. Fields are
added, never renamed.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from sidecar.monitors.quality_snapshot import QualitySnapshot
from sidecar.monitors.snapshot import MonitorSnapshot
from sidecar.telemetry.decisions import DecisionsView
from sidecar.telemetry.history import HistoryView

StateName = Literal["starting", "ready", "degraded", "blocked", "draining", "stopped"]


class Cause(Struct, frozen=True):
    """One reason why the answer is no."""

    code: str
    """A short word of a closed list."""
    message: str
    """For people."""


class ProbeView(Struct, frozen=True):
    """The JSON that a probe answers with."""

    ok: bool
    reasons: tuple[Cause, ...]
    """Why not; empty when it is well."""


class Problem(Struct, frozen=True, kw_only=True):
    """Why a request is refused: problem details, RFC 9457."""

    type: str = "about:blank"
    title: str
    """Name of the status code."""
    status: int
    """The status code."""
    detail: str
    """What is wrong with this request, and how to mend it."""


class Verdict(NamedTuple):
    """The answer of a probe."""

    ok: bool
    causes: tuple[Cause, ...] = ()
    """Why not; empty when it is well."""


class Exposition(NamedTuple):
    """All metrics as they were, to be written as text."""

    write: Callable[[], bytes]
    """Writes them. It takes its time, and may be called in any thread."""
    content_type: str


class ModelView(Struct, frozen=True, kw_only=True):
    """The model that serves."""

    name: str
    version: str
    digest: str
    """sha256 of the model file, as far as it is shown."""
    task: str


class TopicsView(Struct, frozen=True, kw_only=True):
    """Names of the topics in use."""

    events: str
    decisions: str
    dead_letters: str


class PartitionView(Struct, frozen=True, kw_only=True):
    """One assigned partition. What is not known is None."""

    partition: int
    position: int | None
    """Next offset that is read."""
    end: int | None
    """Offset that the next record of the partition will get."""
    lag_records: int | None
    lag_seconds: float | None
    """Age of the last record read while more are waiting; 0 when none are."""
    in_flight: int
    """Records read and without an acknowledged outcome."""
    paused: bool
    restoring: bool = False
    """Its counts are still read from the state topic, so it hands out nothing yet."""


class Rates(Struct, frozen=True, kw_only=True):
    """What went through: over the last minute, and since the start."""

    records_per_second: float
    """Records settled, mean of the last ten seconds."""
    decisions: dict[str, int]
    """Of the last minute, by source; a source without any is left out."""
    decisions_total: dict[str, int]
    rejections: dict[str, int]
    """Of the last minute, by reject code."""
    rejections_total: dict[str, int]
    fallback_ratio: float | None
    """Share of rule, cache and default in the decisions of the last minute; None without
    any."""
    reject_ratio: float | None
    """Share of rejections in the records of the last minute; None without any."""


class StatusView(Struct, frozen=True, kw_only=True):
    """Everything that the status page shows. Instants are Unix milliseconds, UTC."""

    name: str
    version: str
    """Of this package."""
    state: StateName
    reasons: tuple[Cause, ...]
    """Why the state is no better; empty when ready."""
    since_ms: int
    """When the process started."""
    now_ms: int
    """When this was written."""
    model: ModelView
    group: str
    topics: TopicsView
    partitions: tuple[PartitionView, ...]
    rates: Rates
    last_decision_ms: int | None
    circuit_open: bool
    monitors: MonitorSnapshot | None
    """None before the monitors have seen anything, and when they are off."""
    quality: QualitySnapshot | None = None
    """Likewise."""

    @property
    def last_decision_age_s(self) -> float | None:
        """Seconds since the last acknowledged decision."""
        return _age_s(self.now_ms, self.last_decision_ms)

    @property
    def data_age_s(self) -> float | None:
        """Seconds since the newest event of the windows happened, by its own time."""
        newest_ms = None if self.monitors is None else self.monitors.newest_event_time_ms
        return _age_s(self.now_ms, newest_ms)

    @property
    def lag_records(self) -> int | None:
        """Records waiting in all assigned partitions; None when it is known of none."""
        return lag_records(self.partitions)

    @property
    def lag_seconds(self) -> float | None:
        """Lag of the partition that is furthest behind; None when it is known of none."""
        return lag_seconds(self.partitions)


def lag_records(partitions: Iterable[PartitionView]) -> int | None:
    """Give the records waiting in all of them; None when it is known of none."""
    known = [view.lag_records for view in partitions if view.lag_records is not None]
    return sum(known) if known else None


def lag_seconds(partitions: Iterable[PartitionView]) -> float | None:
    """Give the lag of the one that is furthest behind; None when it is known of none."""
    return max((v.lag_seconds for v in partitions if v.lag_seconds is not None), default=None)


def _age_s(now_ms: int, then_ms: int | None) -> float | None:
    return None if then_ms is None else max(0, now_ms - then_ms) / 1000


class Surface(Protocol):
    """What the HTTP listeners ask. Called from the event loop, must not block or raise."""

    def live(self) -> Verdict:
        """Say whether the process should be left running. Never depends on Kafka."""
        ...

    def ready(self) -> Verdict:
        """Say whether the process takes events, as far as the config lets that count."""
        ...

    def started(self) -> Verdict:
        """Say whether the start is over."""
        ...

    def status(self) -> StatusView:
        """Give the state of everything."""
        ...

    def history(self, since_ms: int) -> HistoryView:
        """Give the samples of the last hour that are younger than a moment."""
        ...

    def decisions(self) -> DecisionsView:
        """Give the last decisions, newest first."""
        ...

    def exposition(self, accept: str) -> Exposition:
        """Give the metrics.

        Args:
            accept: The request's `Accept` header; empty when it has none.
        """
        ...
