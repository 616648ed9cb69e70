"""What the runtime tells about its work, once per batch, and how Prometheus reads it."""

import platform
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import NamedTuple

import numpy as np
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Exemplar

from sidecar import __version__
from sidecar.clock import Clock
from sidecar.events import (
    REASON_NAMES,
    SOURCE_NAMES,
    DecisionBatch,
    Float64Column,
    Reason,
    RecordBatch,
    Rejection,
)
from sidecar.telemetry import catalogue, labels
from sidecar.telemetry.history import Totals
from sidecar.telemetry.labels import known_series
from sidecar.telemetry.rates import MinuteTally, ratio
from sidecar.telemetry.scrape import (
    Readings,
    counted_family,
    monitor_families,
    partition_families,
)
from sidecar.telemetry.scrape_quality import quality_families
from sidecar.telemetry.series import Board, Labels, family
from sidecar.telemetry.spans import TraceIds
from sidecar.telemetry.status import Exposition, ModelView, Rates

TraceOf = Callable[[RecordBatch, int], TraceIds | None]
"""Gives the trace that a row of a batch is found in; None where none is kept."""

_LOOP_LAG_SPAN_S = 60.0
_DIGEST_CHARS = 12
_FALLBACK_NAMES = frozenset(SOURCE_NAMES[source] for source in labels.FALLBACKS)


class Metrics:
    """All numbers of the process, in a registry of its own.

    Every method is called from the event loop; `log_message` and `spans` alone may come from
    any thread.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        topic: str,
        model: ModelView,
        rules: Sequence[str] = (),
        observers: Sequence[str] = (),
        max_features: int = 100,
    ) -> None:
        """Make every series whose labels are known.

        Args:
            clock: For durations and rates.
            topic: Name of the events topic, a label of lag and offsets.
            model: The model that serves.
            rules: Names of the fallback rules.
            observers: Names of the observers.
            max_features: Most features that get drift series of their own.
        """
        self._clock = clock
        self._began_s = clock.monotonic()
        self._topic = topic
        self._model = model
        self._max_features = max_features
        self._readings: Readings | None = None
        self._trace_of: TraceOf | None = None
        self._committed: dict[int, int] = {}
        self._loop_lags: deque[tuple[float, float]] = deque()
        self._settled = MinuteTally()
        self._decided = MinuteTally()
        self._rejected = MinuteTally()
        self._lock = Lock()
        self._board = Board(known_series(rules, observers))
        for observer in observers:
            self._board.set(catalogue.OBSERVER_ACTIVE, 1, observer)
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def trace_by(self, trace_of: TraceOf) -> None:
        """Say how the trace of a record is found, for exemplars; there are none without."""
        self._trace_of = trace_of

    def read_from(self, readings: Readings) -> None:
        """Say where lag, windows and readiness are read at each scrape."""
        self._readings = readings

    # --- the flow, per batch ---------------------------------------------------------------

    def received(self, records: int, fresh: int) -> None:
        """Count a batch that was read.

        Args:
            records: All its records.
            fresh: Those that are not read again after a failure.
        """
        self._board.observe(catalogue.BATCH_RECORDS, records)
        self._board.count(catalogue.RECORDS_RECEIVED, by=fresh)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage of one batch, whether it succeeds or raises.

        Args:
            name: One of `labels.STAGES`.
        """
        began = self._clock.monotonic()
        try:
            yield
        finally:
            took = self._clock.monotonic() - began
            self._board.observe(catalogue.STAGE_DURATION, took, name)

    def settled(
        self,
        decisions: DecisionBatch,
        rejections: Sequence[Rejection],
        *,
        tombstones: int,
        now_ms: int,
        joined: int = 0,
    ) -> None:
        """Count what became of a batch whose outcome is acknowledged.

        Args:
            decisions: The acknowledged decisions.
            rejections: The acknowledged dead letters.
            tombstones: Records with a null value.
            now_ms: When it was acknowledged, Unix epoch.
            joined: Requests whose outcome is the decision of their response.
        """
        now_s = self._clock.monotonic()
        self._board.count(catalogue.TOMBSTONES, by=tombstones)
        self._board.count(catalogue.RECORDS_JOINED, by=joined)
        self._decided.add(now_s, self._count_decisions(decisions))
        self._rejected.add(now_s, self._count_rejections(rejections))
        self._settled.add(now_s, {"": len(decisions) + len(rejections) + tombstones + joined})
        if not len(decisions):
            return
        events = decisions.events
        age_ms = now_ms - events.records.timestamps_ms[events.rows]
        # Producers' clocks may be ahead of ours; a negative age would spoil the sum.
        ages_s = np.maximum(age_ms, 0) / 1000
        self._board.observe_column(catalogue.EVENT_AGE, ages_s)
        self._exemplify(decisions, ages_s, now_ms)
        self._board.set(catalogue.LAST_DECISION, now_ms / 1000)

    def _exemplify(self, decisions: DecisionBatch, ages_s: Float64Column, now_ms: int) -> None:
        """Name the trace of the oldest event of a batch: what is slow is what is asked for."""
        if self._trace_of is None:
            return
        oldest, events = int(ages_s.argmax()), decisions.events
        found = self._trace_of(events.records, int(events.rows[oldest]))
        if found is not None:
            age_s = float(ages_s[oldest])
            exemplar = Exemplar(found._asdict(), age_s, now_ms / 1000)
            self._board.exemplify(catalogue.EVENT_AGE, exemplar)

    def _count_decisions(self, decisions: DecisionBatch) -> dict[str, int]:
        """Count by source and reason, and by rule; give the counts by source."""
        width = len(REASON_NAMES)
        cells = np.bincount(decisions.source.astype(np.int64) * width + decisions.reason)
        by_source: Counter[str] = Counter()
        for cell in np.flatnonzero(cells).tolist():
            source, reason = SOURCE_NAMES[cell // width], REASON_NAMES[cell % width]
            self._board.count(catalogue.DECISIONS, source, reason, by=int(cells[cell]))
            by_source[source] += int(cells[cell])
        fired = np.bincount(decisions.rule[decisions.rule >= 0])
        for rule in np.flatnonzero(fired).tolist():
            name = decisions.rules[rule]
            self._board.count(catalogue.RULE_DECISIONS, name, by=int(fired[rule]))
        return by_source

    def _count_rejections(self, rejections: Sequence[Rejection]) -> dict[str, int]:
        """Count by stage and code; give the counts by code."""
        by_code: Counter[str] = Counter()
        pairs = Counter((rejection.stage, rejection.code) for rejection in rejections)
        for (stage, code), records in pairs.items():
            self._board.count(catalogue.RECORDS_REJECTED, stage.value, code.value, by=records)
            by_code[code.value] += records
        return by_code

    def waiting(self, records: int) -> None:
        """Say how many records wait for the one that they belong to."""
        self._board.set(catalogue.RECORDS_WAITING, records)

    def returned(self, records: int) -> None:
        """Count records that were given back without an outcome."""
        self._board.count(catalogue.RECORDS_RETURNED, by=records)

    def paused(self, reason: str, *, on: bool) -> None:
        """Say whether intake stands still for one of `labels.PAUSE_REASONS`."""
        self._board.set(catalogue.PAUSED, on, reason)

    # --- Kafka -----------------------------------------------------------------------------

    def rebalanced(self, partitions: int) -> None:
        """Count an assignment of so many partitions."""
        self._board.count(catalogue.REBALANCES)
        self._board.set(catalogue.ASSIGNED_PARTITIONS, partitions)

    def committed(self, offsets: Mapping[int, int]) -> None:
        """Count a commit that the broker took: the next offset to read, by partition."""
        self._board.count(catalogue.COMMITS)
        self._committed.update(offsets)

    def commit_failed(self) -> None:
        """Count a commit that was refused or not answered."""
        self._board.count(catalogue.COMMITS)
        self._board.count(catalogue.COMMIT_FAILURES)

    def producer_rebuilt(self, reason: str) -> None:
        """Count a producer that was thrown away; a reason on no list counts as other."""
        known = reason in labels.REBUILD_REASONS
        self._board.count(catalogue.PRODUCER_REBUILDS, reason if known else labels.OTHER)

    # --- state -----------------------------------------------------------------------------

    def state_stored(self, records: int) -> None:
        """Count records that were written to the state topic."""
        self._board.count(catalogue.STATE_RECORDS, by=records)

    def state_restored(self) -> None:
        """Count a partition that was taken over."""
        self._board.count(catalogue.STATE_RESTORES)

    def state_refused(self, records: int) -> None:
        """Count records that the state topic will never take."""
        self._board.count(catalogue.STATE_REFUSED, by=records)

    def state_reset(self, reason: str) -> None:
        """Count a partition that begins anew for one of `labels.RESET_REASONS`."""
        self._board.count(catalogue.STATE_RESETS, reason)

    def state_gap(self, records: int) -> None:
        """Count committed offsets that no window holds."""
        self._board.count(catalogue.STATE_GAP, by=records)

    def restored(self, seconds: float) -> None:
        """Note how long a share of partitions took to get ready."""
        self._board.set(catalogue.STATE_RESTORE_DURATION, seconds)

    # --- signals ---------------------------------------------------------------------------

    def signal_sent(self, kind: str) -> None:
        """Count a signal that was written, of one of `labels.SIGNAL_KINDS`."""
        self._board.count(catalogue.SIGNALS, kind)

    def signal_failed(self) -> None:
        """Count a signal that is lost."""
        self._board.count(catalogue.SIGNAL_FAILURES)

    # --- schema registry -------------------------------------------------------------------

    def registry_asked(self, outcome: str, kept: int) -> None:
        """Count a question to the registry.

        Args:
            outcome: One of `labels.LOOKUP_OUTCOMES`.
            kept: Schemas that are kept after it.
        """
        self._board.count(catalogue.REGISTRY_LOOKUPS, outcome)
        self._board.set(catalogue.REGISTRY_SCHEMAS, kept)

    # --- model, observers, process ---------------------------------------------------------

    def model_call(self, outcome: Reason) -> None:
        """Count a run of the model by how it ended.

        Args:
            outcome: `CONFIDENT` when it answered, `MODEL_ERROR` or `MODEL_TIMEOUT`.
        """
        self._board.count(catalogue.MODEL_CALLS, labels.MODEL_OUTCOMES[outcome])

    def circuit(self, *, is_open: bool) -> None:
        """Say whether the model is left alone."""
        self._board.set(catalogue.CIRCUIT_OPEN, is_open)

    def observer_failed(self, observer: str) -> None:
        """Count an observer that raised and was switched off."""
        self._board.count(catalogue.OBSERVER_FAILURES, observer)
        self._board.set(catalogue.OBSERVER_ACTIVE, 0, observer)

    def loop_lag(self, seconds: float) -> None:
        """Note by how much the event loop was late."""
        now_s = self._clock.monotonic()
        self._loop_lags.append((now_s, seconds))
        while self._loop_lags[0][0] < now_s - _LOOP_LAG_SPAN_S:
            self._loop_lags.popleft()
        worst = max(lag for _, lag in self._loop_lags)
        self._board.set(catalogue.LOOP_LAG, worst)

    def started(self) -> None:
        """Note that the start is over."""
        self._board.set(catalogue.STARTUP, self._clock.monotonic() - self._began_s)

    def log_message(self, level: str) -> None:
        """Count a line that was logged."""
        known = level in labels.LOG_LEVELS
        with self._lock:
            self._board.count(catalogue.LOG_MESSAGES, level if known else labels.OTHER)

    def spans(self, outcome: str, spans: int) -> None:
        """Count spans that had one of `labels.SPAN_OUTCOMES`."""
        with self._lock:
            self._board.count(catalogue.SPANS, outcome, by=spans)

    # --- reading ---------------------------------------------------------------------------

    def rates(self) -> Rates:
        """Give what went through, for the status page."""
        now_s = self._clock.monotonic()
        decisions, rejections = self._decided.minute(now_s), self._rejected.minute(now_s)
        fallbacks = sum(count for name, count in decisions.items() if name in _FALLBACK_NAMES)
        return Rates(
            records_per_second=self._settled.per_second(now_s, ""),
            decisions=decisions,
            decisions_total=self._board.totals(catalogue.DECISIONS, "source"),
            rejections=rejections,
            rejections_total=self._board.totals(catalogue.RECORDS_REJECTED, "reason"),
            fallback_ratio=ratio(fallbacks, sum(decisions.values())),
            reject_ratio=ratio(
                sum(rejections.values()), sum(self._settled.minute(now_s).values())
            ),
        )

    def totals(self) -> Totals:
        """Give what was counted since the start, for the history of the status page."""
        rejected = self._board.totals(catalogue.RECORDS_REJECTED, "reason")
        return Totals(
            decisions=self._board.totals(catalogue.DECISIONS, "source"),
            rejections=sum(rejected.values()),
            ages=self._board.buckets(catalogue.EVENT_AGE),
            age_bounds=catalogue.EVENT_AGE.buckets,
            loop_lag_seconds=self._board.value(catalogue.LOOP_LAG) or 0.0,
        )

    @property
    def last_decision_ms(self) -> int | None:
        """When the last decision was acknowledged, Unix epoch; None before the first."""
        seconds = self._board.value(catalogue.LAST_DECISION)
        return None if seconds is None else round(seconds * 1000)

    def exposition(self, accept: str) -> Exposition:
        """Collect all metrics, to be written as Prometheus or OpenMetrics text.

        Args:
            accept: The `Accept` header of the request.
        """
        encode, content_type = choose_encoder(accept)
        began = self._clock.monotonic()
        found = _Collected(tuple(self.registry.collect()))
        self._board.set(catalogue.SCRAPE_DURATION, self._clock.monotonic() - began)
        return Exposition(partial(encode, found), content_type)

    def describe(self) -> Iterator[Metric]:
        """Give every metric of the catalogue, for the registry to see that no name clashes."""
        known = known_series((), ())
        yield from Board(dict.fromkeys(known, ())).families()
        yield from (family(spec, ()) for spec in catalogue.CATALOGUE if spec not in known)

    def collect(self) -> Iterator[Metric]:
        """Give every metric as it is; called by the registry at each scrape."""
        yield from self._board.families()
        yield family(catalogue.MODEL_INFO, [(_model_labels(self._model), 1)])
        yield family(catalogue.BUILD_INFO, [((__version__, platform.python_version()), 1)])
        if self._readings is None:
            return
        views = self._readings.partitions()
        yield from partition_families(self._topic, views)
        yield self._committed_family({view.partition for view in views})
        yield family(catalogue.READY, [((), self._readings.ready())])
        snapshot = self._readings.monitors()
        if snapshot is not None:
            yield from monitor_families(snapshot, self._max_features)
            yield counted_family(self._readings.window_partitions())
        quality = self._readings.quality(snapshot)
        if quality is not None:
            yield from quality_families(quality, self._max_features)

    def _committed_family(self, assigned: set[int]) -> Metric:
        # What left must be forgotten, or it would come back with an old offset.
        self._committed = {p: at for p, at in self._committed.items() if p in assigned}
        rows = [((self._topic, str(p)), at) for p, at in self._committed.items()]
        return family(catalogue.COMMITTED_OFFSET, rows)


class _Collected(NamedTuple):
    """Metrics as they were, in the place of a registry."""

    families: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.families


def _model_labels(model: ModelView) -> Labels:
    return model.name, model.version, model.digest[:_DIGEST_CHARS], model.task
