"""How records go through: Kafka, the model, what is refused, and the process itself."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.frame import framed
from tools.dashboards.limits import Limit, flag, limit
from tools.dashboards.parts import BAD, Panel, Query, lines, number, rows, states
from tools.dashboards.queries import ALL, grown, most, quantile, rate, total

_FLOW = (
    "sidecar_records_received_total",
    "sidecar_decisions_total",
    "sidecar_records_rejected_total",
    "sidecar_tombstones_total",
    "sidecar_records_joined_total",
    "sidecar_records_returned_total",
)


def delivery() -> Dashboard:
    """Give the dashboard."""
    return framed(
        "delivery",
        "Sidecar: delivery",
        "Where records are, where they wait, what is refused, and what the process needs.",
        {
            "Is everything accounted for": _accounts(),
            "Kafka": _kafka(),
            "Model and fallbacks": _model(),
            "State, signals and schemas": _topics(),
            "Process": _process(),
        },
    )


def _accounts() -> list[Panel]:
    return [
        number(
            "Not accounted for",
            "Received without an outcome and not in flight: 0, or records are lost unseen.",
            _unaccounted(),
            limits=[Limit(1.0, "red")],
            span=4,
        ),
        number(
            "In flight",
            "Records read and without an acknowledged outcome.",
            f"sum(sidecar_in_flight_records{{{ALL}}})",
            span=4,
        ),
        number(
            "Records that wait",
            "In the partitions that somebody reads.",
            f"sum(sidecar_consumer_lag_records{{{ALL}}})",
            limits=[limit("SidecarLagGrows", "(sidecar_consumer_lag_records)")],
            runbooks=["SidecarLagGrows"],
            span=4,
        ),
        number(
            "Since the last decision",
            "Of the replica that decided last.",
            f"time() - max(sidecar_last_decision_timestamp_seconds{{{ALL}}})",
            unit="s",
            runbooks=["SidecarStalled"],
            span=4,
        ),
        number(
            "Partitions",
            "That are assigned, of all replicas; fewer than the topic has is a gap.",
            f"sum(sidecar_assigned_partitions{{{ALL}}})",
            runbooks=["SidecarRestoreStuck"],
            span=4,
        ),
        number(
            "Paused",
            "Replicas that take no records.",
            f"sum(max by (job, instance) (sidecar_paused{{{ALL}}}))",
            limits=[flag("SidecarIntakePaused")],
            runbooks=["SidecarIntakePaused"],
            span=4,
        ),
        lines(
            "Where records go",
            "Per second.",
            Query(rate("sidecar_records_received_total", "job"), "{{job}} received"),
            Query(rate("sidecar_decisions_total", "job"), "{{job}} decided"),
            Query(rate("sidecar_records_rejected_total", "job"), "{{job}} refused"),
            Query(rate("sidecar_tombstones_total", "job"), "{{job}} tombstones"),
            Query(rate("sidecar_records_joined_total", "job"), "{{job}} joined"),
            Query(rate("sidecar_records_returned_total", "job"), "{{job}} given back"),
            unit="recps",
        ),
        lines(
            "Refused, by stage and reason",
            "Each is a dead letter; `sidecar dlq list` has them.",
            Query(
                f"{rate('sidecar_records_rejected_total', 'job', 'stage', 'reason')} > 0",
                "{{job}} {{stage}} {{reason}}",
            ),
            unit="recps",
            runbooks=["SidecarRejectedBudgetBurns", "SidecarRejectedBudgetBurnsSlowly"],
        ),
        lines(
            "In flight, by partition",
            "At `limits.in_flight_records` a partition is paused.",
            Query(
                total("sidecar_in_flight_records", "job", "partition"),
                "{{job}} {{partition}}",
            ),
            Query(total("sidecar_waiting_records", "job"), "{{job}} wait to be joined"),
        ),
    ]


def _unaccounted() -> str:
    """The books of each replica, which balance at any scrape; see `docs/metrics.md`."""
    received, *outcomes = (total(metric, "job", "instance") for metric in _FLOW)
    # No partition, no series of what is in flight.
    flight = total("sidecar_in_flight_records", "job", "instance")
    none = f"0 * {total('sidecar_ready', 'job', 'instance')}"
    return f"max(abs({' - '.join([received, *outcomes, f'({flight} or {none})'])}))"


def _kafka() -> list[Panel]:
    return [
        lines(
            "Records that wait, by partition",
            "One partition alone: its key is hot, or its replica is slow.",
            Query(
                most("sidecar_consumer_lag_records", "job", "partition"),
                "{{job}} {{partition}}",
            ),
            runbooks=["SidecarLagGrows", "SidecarStalled"],
        ),
        lines(
            "Behind, by partition",
            "Age of the last record read while more wait. Past the line time counts as late.",
            Query(
                most("sidecar_consumer_lag_seconds", "job", "partition"),
                "{{job}} {{partition}}",
            ),
            unit="s",
            limits=[limit("SidecarLagGrows", "(sidecar_consumer_lag_seconds)")],
            runbooks=["SidecarBehindBudgetBurns", "SidecarBehindBudgetBurnsSlowly"],
        ),
        states(
            "Intake paused",
            "Why no records are taken.",
            Query(
                most("sidecar_paused", "instance", "reason"),
                "{{instance}} {{reason}}",
            ),
            BAD,
            runbooks=["SidecarIntakePaused"],
        ),
        lines(
            "Committed",
            "Offsets per second, by partition; flat while records wait is a standstill.",
            Query(
                "sum by (job, partition) "
                f"(deriv(sidecar_committed_offset{{{ALL}}}[$__rate_interval]))",
                "{{job}} {{partition}}",
            ),
            unit="recps",
        ),
        lines(
            "Commits",
            "Tried, and refused or not answered; the next one makes good for it.",
            Query(rate("sidecar_commits_total", "job"), "{{job}} tried"),
            Query(rate("sidecar_commit_failures_total", "job"), "{{job}} failed"),
            unit="cps",
        ),
        lines(
            "Partitions by replica",
            "0: there are more replicas than partitions, or it is not in the group.",
            Query(total("sidecar_assigned_partitions", "instance"), "{{instance}}"),
            runbooks=["SidecarRestoreStuck"],
        ),
        lines(
            "Rebalances",
            "In five minutes. Again and again: a replica crashes, or lacks CPU.",
            Query(
                grown("sidecar_rebalances_total", "5m", "instance"),
                "{{instance}}",
            ),
            runbooks=["SidecarRestarts"],
        ),
        lines(
            "Producers thrown away",
            "In five minutes, by why a write failed; what was in flight is read again.",
            Query(
                grown("sidecar_producer_rebuilds_total", "5m", "job", "reason") + " > 0",
                "{{job}} {{reason}}",
            ),
            runbooks=["SidecarIntakePaused"],
        ),
        lines(
            "Batches",
            "Records in a batch; they grow with the load.",
            Query(quantile(0.5, "sidecar_batch_records", "job"), "{{job}} 50%"),
            Query(quantile(0.99, "sidecar_batch_records", "job"), "{{job}} 99%"),
        ),
    ]


def _model() -> list[Panel]:
    return [
        lines(
            "Runs of the model",
            "By how they ended; rows of one that failed go down the fallback chain.",
            Query(rate("sidecar_model_calls_total", "job", "outcome"), "{{job}} {{outcome}}"),
            unit="cps",
            runbooks=["SidecarCircuitOpen"],
        ),
        states(
            "Model left alone",
            "The circuit is open.",
            Query(most("sidecar_circuit_open", "instance"), "{{instance}}"),
            BAD,
            runbooks=["SidecarCircuitOpen"],
        ),
        lines(
            "Time of a batch by stage, 99 %",
            "`score` waits for the model, `send` for room in the buffers.",
            Query(quantile(0.99, "sidecar_stage_duration_seconds", "stage"), "{{stage}}"),
            unit="s",
        ),
        lines(
            "Decisions, by source and reason",
            "Who gave the answer, and why not the model.",
            Query(
                rate("sidecar_decisions_total", "source", "reason") + " > 0",
                "{{source}} {{reason}}",
            ),
            unit="recps",
            stacked=True,
            runbooks=["SidecarFallbackShare"],
        ),
        lines(
            "Fallback rules",
            "Decisions per second that each of them gave.",
            Query(rate("sidecar_rule_decisions_total", "job", "rule"), "{{job}} {{rule}}"),
            unit="recps",
            runbooks=["SidecarFallbackShare"],
        ),
        rows(
            "Models",
            "What serves.",
            Query(f"sidecar_model_info{{{ALL}}}"),
            hidden=["Value"],
            span=8,
        ),
    ]


def _topics() -> list[Panel]:
    return [
        lines(
            "State topic",
            "Records per second: stored, and refused for good, which a crash would lose.",
            Query(rate("sidecar_state_records_stored_total", "job"), "{{job}} stored"),
            Query(rate("sidecar_state_records_refused_total", "job"), "{{job}} refused"),
            unit="recps",
            runbooks=["SidecarStateRefused"],
        ),
        lines(
            "Counts that begin anew",
            "Partitions in an hour by reason, and offsets that no window holds.",
            Query(
                grown("sidecar_state_resets_total", "1h", "job", "reason"),
                "{{job}} {{reason}}",
            ),
            Query(
                grown("sidecar_state_gap_records_total", "1h", "job"),
                "{{job}} records in no window",
            ),
            runbooks=["SidecarStateReset"],
        ),
        lines(
            "Partitions that came",
            "How long the last share took to get ready; how many were taken over in an hour, "
            "and are not ready yet.",
            Query(
                most("sidecar_state_restore_duration_seconds", "instance"),
                "{{instance}} seconds",
            ),
            Query(most("sidecar_restoring_partitions", "instance"), "{{instance}} not ready"),
            Query(
                grown("sidecar_state_restores_total", "1h", "job"),
                "{{job}} taken over",
            ),
            runbooks=["SidecarRestoreStuck"],
        ),
        lines(
            "Signals of drift",
            "Written in an hour by kind, failures to write, and lost because too many waited.",
            Query(
                grown("sidecar_signals_total", "1h", "job", "kind"),
                "{{job}} {{kind}}",
            ),
            Query(
                grown("sidecar_signal_failures_total", "1h", "job"),
                "{{job}} failures",
            ),
            Query(
                f"max by (job) (increase(sidecar_signals_lost_total{{{ALL}}}[1h]))",
                "{{job}} lost",
            ),
            runbooks=["SidecarSignalsNotWritten"],
        ),
        lines(
            "Questions to the schema registry",
            "Still after a start; `unknown` is a producer with schemas of another registry.",
            Query(
                rate("sidecar_registry_lookups_total", "job", "outcome"), "{{job}} {{outcome}}"
            ),
            unit="cps",
        ),
        lines(
            "Schemas kept",
            "Those that the registry does not know, too.",
            Query(total("sidecar_registry_schemas", "instance"), "{{instance}}"),
        ),
    ]


def _process() -> list[Panel]:
    return [
        lines(
            "Event loop late by",
            "At most, in the last minute. Past the line heartbeats are at risk.",
            Query(f"sidecar_event_loop_lag_seconds{{{ALL}}}", "{{instance}}"),
            unit="s",
            limits=[limit("SidecarEventLoopLate", "sidecar_event_loop_lag_seconds")],
            runbooks=["SidecarEventLoopLate"],
        ),
        lines(
            "Processors in use",
            "1 is a whole one.",
            Query(
                f"rate(process_cpu_seconds_total{{{ALL}}}[$__rate_interval])"
                " and on (job, instance) sidecar_build_info",
                "{{instance}}",
            ),
            runbooks=["SidecarEventLoopLate"],
        ),
        lines(
            "Memory",
            "Resident.",
            Query(
                f"process_resident_memory_bytes{{{ALL}}}"
                " and on (job, instance) sidecar_build_info",
                "{{instance}}",
            ),
            unit="bytes",
        ),
        lines(
            "Starts",
            "In an hour, after the first.",
            Query(
                f"changes(process_start_time_seconds{{{ALL}}}[1h])"
                " and on (job, instance) sidecar_build_info",
                "{{instance}}",
            ),
            limits=[limit("SidecarRestarts", "(process_start_time_seconds[1h])")],
            runbooks=["SidecarRestarts"],
        ),
        lines(
            "Start and scrape",
            "From the start of the process to being ready, and the last collection of metrics.",
            Query(f"sidecar_startup_duration_seconds{{{ALL}}}", "{{instance}} start"),
            Query(f"sidecar_scrape_duration_seconds{{{ALL}}}", "{{instance}} scrape"),
            unit="s",
        ),
        lines(
            "Log lines and spans",
            "Per second. An error asks somebody to act. Spans that fail are lost: their "
            "collector is away.",
            Query(rate("sidecar_log_messages_total", "job", "level"), "{{job}} {{level}}"),
            Query(rate("sidecar_spans_total", "job", "outcome"), "{{job}} spans {{outcome}}"),
            unit="cps",
        ),
    ]
