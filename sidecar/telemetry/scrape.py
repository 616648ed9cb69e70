"""Series that are read at each scrape, so that what is gone has none.

A partition that left must not keep its last lag for ever, and a window without a verdict must
not keep its last score.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, log10

from prometheus_client.core import Metric

from sidecar.monitors.episodes import DATASET, SEVERITIES
from sidecar.monitors.quality_snapshot import QualitySnapshot
from sidecar.monitors.snapshot import Method, MonitorSnapshot, SubjectDrift
from sidecar.telemetry import catalogue
from sidecar.telemetry.series import Labels, family
from sidecar.telemetry.spec import Spec
from sidecar.telemetry.status import PartitionView

Rows = list[tuple[Labels, float]]

_MOST_SIGNIFICANT = 300.0
EXPORTED: tuple[Method, ...] = ("psi", "psi_excess", "js", "ks", "wasserstein", "l_infinity")
"""Methods that have series. `hellinger` and `chi_square` rank windows as `psi` does, and are in
the status API alone."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Where the scrape asks. Called from the event loop, must not block."""

    partitions: Callable[[], Sequence[PartitionView]]
    monitors: Callable[[], MonitorSnapshot | None]
    ready: Callable[[], bool]
    window_partitions: Callable[[], Sequence[bool]]
    """Of each input partition in the windows: whether it is counted by this process."""
    quality: Callable[[MonitorSnapshot | None], QualitySnapshot | None] = lambda _drift: None
    """Given what the drift monitor says."""


def partition_families(topic: str, views: Sequence[PartitionView]) -> Iterator[Metric]:
    """Give the series of the assigned partitions; an unknown number has none."""
    records: Rows = []
    seconds: Rows = []
    in_flight: Rows = []
    for view in views:
        partition = str(view.partition)
        in_flight.append(((partition,), view.in_flight))
        if view.lag_records is not None:
            records.append(((topic, partition), view.lag_records))
        if view.lag_seconds is not None:
            seconds.append(((topic, partition), view.lag_seconds))
    yield family(catalogue.RESTORING, [((), sum(view.restoring for view in views))])
    yield family(catalogue.IN_FLIGHT, in_flight)
    yield family(catalogue.LAG_RECORDS, records)
    yield family(catalogue.LAG_SECONDS, seconds)


def counted_family(ours: Sequence[bool]) -> Metric:
    """Give the number of partitions in the windows, by who counts them."""
    own = sum(ours)
    rows: Rows = [(("own",), own), (("followed",), len(ours) - own)]
    return family(catalogue.WINDOW_PARTITIONS, rows)


def monitor_families(snapshot: MonitorSnapshot, max_features: int) -> Iterator[Metric]:
    """Give the series of all windows.

    Args:
        snapshot: What the monitors say.
        max_features: Most features that get series of their own. They are the first ones of
            the model's signature, not the worst ones: series that come and go with the data
            cannot be alerted on.
    """
    windows = snapshot.windows
    yield family(catalogue.MONITOR_READY, [((w.window,), w.ready) for w in windows])
    yield family(catalogue.WINDOW_RECORDS, [((w.window,), w.records) for w in windows])
    yield family(
        catalogue.WINDOW_END, [((w.window,), w.end_ms / 1000) for w in windows if w.end_ms]
    )
    yield family(
        catalogue.WINDOW_SPAN,
        [((w.window,), (w.end_ms - w.start_ms) / 1000) for w in windows if w.end_ms],
    )
    calibrated: Rows = [((w.window,), w.calibration != "none") for w in windows]
    yield family(catalogue.CALIBRATED, calibrated)
    yield family(catalogue.LATE_EVENTS, [((), snapshot.late)])
    yield family(catalogue.FUTURE_EVENTS, [((), snapshot.future)])
    features = [(w.window, s) for w in windows for s in w.subjects if s.subject == "feature"]
    answers = [(w.window, s) for w in windows for s in w.subjects if s.subject != "feature"]
    drifting: Rows = [
        ((w.window,), sum(s.subject == "feature" and s.drifting for s in w.subjects))
        for w in windows
    ]
    yield family(catalogue.DRIFTING_FEATURES, drifting)
    names = list(dict.fromkeys(subject.name for _, subject in features))
    exported = set(names[:max_features])
    yield family(catalogue.UNEXPORTED_FEATURES, [((), len(names) - len(exported))])
    shown = [(window, subject) for window, subject in features if subject.name in exported]
    yield from _score_families(catalogue.DRIFT_SCORE, catalogue.DRIFT_CRITICAL, shown)
    yield from _score_families(
        catalogue.PREDICTION_DRIFT_SCORE, catalogue.PREDICTION_DRIFT_CRITICAL, answers
    )
    counted: Rows = [((s.name, window), s.records) for window, s in answers]
    yield family(catalogue.PREDICTION_DRIFT_RECORDS, counted)
    yield from _active_families(snapshot, shown, answers)
    yield _significance_family(catalogue.DRIFT_SIGNIFICANCE, shown)
    yield _significance_family(catalogue.PREDICTION_DRIFT_SIGNIFICANCE, answers)


def _score_families(
    score: Spec,
    critical: Spec,
    subjects: Sequence[tuple[str, SubjectDrift]],
) -> Iterator[Metric]:
    values: Rows = []
    limits: Rows = []
    for window, subject in subjects:
        for drift in subject.scores:
            if drift.method not in EXPORTED:
                continue
            labels = (subject.name, window, drift.method)
            values.append((labels, drift.value))
            if drift.critical is not None:
                limits.append((labels, drift.critical))
    yield family(score, values)
    yield family(critical, limits)


def _active_families(
    snapshot: MonitorSnapshot,
    features: Sequence[tuple[str, SubjectDrift]],
    answers: Sequence[tuple[str, SubjectDrift]],
) -> Iterator[Metric]:
    active = {(e.window, e.subject, e.name, e.severity) for e in snapshot.episodes}

    def rows(subjects: Sequence[tuple[str, SubjectDrift]]) -> Rows:
        return [
            ((s.name, window, severity), (window, s.subject, s.name, severity) in active)
            for window, s in subjects
            for severity in SEVERITIES
        ]

    yield family(catalogue.DRIFT_ACTIVE, rows(features))
    yield family(catalogue.PREDICTION_DRIFT_ACTIVE, rows(answers))
    dataset: Rows = [
        ((w.window, severity), (w.window, DATASET, DATASET, severity) in active)
        for w in snapshot.windows
        for severity in SEVERITIES
    ]
    yield family(catalogue.DATASET_DRIFT_ACTIVE, dataset)
    begun = snapshot.episodes_begun
    yield family(
        catalogue.DRIFT_EPISODES,
        [((each.subject, each.window, each.severity), each.count) for each in begun],
    )
    yield family(catalogue.SIGNALS_LOST, [((), snapshot.signals_lost)])


def _significance_family(spec: Spec, subjects: Sequence[tuple[str, SubjectDrift]]) -> Metric:
    rows: Rows = [
        ((s.name, window, severity), min(-log10(p) if p else inf, _MOST_SIGNIFICANT))
        for window, s in subjects
        for severity, p in (("warning", s.p_warning), ("critical", s.p_critical))
        if p is not None
    ]
    return family(spec, rows)
