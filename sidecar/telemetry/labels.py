"""The closed lists behind the labels, and the series that exist from the start."""

from collections.abc import Iterable, Sequence

from sidecar.events import REASON_NAMES, SOURCE_NAMES, Reason, RejectCode, Source, Stage
from sidecar.telemetry import catalogue
from sidecar.telemetry.series import Labels
from sidecar.telemetry.spec import Spec

STAGES = (
    "decode",
    "check",
    "vectorise",
    "score",
    "interpret",
    "decide",
    "encode",
    "send",
    "observe",
)
FALLBACKS = (Source.RULE, Source.CACHE, Source.DEFAULT)
_ANSWERS = ((Source.MODEL, Reason.CONFIDENT), (Source.UPSTREAM, Reason.UPSTREAM))
DECISION_PAIRS: tuple[tuple[Source, Reason], ...] = _ANSWERS + tuple(
    (source, reason) for source in FALLBACKS for reason in Reason if reason > Reason.UPSTREAM
)
REJECTION_PAIRS: tuple[tuple[Stage, RejectCode], ...] = (
    *((Stage.DECODE, code) for code in RejectCode if code is not RejectCode.OUTPUT_REFUSED),
    (Stage.SEND, RejectCode.OUTPUT_REFUSED),
)
MODEL_OUTCOMES = {
    Reason.CONFIDENT: "answered",
    Reason.MODEL_ERROR: "error",
    Reason.MODEL_TIMEOUT: "timeout",
}
PAUSE_REASONS = ("sink", "dead_letter_share", "registry")
LOOKUP_OUTCOMES = ("found", "unknown", "unavailable")
# Keep with the words of `adapters.kafka_client.reason_of` and of the sink's own errors; a word
# that is missing here counts as other.
REBUILD_REASONS = (
    "broker_unreachable",
    "timeout",
    "delivery_timeout",
    "no_leader",
    "not_enough_replicas",
    "sequence_lost",
    "topic_missing",
    "tls_failed",
    "authentication_failed",
    "not_authorised",
    "dead_letter_refused",
    "record_refused",
    "fenced",
    "client_failed",
)
SIGNAL_KINDS = ("drift_began", "drift_ended")
RESET_REASONS = ("config", "damaged", "topic", "missing")
OTHER = "other"
"""Takes what is on no list, so that no label can grow."""
SPAN_OUTCOMES = ("exported", "failed")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


def known_series(rules: Iterable[str], observers: Sequence[str]) -> dict[Spec, list[Labels]]:
    """Give the metrics that are told, each with the label values that are known at the start.

    Those without any have no series until they are told first: a 0 would be a lie.
    """
    plain: list[Labels] = [()]
    decisions: list[Labels] = [
        (SOURCE_NAMES[source], REASON_NAMES[reason]) for source, reason in DECISION_PAIRS
    ]
    rejections: list[Labels] = [(stage.value, code.value) for stage, code in REJECTION_PAIRS]
    return {
        catalogue.RECORDS_RECEIVED: plain,
        catalogue.RECORDS_REJECTED: rejections,
        catalogue.TOMBSTONES: plain,
        catalogue.RECORDS_JOINED: plain,
        catalogue.RECORDS_WAITING: plain,
        catalogue.RECORDS_RETURNED: plain,
        catalogue.BATCH_RECORDS: plain,
        catalogue.PAUSED: _each(PAUSE_REASONS),
        catalogue.DECISIONS: decisions,
        catalogue.RULE_DECISIONS: _each(rules),
        catalogue.EVENT_AGE: plain,
        catalogue.STAGE_DURATION: _each(STAGES),
        catalogue.LAST_DECISION: [],
        catalogue.LOOP_LAG: plain,
        catalogue.STARTUP: [],
        catalogue.ASSIGNED_PARTITIONS: plain,
        catalogue.REBALANCES: plain,
        catalogue.COMMITS: plain,
        catalogue.COMMIT_FAILURES: plain,
        catalogue.PRODUCER_REBUILDS: _each((*REBUILD_REASONS, OTHER)),
        catalogue.STATE_RECORDS: plain,
        catalogue.STATE_REFUSED: plain,
        catalogue.STATE_RESTORES: plain,
        catalogue.STATE_RESTORE_DURATION: [],
        catalogue.STATE_RESETS: _each(RESET_REASONS),
        catalogue.STATE_GAP: plain,
        catalogue.SIGNALS: _each(SIGNAL_KINDS),
        catalogue.SIGNAL_FAILURES: plain,
        catalogue.REGISTRY_LOOKUPS: _each(LOOKUP_OUTCOMES),
        catalogue.REGISTRY_SCHEMAS: plain,
        catalogue.MODEL_CALLS: _each(MODEL_OUTCOMES.values()),
        catalogue.CIRCUIT_OPEN: plain,
        catalogue.OBSERVER_ACTIVE: _each(observers),
        catalogue.OBSERVER_FAILURES: _each(observers),
        catalogue.LOG_MESSAGES: _each(LOG_LEVELS),
        catalogue.SPANS: _each(SPAN_OUTCOMES),
        catalogue.SCRAPE_DURATION: [],
    }


def _each(values: Iterable[str]) -> list[Labels]:
    return [(value,) for value in values]
