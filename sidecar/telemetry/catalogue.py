"""Every metric of the process, in one table.

The registry, `docs/metrics.md` and the tests are made from it. A name and its labels are a
promise: dashboards and alerts of other people hang on them.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Section(StrEnum):
    """Headings of the reference."""

    RECORDS = "Records"
    DECISIONS = "Decisions"
    TIME = "Time"
    KAFKA = "Kafka"
    MODEL = "Model"
    WINDOWS = "Windows and drift"
    PROCESS = "Process"


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """One metric. Equal to itself alone, so that it can be a key."""

    section: Section
    name: str
    """In full, as queries write it: with prefix, unit, and `_total` or `_info`."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    """Of the value, for people; empty for a plain flag or an offset."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, ascending, without infinity."""
    use: str = ""
    """What to do with it; only in the reference."""


# Each bound that a service level may ask for is a bucket of its own, so that no ratio has to
# be interpolated. The convention for messaging clients runs from 5 ms to 10 s; the stages of
# a batch also need bounds below, the age of an event bounds above.
_STAGE_BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_AGE_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(30.0, 60.0, 300.0, 900.0, 3600.0),
)
_BATCH_BUCKETS = tuple(float(4**power) for power in range(9))

# --- records -------------------------------------------------------------------------------

RECORDS_RECEIVED = Spec(
    Section.RECORDS,
    "sidecar_records_received_total",
    Kind.COUNTER,
    "Records read from the events topic. One that is read again after a failure counts once.",
    unit="records",
    use="Its `rate()` is the load.",
)
RECORDS_REJECTED = Spec(
    Section.RECORDS,
    "sidecar_records_rejected_total",
    Kind.COUNTER,
    "Records refused for good; each is an acknowledged dead letter.",
    labels=("stage", "reason"),
    unit="records",
    use="By `reason`: see what a producer sends wrongly. The dead letters are the records.",
)
TOMBSTONES = Spec(
    Section.RECORDS,
    "sidecar_tombstones_total",
    Kind.COUNTER,
    "Records with a null value: committed, without a decision.",
    unit="records",
)
RECORDS_RETURNED = Spec(
    Section.RECORDS,
    "sidecar_records_returned_total",
    Kind.COUNTER,
    "Records given back without an outcome because their partition left; its next owner "
    "reads them.",
    unit="records",
    use="A few at each rebalance are normal.",
)
IN_FLIGHT = Spec(
    Section.RECORDS,
    "sidecar_in_flight_records",
    Kind.GAUGE,
    "Records read and without an acknowledged outcome.",
    labels=("partition",),
    unit="records",
    use="At `limits.in_flight_records` the partition is paused.",
)
BATCH_RECORDS = Spec(
    Section.RECORDS,
    "sidecar_batch_records",
    Kind.HISTOGRAM,
    "Records in a batch, the unit of all stages.",
    unit="records",
    buckets=_BATCH_BUCKETS,
    use="Batches grow with the load by themselves.",
)
PAUSED = Spec(
    Section.RECORDS,
    "sidecar_paused",
    Kind.GAUGE,
    "1 while no records are taken for this reason. Nothing is lost, lag grows.",
    labels=("reason",),
    use="`dead_letter_share`: look at the dead letters; `sink`: at the brokers.",
)

# --- decisions -----------------------------------------------------------------------------

DECISIONS = Spec(
    Section.DECISIONS,
    "sidecar_decisions_total",
    Kind.COUNTER,
    "Acknowledged decisions by who gave the answer, and why.",
    labels=("source", "reason"),
    unit="decisions",
    use="The share of `rule`, `cache` and `default` is the fallback share.",
)
RULE_DECISIONS = Spec(
    Section.DECISIONS,
    "sidecar_rule_decisions_total",
    Kind.COUNTER,
    "Acknowledged decisions that a fallback rule gave.",
    labels=("rule",),
    unit="decisions",
    use="A rule that stays at 0 may be dead, or stand behind one that always holds.",
)

# --- time ----------------------------------------------------------------------------------

EVENT_AGE = Spec(
    Section.TIME,
    "sidecar_event_age_seconds",
    Kind.HISTOGRAM,
    "Age of each event when its decision was acknowledged: now minus its Kafka timestamp.",
    unit="seconds",
    buckets=_AGE_BUCKETS,
    use="The latency to promise. Every event counts, not one per batch.",
)
STAGE_DURATION = Spec(
    Section.TIME,
    "sidecar_stage_duration_seconds",
    Kind.HISTOGRAM,
    "Time of one stage for one batch. `score` waits for the model, `send` for room in the "
    "buffers.",
    labels=("stage",),
    unit="seconds",
    buckets=_STAGE_BUCKETS,
)
LAST_DECISION = Spec(
    Section.TIME,
    "sidecar_last_decision_timestamp_seconds",
    Kind.GAUGE,
    "Unix time of the last acknowledged decision; no series before the first.",
    unit="seconds",
    use="`time() - ...` together with lag above 0: it stands still.",
)
LOOP_LAG = Spec(
    Section.TIME,
    "sidecar_event_loop_lag_seconds",
    Kind.GAUGE,
    "By how much the event loop was late, at most, in the last minute.",
    unit="seconds",
    use="Past 1 s heartbeats are at risk: the CPU limit is too tight.",
)
STARTUP = Spec(
    Section.TIME,
    "sidecar_startup_duration_seconds",
    Kind.GAUGE,
    "Time from the start of the process to being ready; no series before.",
    unit="seconds",
)

# --- Kafka ---------------------------------------------------------------------------------

LAG_RECORDS = Spec(
    Section.KAFKA,
    "sidecar_consumer_lag_records",
    Kind.GAUGE,
    "Records of an assigned partition that are there and not read yet.",
    labels=("topic", "partition"),
    unit="records",
    use="A partition that nobody owns has no series: let the brokers' exporter watch that.",
)
LAG_SECONDS = Spec(
    Section.KAFKA,
    "sidecar_consumer_lag_seconds",
    Kind.GAUGE,
    "Age of the last record read while more are waiting; 0 when none are; no series while "
    "unknown.",
    labels=("topic", "partition"),
    unit="seconds",
)
COMMITTED_OFFSET = Spec(
    Section.KAFKA,
    "sidecar_committed_offset",
    Kind.GAUGE,
    "Next offset to read after a restart, as last committed by this process.",
    labels=("topic", "partition"),
)
ASSIGNED_PARTITIONS = Spec(
    Section.KAFKA,
    "sidecar_assigned_partitions",
    Kind.GAUGE,
    "Partitions in the last assignment.",
    unit="partitions",
    use="0 on a replica: there are more replicas than partitions.",
)
REBALANCES = Spec(
    Section.KAFKA,
    "sidecar_rebalances_total",
    Kind.COUNTER,
    "Assignments received from the group.",
    unit="rebalances",
    use="A steady rate: some member fails its heartbeats again and again.",
)
COMMITS = Spec(
    Section.KAFKA,
    "sidecar_commits_total",
    Kind.COUNTER,
    "Offset commits tried.",
    unit="commits",
)
COMMIT_FAILURES = Spec(
    Section.KAFKA,
    "sidecar_commit_failures_total",
    Kind.COUNTER,
    "Offset commits refused or not answered. The next one makes good for it.",
    unit="commits",
)
PRODUCER_REBUILDS = Spec(
    Section.KAFKA,
    "sidecar_producer_rebuilds_total",
    Kind.COUNTER,
    "Producers thrown away because a write failed; what was in flight is read again.",
    labels=("reason",),
    unit="rebuilds",
)

# --- model ---------------------------------------------------------------------------------

MODEL_CALLS = Spec(
    Section.MODEL,
    "sidecar_model_calls_total",
    Kind.COUNTER,
    "Model runs by how they ended. Rows of a failed run go down the fallback chain.",
    labels=("outcome",),
    unit="calls",
)
CIRCUIT_OPEN = Spec(
    Section.MODEL,
    "sidecar_circuit_open",
    Kind.GAUGE,
    "1 while the model is left alone because it failed too often, and the fallbacks answer.",
)
MODEL_INFO = Spec(
    Section.MODEL,
    "sidecar_model_info",
    Kind.INFO,
    "The model that serves, with the first 12 characters of its sha256; always 1.",
    labels=("name", "version", "digest", "task"),
    use="Join it with `* on (instance) group_left (version)`.",
)

# --- windows and drift ---------------------------------------------------------------------

MONITOR_READY = Spec(
    Section.WINDOWS,
    "sidecar_monitor_ready",
    Kind.GAUGE,
    "1 when the window holds enough records for a verdict.",
    labels=("window",),
    use="While it is 0 there are no drift scores. Guard every drift alert with it.",
)
WINDOW_RECORDS = Spec(
    Section.WINDOWS,
    "sidecar_window_records",
    Kind.GAUGE,
    "Events in the window, of this process's partitions.",
    labels=("window",),
    unit="records",
)
WINDOW_END = Spec(
    Section.WINDOWS,
    "sidecar_window_end_timestamp_seconds",
    Kind.GAUGE,
    "Unix time at which the window ends, by the newest event's own time.",
    labels=("window",),
    unit="seconds",
    use="`time() - ...` is the age of all that is said about the window.",
)
DRIFT_SCORE = Spec(
    Section.WINDOWS,
    "sidecar_drift_score",
    Kind.GAUGE,
    "Difference between window and reference: psi = population stability index (nats), js = "
    "Jensen-Shannon distance (base 2, 0 to 1), ks = Kolmogorov-Smirnov distance (0 to 1).",
    labels=("feature", "window", "method"),
    use="Compare with `sidecar_drift_critical_value`, not with a number of your own. Each "
    "replica speaks for its own partitions.",
)
DRIFT_CRITICAL = Spec(
    Section.WINDOWS,
    "sidecar_drift_critical_value",
    Kind.GAUGE,
    "What the score passes by chance at the configured false discovery rate, for this many "
    "records. Same unit as the score.",
    labels=("feature", "window", "method"),
)
PREDICTION_DRIFT_SCORE = Spec(
    Section.WINDOWS,
    "sidecar_prediction_drift_score",
    Kind.GAUGE,
    "As sidecar_drift_score, of the answers: subject is score, confidence or label.",
    labels=("subject", "window", "method"),
)
PREDICTION_DRIFT_CRITICAL = Spec(
    Section.WINDOWS,
    "sidecar_prediction_drift_critical_value",
    Kind.GAUGE,
    "What the score of the answers passes by chance, for this many records.",
    labels=("subject", "window", "method"),
)
DRIFTING_FEATURES = Spec(
    Section.WINDOWS,
    "sidecar_drifting_features",
    Kind.GAUGE,
    "Features whose population stability index is past its critical value.",
    labels=("window",),
    unit="features",
    use="Many at once are mostly one fault upstream.",
)
MISSING_RATIO = Spec(
    Section.WINDOWS,
    "sidecar_feature_missing_ratio",
    Kind.GAUGE,
    "Share of the window's events without this feature.",
    labels=("feature", "window"),
    unit="ratio",
)
REFERENCE_MISSING_RATIO = Spec(
    Section.WINDOWS,
    "sidecar_feature_reference_missing_ratio",
    Kind.GAUGE,
    "Share of the reference rows without this feature.",
    labels=("feature",),
    unit="ratio",
)
UNSEEN_RATIO = Spec(
    Section.WINDOWS,
    "sidecar_feature_unseen_ratio",
    Kind.GAUGE,
    "Share of the window's events in a category that the reference never had.",
    labels=("feature", "window"),
    unit="ratio",
)
OUT_OF_RANGE_RATIO = Spec(
    Section.WINDOWS,
    "sidecar_feature_out_of_range_ratio",
    Kind.GAUGE,
    "Share of the window's events beyond the smallest or largest value of the reference.",
    labels=("feature", "window"),
    unit="ratio",
)
UNEXPORTED_FEATURES = Spec(
    Section.WINDOWS,
    "sidecar_unexported_features",
    Kind.GAUGE,
    "Watched features without series of their own, because there are too many. "
    "sidecar_drifting_features and the status page know them all.",
    unit="features",
)
LATE_EVENTS = Spec(
    Section.WINDOWS,
    "sidecar_late_events_total",
    Kind.COUNTER,
    "Events decided, but too late by their own time to be counted in any window.",
    unit="events",
    use="Raise `monitors.lateness` if they are right to be late.",
)
FUTURE_EVENTS = Spec(
    Section.WINDOWS,
    "sidecar_future_events_total",
    Kind.COUNTER,
    "Events whose time was ahead of their record's by more than is believed, and was capped.",
    unit="events",
    use="A producer's clock is wrong.",
)
OBSERVER_ACTIVE = Spec(
    Section.WINDOWS,
    "sidecar_observer_active",
    Kind.GAUGE,
    "1 while an observer watches; 0 after it raised. Decisions go on without it.",
    labels=("observer",),
    use="Restart to bring it back; the log says what it raised.",
)
OBSERVER_FAILURES = Spec(
    Section.WINDOWS,
    "sidecar_observer_failures_total",
    Kind.COUNTER,
    "Times that an observer raised and was switched off.",
    labels=("observer",),
    unit="failures",
)

# --- process -------------------------------------------------------------------------------

READY = Spec(
    Section.PROCESS,
    "sidecar_ready",
    Kind.GAUGE,
    "1 while /readyz answers 200.",
)
LOG_MESSAGES = Spec(
    Section.PROCESS,
    "sidecar_log_messages_total",
    Kind.COUNTER,
    "Lines logged, by level.",
    labels=("level",),
    unit="lines",
    use="An `error` asks somebody to act.",
)
SCRAPE_DURATION = Spec(
    Section.PROCESS,
    "sidecar_scrape_duration_seconds",
    Kind.GAUGE,
    "Time that the last collection of these metrics took; no series before the second.",
    unit="seconds",
    use="The event loop stands still meanwhile.",
)
BUILD_INFO = Spec(
    Section.PROCESS,
    "sidecar_build_info",
    Kind.INFO,
    "The version that runs; always 1.",
    labels=("version", "python"),
)

CATALOGUE: tuple[Spec, ...] = tuple(
    value for value in globals().values() if isinstance(value, Spec)
)
"""All of the above, in the order of this file."""
