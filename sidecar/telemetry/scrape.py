"""Series that are read at each scrape, so that what is gone has none.

A partition that left must not keep its last lag for ever, and a window without a verdict must
not keep its last score.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric

from sidecar.monitors.snapshot import MonitorSnapshot, SubjectDrift
from sidecar.telemetry import catalogue
from sidecar.telemetry.series import Labels, family
from sidecar.telemetry.status import PartitionView

Rows = list[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class Readings:
    """Where the scrape asks. Called from the event loop, must not block."""

    partitions: Callable[[], Sequence[PartitionView]]
    monitors: Callable[[], MonitorSnapshot | None]
    ready: Callable[[], bool]


def partition_families(topic: str, views: Iterable[PartitionView]) -> Iterator[Metric]:
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
    yield family(catalogue.IN_FLIGHT, in_flight)
    yield family(catalogue.LAG_RECORDS, records)
    yield family(catalogue.LAG_SECONDS, seconds)


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
    yield from _share_families(shown)


def _score_families(
    score: catalogue.Spec,
    critical: catalogue.Spec,
    subjects: Sequence[tuple[str, SubjectDrift]],
) -> Iterator[Metric]:
    values: Rows = []
    limits: Rows = []
    for window, subject in subjects:
        for drift in subject.scores:
            labels = (subject.name, window, drift.method)
            values.append((labels, drift.value))
            limits.append((labels, drift.critical))
    yield family(score, values)
    yield family(critical, limits)


def _share_families(features: Sequence[tuple[str, SubjectDrift]]) -> Iterator[Metric]:
    # A window without records has no shares; 0 would say that all is well.
    counted = [((s.name, window), s) for window, s in features if s.records]
    reference = {(s.name,): s.reference_missing_ratio for _, s in features}
    yield family(catalogue.MISSING_RATIO, [(at, s.missing_ratio) for at, s in counted])
    yield family(catalogue.UNSEEN_RATIO, [(at, s.unseen_ratio) for at, s in counted])
    yield family(
        catalogue.OUT_OF_RANGE_RATIO, [(at, s.out_of_range_ratio) for at, s in counted]
    )
    yield family(catalogue.REFERENCE_MISSING_RATIO, reference.items())
