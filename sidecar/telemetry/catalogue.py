"""Every metric of the process, in one table.

The registry, `docs/metrics.md` and the tests are made from it. A name and its labels are a
promise: dashboards and alerts of other people hang on them.
"""

from sidecar.telemetry.spec import Kind, Section, Spec

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
RECORDS_JOINED = Spec(
    Section.RECORDS,
    "sidecar_records_joined_total",
    Kind.COUNTER,
    "Requests of KServe's payload log that found their response, whose decision is theirs too.",
    unit="records",
)
RECORDS_WAITING = Spec(
    Section.RECORDS,
    "sidecar_waiting_records",
    Kind.GAUGE,
    "Requests and responses of KServe's payload log that wait for each other; in flight too.",
    unit="records",
    use="At `input.kserve.max_pending` the oldest becomes a dead letter.",
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
    use="`dead_letter_share`: look at the dead letters; `sink`: at the brokers; `registry`: at "
    "the schema registry.",
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
    use="The latency to promise. Every event counts, not one per batch. With traces, the "
    "exemplar of a bucket names the trace of an event in it.",
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

# --- schema registry -----------------------------------------------------------------------

REGISTRY_LOOKUPS = Spec(
    Section.REGISTRY,
    "sidecar_registry_lookups_total",
    Kind.COUNTER,
    "Questions to the schema registry by how they ended: found, unknown, unavailable.",
    labels=("outcome",),
    unit="questions",
    use="Still after a start: each schema is asked for once. A steady rate of `unknown` is a "
    "producer with schemas of another registry.",
)
REGISTRY_SCHEMAS = Spec(
    Section.REGISTRY,
    "sidecar_registry_schemas",
    Kind.GAUGE,
    "Schemas that are kept, those that the registry does not know included.",
    unit="schemas",
    use="At `registry.max_schemas` the least recently used are asked for again.",
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
    "Events in the window, of all partitions that are in it.",
    labels=("window",),
    unit="records",
)
WINDOW_SPAN = Spec(
    Section.WINDOWS,
    "sidecar_window_span_seconds",
    Kind.GAUGE,
    "Event time that the window really spans: longer than its name where it grew to hold "
    "`monitors.min_records`; no series before the first event.",
    labels=("window",),
    unit="seconds",
)
WINDOW_PARTITIONS = Spec(
    Section.WINDOWS,
    "sidecar_window_partitions",
    Kind.GAUGE,
    "Input partitions whose events are in the windows: counted by this process (own), or "
    "followed in the state topic (followed).",
    labels=("counted",),
    unit="partitions",
    use="The sum falls short of the topic's partitions: somebody counts with another config, "
    "or has stored nothing yet.",
)
STATE_RECORDS = Spec(
    Section.WINDOWS,
    "sidecar_state_records_stored_total",
    Kind.COUNTER,
    "Records written to the state topic.",
    unit="records",
)
STATE_REFUSED = Spec(
    Section.WINDOWS,
    "sidecar_state_records_refused_total",
    Kind.COUNTER,
    "Records that the state topic refused for good: what they say is lost with the process.",
    unit="records",
    use="Raise `max.message.bytes` of the topic.",
)
STATE_RESTORES = Spec(
    Section.WINDOWS,
    "sidecar_state_restores_total",
    Kind.COUNTER,
    "Partitions whose counts were taken over from the state topic.",
    unit="partitions",
)
RESTORING = Spec(
    Section.WINDOWS,
    "sidecar_restoring_partitions",
    Kind.GAUGE,
    "Assigned partitions that are not read yet: their counts come from the state topic first.",
    unit="partitions",
    use="Above 0 for fractions of a second when partitions come.",
)
STATE_RESTORE_DURATION = Spec(
    Section.WINDOWS,
    "sidecar_state_restore_duration_seconds",
    Kind.GAUGE,
    "How long the last share of partitions took to get ready; no series before the first.",
    unit="seconds",
)
STATE_RESETS = Spec(
    Section.WINDOWS,
    "sidecar_state_resets_total",
    Kind.COUNTER,
    "Partitions whose counts begin anew: what is stored counts something else (config), cannot "
    "be read (damaged), is of an events topic that was made anew (topic), or has no end "
    "(missing).",
    labels=("reason",),
    unit="partitions",
    use="`config` is normal after a change of bundle or panes. The windows fill up again.",
)
STATE_GAP = Spec(
    Section.WINDOWS,
    "sidecar_state_gap_records_total",
    Kind.COUNTER,
    "Offsets that were committed and are in no window, because the counts were not stored.",
    unit="records",
    use="Stays at 0 unless a monitor was switched off or offsets were moved by hand.",
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
    "Difference between window and reference: psi = population stability index (nats), "
    "psi_excess = the same without its mean under no drift, js = Jensen-Shannon distance (base "
    "2, 0 to 1); of numbers ks = Kolmogorov-Smirnov distance (0 to 1) and wasserstein = "
    "Wasserstein distance (in standard deviations of the reference); of categories l_infinity "
    "= largest change of a share.",
    labels=("feature", "window", "method"),
    use="Compare with `sidecar_drift_critical_value`, not with a number of your own. The "
    "sample size is `sidecar_window_records`: every feature counts all of them. Each replica "
    "shows all partitions, unless `monitors.state` is `memory`.",
)
DRIFT_CRITICAL = Spec(
    Section.WINDOWS,
    "sidecar_drift_critical_value",
    Kind.GAUGE,
    "What the score passes by chance at the configured false discovery rate, for this many "
    "records of this overdispersion. Same unit as the score; none for wasserstein and "
    "l_infinity.",
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
DRIFT_ACTIVE = Spec(
    Section.WINDOWS,
    "sidecar_drift_active",
    Kind.GAUGE,
    "1 while the feature drifts by the alert rule: it was past its tolerance for "
    "`monitors.drift.hold`. Severity is warning (`warning_delta`) or critical (`delta`).",
    labels=("feature", "window", "severity"),
    use="Alert on this one, with `max by (feature, window, severity)`: all replicas show what "
    "the owner of input partition 0 found. There from the start, so that nothing that ends "
    "looks like something that is gone.",
)
PREDICTION_DRIFT_ACTIVE = Spec(
    Section.WINDOWS,
    "sidecar_prediction_drift_active",
    Kind.GAUGE,
    "As sidecar_drift_active, of the answers: subject is score, confidence or label.",
    labels=("subject", "window", "severity"),
)
DATASET_DRIFT_ACTIVE = Spec(
    Section.WINDOWS,
    "sidecar_dataset_drift_active",
    Kind.GAUGE,
    "1 while the features drift together: any of them (warning), or a share of at least "
    "`monitors.drift.dataset_share` (critical).",
    labels=("window", "severity"),
)
DRIFT_SIGNIFICANCE = Spec(
    Section.WINDOWS,
    "sidecar_drift_significance",
    Kind.GAUGE,
    "Minus the decimal logarithm of the chance of such a window while the true population "
    "stability index of the feature is no larger than what is tolerated; at most 300.",
    labels=("feature", "window", "severity"),
    use="2 is 1 %. Says how sure the rule is; how large the drift is says the score.",
)
PREDICTION_DRIFT_SIGNIFICANCE = Spec(
    Section.WINDOWS,
    "sidecar_prediction_drift_significance",
    Kind.GAUGE,
    "As sidecar_drift_significance, of the answers: subject is score, confidence or label.",
    labels=("subject", "window", "severity"),
)
DRIFT_EPISODES = Spec(
    Section.WINDOWS,
    "sidecar_drift_episodes_total",
    Kind.COUNTER,
    "Episodes of drift that have begun, of the whole fleet and across restarts: subject is "
    "feature (any of them), score, confidence, label or dataset.",
    labels=("subject", "window", "severity"),
    unit="episodes",
    use="All replicas show the same number: use `max`, not `sum`.",
)
SIGNALS = Spec(
    Section.WINDOWS,
    "sidecar_signals_total",
    Kind.COUNTER,
    "Records written to the signals topic by this process.",
    labels=("kind",),
    unit="records",
)
SIGNAL_FAILURES = Spec(
    Section.WINDOWS,
    "sidecar_signal_failures_total",
    Kind.COUNTER,
    "Tries to write signals that failed: the topic is missing, away, or refuses them.",
    unit="failures",
    use="Run `sidecar check --connect`. Decisions do not wait for it; what is not told yet is "
    "kept and tried again.",
)
SIGNALS_LOST = Spec(
    Section.WINDOWS,
    "sidecar_signals_lost_total",
    Kind.COUNTER,
    "Begins and ends of episodes that were never told, because too many waited: 200, or "
    "twice what can drift; of the whole fleet and across restarts.",
    unit="signals",
    use="All replicas show the same number: use `max`, not `sum`. The metrics and the status "
    "API still show the episodes.",
)
PREDICTION_DRIFT_RECORDS = Spec(
    Section.WINDOWS,
    "sidecar_prediction_drift_records",
    Kind.GAUGE,
    "Sample size of the scores of the answers: events of the window that have a score, a "
    "confidence or a label to count.",
    labels=("subject", "window"),
    unit="records",
)
CALIBRATED = Spec(
    Section.WINDOWS,
    "sidecar_window_calibrated",
    Kind.GAUGE,
    "1 when it is known how much windows of this length differ while nothing drifts, from the "
    "bundle or learned; 0 when critical values are those of independent events.",
    labels=("window",),
    use="While it is 0, clean windows may pass their critical values, and the alert rule is "
    "not armed for them. Build the bundle with `--time` and `--windows`, or let the first day "
    "of events teach it.",
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

# --- data quality and answers --------------------------------------------------------------

QUALITY_RATIO = Spec(
    Section.QUALITY,
    "sidecar_quality_ratio",
    Kind.GAUGE,
    "Share of the window by check. With a feature: missing, unseen (in a category that the "
    "reference never had), out_of_range (beyond its numbers), fault (records refused because "
    "of it). Without: rejected, stale (older than monitors.quality.freshness), duplicate (an "
    "id seen lately), fallback (the model's to decide, and decided by rule, cache or default).",
    labels=("check", "feature", "window"),
    unit="ratio",
)
QUALITY_EXPECTED = Spec(
    Section.QUALITY,
    "sidecar_quality_expected_ratio",
    Kind.GAUGE,
    "The same share in the reference, or as monitors.quality.usual has it.",
    labels=("check", "feature"),
    unit="ratio",
)
QUALITY_LOWER = Spec(
    Section.QUALITY,
    "sidecar_quality_lower_bound_ratio",
    Kind.GAUGE,
    "Lower end of the band around the expected share, for this many records; no series where "
    "nothing or none is expected, or the window holds too few records.",
    labels=("check", "feature", "window"),
    unit="ratio",
)
QUALITY_UPPER = Spec(
    Section.QUALITY,
    "sidecar_quality_upper_bound_ratio",
    Kind.GAUGE,
    "Upper end of that band. All bands of a window are left by chance at "
    "monitors.drift.false_discovery_rate together.",
    labels=("check", "feature", "window"),
    unit="ratio",
)
QUALITY_BREACHED = Spec(
    Section.QUALITY,
    "sidecar_quality_breached",
    Kind.GAUGE,
    "1 while the share lies outside its band; 0 within it, and with too few records.",
    labels=("check", "feature", "window"),
    use="Alert on it; see `operations.md` for what to do by check.",
)
QUALITY_RECORDS = Spec(
    Section.QUALITY,
    "sidecar_quality_window_records",
    Kind.GAUGE,
    "Decided and refused records in the window, of all partitions that are in it.",
    labels=("window",),
    unit="records",
    use="Below `monitors.min_records` no band is left.",
)
REJECTED_RATIO = Spec(
    Section.QUALITY,
    "sidecar_rejected_ratio",
    Kind.GAUGE,
    "Share of the window's records that were refused, by code.",
    labels=("reason", "window"),
    unit="ratio",
)
FRESHNESS = Spec(
    Section.QUALITY,
    "sidecar_freshness_seconds",
    Kind.GAUGE,
    "Age of the window's events when their records were written: percentiles, up to 19 % too "
    "large. An event without a time of its own is as old as its record: 0.",
    labels=("percentile", "window"),
    unit="seconds",
    use="How late producers send; `sidecar_event_age_seconds` is how late they are answered.",
)
DECISION_RATIO = Spec(
    Section.QUALITY,
    "sidecar_decision_ratio",
    Kind.GAUGE,
    "Share of the window's decisions by who gave the answer, and why.",
    labels=("source", "reason", "window"),
    unit="ratio",
)
RULE_RATIO = Spec(
    Section.QUALITY,
    "sidecar_rule_ratio",
    Kind.GAUGE,
    "Share of the window's decisions that a fallback rule gave.",
    labels=("rule", "window"),
    unit="ratio",
)
AGREEMENT_RATIO = Spec(
    Section.QUALITY,
    "sidecar_upstream_agreement_ratio",
    Kind.GAUGE,
    "Share of the compared events on which the model says what the upstream prediction said, "
    "by what that said; an empty label is all of them.",
    labels=("label", "window"),
    unit="ratio",
    use="Only with `model.shadow`.",
)
COMPARED_RECORDS = Spec(
    Section.QUALITY,
    "sidecar_upstream_compared_records",
    Kind.GAUGE,
    "Events of the window that brought a prediction and that the model was asked about too.",
    labels=("label", "window"),
    unit="records",
)
UNSEEN_VALUES = Spec(
    Section.QUALITY,
    "sidecar_unseen_values",
    Kind.GAUGE,
    "Estimate of how many different values this process saw in the feature that the reference "
    "never had, over one to two of the longest windows.",
    labels=("feature",),
    unit="values",
    use="One is a new category, thousands are ids or free text. `/api/v1/status` names the "
    "most frequent ones.",
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
SPANS = Spec(
    Section.PROCESS,
    "sidecar_spans_total",
    Kind.COUNTER,
    "Spans by what became of them: exported to the collector, failed and lost.",
    labels=("outcome",),
    unit="spans",
    use="`failed` rises while the collector is away. Decisions do not wait for it.",
)
SCRAPE_DURATION = Spec(
    Section.PROCESS,
    "sidecar_scrape_duration_seconds",
    Kind.GAUGE,
    "Time that the last collection of these metrics took; no series before the second.",
    unit="seconds",
    use="The event loop stands still meanwhile; the text is written aside from it.",
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
