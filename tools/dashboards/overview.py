"""The first page for whoever was woken up: is it working, how late, what changed."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.frame import framed
from tools.dashboards.limits import Limit, flag, in_time, limit
from tools.dashboards.parts import BAD, GOOD, Panel, Query, State, lines, number, rows, states
from tools.dashboards.queries import ALL, JOB, most, quantile, rate, total

_FIRING = f'ALERTS{{alertname=~"Sidecar.+", alertstate="firing", {JOB}}}'
_ACCEPTED = 'slo:sli_error:ratio_rate1h{sloth_id="sidecar-accepted"'
_IN_TIME = 'slo:sli_error:ratio_rate{span}{{sloth_id="sidecar-in-time"}}'


def overview() -> Dashboard:
    """Give the dashboard."""
    return framed(
        "overview",
        "Sidecar: overview",
        "Is it working, how late is it, what changed. The rules of deploy/monitoring must run.",
        {
            "Is it working, how late is it, what changed": [*_numbers(), *_tables()],
            "Since when": _bands(),
            "Budgets of 30 days": _budgets(),
            "Load and answers": _load(),
        },
    )


def _numbers() -> list[Panel]:
    refused = limit("SidecarRejectedBudgetBurns", f"{_ACCEPTED}}}", product=True)
    share = "job:sidecar_fallback:ratio_rate30m"
    return [
        number(
            "Alerts that fire",
            "Of the rules that come with the sidecar; the table below names them.",
            f"count({_FIRING}) or vector(0)",
            limits=[Limit(1.0, "red")],
            runbooks=["README"],
        ),
        number(
            "Not ready",
            "Replicas that do not answer a scrape, or take no events.",
            f"count(up{{{JOB}}}) - (count(sidecar_ready{{{JOB}}} == 1) or vector(0))",
            limits=[flag("SidecarNotReady")],
            runbooks=["SidecarDown", "SidecarNotReady", "SidecarRestoreStuck"],
        ),
        number(
            "Behind",
            "Age of the last record read, of the partition that is furthest behind.",
            f"max(sidecar_consumer_lag_seconds{{{JOB}}})",
            unit="s",
            limits=[limit("SidecarLagGrows", "(sidecar_consumer_lag_seconds)")],
            runbooks=["SidecarLagGrows", "SidecarBehindBudgetBurns"],
        ),
        number(
            "Answered within, 99 %",
            "From the event's Kafka timestamp to its acknowledged decision.",
            quantile(0.99, "sidecar_event_age_seconds", where=JOB),
            unit="s",
            limits=[in_time()],
            runbooks=["SidecarLateBudgetBurns"],
        ),
        number(
            "Load",
            "Records read per second.",
            f"sum(rate(sidecar_records_received_total{{{JOB}}}[$__rate_interval]))",
            unit="recps",
        ),
        number(
            "Not the model's",
            "Share of the decisions of half an hour that came from rules, cache or default.",
            f"max({share}{{{JOB}}})",
            unit="percentunit",
            limits=[limit("SidecarFallbackShare", share)],
            runbooks=["SidecarFallbackShare", "SidecarCircuitOpen"],
        ),
        number(
            "Refused",
            "Share of the records of an hour that became dead letters.",
            f"max({_ACCEPTED}, {JOB}}})",
            unit="percentunit",
            limits=[refused],
            runbooks=["SidecarRejectedBudgetBurns"],
        ),
        number(
            "Drifting",
            "Features that drift critically, over any window.",
            f"sum({most('sidecar_drift_active', 'job', 'feature', where=_critical())})",
            limits=[flag("SidecarDrift")],
            runbooks=["SidecarDrift", "SidecarDatasetDrift"],
        ),
    ]


def _critical() -> str:
    return f'severity="critical", {JOB}'


def _tables() -> list[Panel]:
    model = f"sidecar_model_info{{{JOB}}}"
    # Both have a label `version`: that of the process becomes `sidecar`.
    build = f'label_replace(sidecar_build_info{{{JOB}}}, "sidecar", "$1", "version", "(.+)")'
    return [
        rows(
            "What fires",
            "Each links to its page. What Alertmanager keeps silent is here, too.",
            Query(_FIRING),
            hidden=["alertstate", "sloth_id", "sloth_service", "sloth_slo", "Value"],
            span=16,
        ),
        rows(
            "What runs",
            "Model and version of each replica; a change of it is the first suspect.",
            Query(f"{model} * on (job, instance) group_left (sidecar) {build}"),
            hidden=["Value", "task"],
            span=8,
        ),
    ]


def _bands() -> list[Panel]:
    return [
        states(
            "Alerts",
            "When each of them fired.",
            Query(f"max by (job, alertname) ({_FIRING})", "{{job}} {{alertname}}"),
            {1: State("fires", "red")},
            span=12,
        ),
        states(
            "Ready",
            "Whether a replica takes events; a gap is one that does not answer.",
            Query(most("sidecar_ready", "instance"), "{{instance}}"),
            GOOD,
            runbooks=["SidecarDown", "SidecarNotReady"],
            span=12,
        ),
        states(
            "Intake paused",
            "Records are not taken, and why; nothing is lost, lag grows.",
            Query(most("sidecar_paused", "instance", "reason"), "{{instance}} {{reason}}"),
            BAD,
            runbooks=["SidecarIntakePaused"],
            span=12,
        ),
        states(
            "Model left alone",
            "The circuit is open: the model failed too often, the fallbacks answer.",
            Query(most("sidecar_circuit_open", "instance"), "{{instance}}"),
            BAD,
            runbooks=["SidecarCircuitOpen"],
            span=12,
        ),
    ]


def _budgets() -> list[Panel]:
    kinds = ("Late", "Rejected", "Behind")
    return [
        lines(
            "How fast they burn, by the last hour",
            "1 lasts 30 days, 14.4 two. Above the line it pages, if five minutes agree.",
            Query(_burn("1h"), "{{job}} {{sloth_slo}}"),
            limits=[limit("SidecarLateBudgetBurns", _IN_TIME.format(span="1h"))],
            runbooks=[f"Sidecar{kind}BudgetBurns" for kind in kinds],
            span=12,
        ),
        lines(
            "How fast they burn, by the last day",
            "Above the line it is a ticket, if two hours agree.",
            Query(_burn("1d"), "{{job}} {{sloth_slo}}"),
            limits=[limit("SidecarLateBudgetBurnsSlowly", _IN_TIME.format(span="1d"))],
            runbooks=[f"Sidecar{kind}BudgetBurnsSlowly" for kind in kinds],
            span=12,
        ),
    ]


def _burn(span: str) -> str:
    error = f"slo:sli_error:ratio_rate{span}{{{JOB}}}"
    return f"{error} / on (sloth_id) group_left () slo:error_budget:ratio"


def _load() -> list[Panel]:
    return [
        lines(
            "Decisions by source",
            "Who gave the answer.",
            Query(rate("sidecar_decisions_total", "source"), "{{source}}"),
            unit="recps",
            stacked=True,
            runbooks=["SidecarFallbackShare"],
        ),
        lines(
            "Refused by reason",
            "Records that became dead letters.",
            Query(f"{rate('sidecar_records_rejected_total', 'reason')} > 0", "{{reason}}"),
            unit="recps",
            stacked=True,
            runbooks=["SidecarRejectedBudgetBurns"],
        ),
        lines(
            "Age of events when answered",
            "The line is what is promised.",
            Query(quantile(0.5, "sidecar_event_age_seconds"), "50 %"),
            Query(quantile(0.95, "sidecar_event_age_seconds"), "95 %"),
            Query(quantile(0.99, "sidecar_event_age_seconds"), "99 %", exemplars=True),
            unit="s",
            limits=[in_time()],
            runbooks=["SidecarLateBudgetBurns"],
        ),
        lines(
            "Records that wait",
            "Of all partitions that somebody reads.",
            Query(total("sidecar_consumer_lag_records", "job"), "{{job}}"),
            limits=[limit("SidecarLagGrows", "(sidecar_consumer_lag_records)")],
            runbooks=["SidecarLagGrows", "SidecarStalled"],
        ),
        lines(
            "Since the last decision",
            "While records wait, this is how long it stands still.",
            Query(f"time() - sidecar_last_decision_timestamp_seconds{{{ALL}}}", "{{instance}}"),
            unit="s",
            runbooks=["SidecarStalled"],
        ),
        lines(
            "Warnings and errors in the log",
            "Lines per second, by level.",
            Query(
                rate("sidecar_log_messages_total", "job", "level", where=_loud()), "{{level}}"
            ),
            unit="cps",
        ),
    ]


def _loud() -> str:
    return f'level=~"warning|error|critical", {ALL}'
