"""Whether data and answers are as the model knows them, and whether that can be said at all."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.frame import choice, framed
from tools.dashboards.limits import Limit, flag
from tools.dashboards.parts import GOOD, Panel, Query, State, lines, number, rows, states
from tools.dashboards.queries import JOB, most, rate, total

_WINDOW = f'{JOB}, window="$window"'
_FEATURE = f'{_WINDOW}, feature=~"$feature"'
_EPISODE = {
    0: State("as the reference", "green"),
    1: State("warning", "yellow"),
    2: State("critical", "red"),
}


def drift() -> Dashboard:
    """Give the dashboard."""
    return framed(
        "drift",
        "Sidecar: drift and data quality",
        "What differs from the reference, since when, by how much, and whether it is one fault"
        " upstream. Numbers are those of one window; choose it above.",
        {
            "Does anything differ, and would it be seen": _verdict(),
            "Features": _features(),
            "Answers": _answers(),
            "Data quality": _quality(),
            "Windows": _windows(),
        },
        variables=[
            choice("window", 'sidecar_monitor_ready{job=~"$job"}', all_of_them=False),
            choice("feature", 'sidecar_drift_active{job=~"$job"}'),
        ],
    )


def _most(metric: str, *by: str, where: str = _WINDOW) -> str:
    """Give the largest value of all replicas, for each job and by labels.

    All of them show what the owner of input partition 0 found: the largest, never the sum.
    """
    return most(metric, "job", *by, where=where)


def _verdict() -> list[Panel]:
    critical = f'{_WINDOW}, severity="critical"'
    return [
        number(
            "Features that drift",
            "Critically, by the alert rule.",
            f"sum({_most('sidecar_drift_active', 'feature', where=critical)})",
            limits=[flag("SidecarDrift")],
            runbooks=["SidecarDrift"],
        ),
        number(
            "Many at once",
            "1: so many features drift that it is hardly the world; look upstream.",
            f"max({_most('sidecar_dataset_drift_active', where=critical)})",
            limits=[flag("SidecarDatasetDrift")],
            runbooks=["SidecarDatasetDrift"],
        ),
        number(
            "Answers that drift",
            "Score, confidence or label.",
            f"sum({_most('sidecar_prediction_drift_active', 'subject', where=critical)})",
            limits=[flag("SidecarPredictionDrift")],
            runbooks=["SidecarPredictionDrift"],
        ),
        number(
            "Shares out of band",
            "Checks of data quality whose share left its band.",
            f"sum({_most('sidecar_quality_breached', 'check', 'feature')})",
            limits=[flag("SidecarDataQuality")],
            runbooks=["SidecarDataQuality"],
        ),
        number(
            "Windows without a verdict",
            "They hold too few records: drift would not be seen.",
            f"count({_most('sidecar_monitor_ready')} == 0) or vector(0)",
            limits=[flag("SidecarInsufficientData")],
            runbooks=["SidecarInsufficientData"],
        ),
        number(
            "Windows not calibrated",
            "It is not known how much they differ with no drift: the rule is not armed.",
            f"count({_most('sidecar_window_calibrated')} == 0) or vector(0)",
            limits=[flag("SidecarUncalibrated")],
            runbooks=["SidecarUncalibrated"],
        ),
        number(
            "Monitors switched off",
            "They raised; decisions go on without them.",
            'count(sidecar_observer_active{job=~"$job"} == 0) or vector(0)',
            limits=[flag("SidecarObserverOff")],
            runbooks=["SidecarObserverOff"],
        ),
        number(
            "Age of all this",
            "Since the end of the window, by the newest event's own time.",
            f"time() - max({_most('sidecar_window_end_timestamp_seconds')})",
            unit="s",
        ),
    ]


def _features() -> list[Panel]:
    psi = f'{_FEATURE}, method="psi"'
    return [
        states(
            "Episodes",
            "When a feature drifted by the alert rule, and how severely.",
            Query(
                "sum by (job, feature) "
                f"({_most('sidecar_drift_active', 'feature', 'severity', where=_FEATURE)})",
                "{{job}} {{feature}}",
            ),
            _EPISODE,
            runbooks=["SidecarDrift", "SidecarDatasetDrift"],
            span=12,
        ),
        rows(
            "By feature",
            "Index, what it passes by chance, how sure the rule is (2 is one in a hundred).",
            Query(_most("sidecar_drift_score", "feature", where=psi), "index"),
            Query(_most("sidecar_drift_critical_value", "feature", where=psi), "by chance"),
            Query(
                _most(
                    "sidecar_drift_significance",
                    "feature",
                    where=f'{_FEATURE}, severity="critical"',
                ),
                "significance",
            ),
            runbooks=["SidecarDrift"],
        ),
        lines(
            "Population stability index",
            "With what it passes by chance, for this many records.",
            Query(_most("sidecar_drift_score", "feature", where=psi), "{{job}} {{feature}}"),
            Query(
                _most("sidecar_drift_critical_value", "feature", where=psi),
                "{{job}} {{feature}} by chance",
            ),
            span=12,
        ),
        lines(
            "Other methods",
            "The same window, measured otherwise.",
            Query(
                _most(
                    "sidecar_drift_score",
                    "feature",
                    "method",
                    where=f'{_FEATURE}, method!~"psi|psi_excess"',
                ),
                "{{job}} {{feature}} {{method}}",
            ),
            span=12,
        ),
        lines(
            "Past chance",
            "Features whose index is past its critical value, and those without series.",
            Query(_most("sidecar_drifting_features"), "{{job}} past chance"),
            Query(_most("sidecar_unexported_features", where=JOB), "{{job}} no series"),
        ),
        lines(
            "Episodes begun",
            "In a day, of the whole fleet.",
            Query(
                "max by (job, subject, severity) "
                f"(increase(sidecar_drift_episodes_total{{{_WINDOW}}}[1d]))",
                "{{job}} {{subject}} {{severity}}",
            ),
        ),
        lines(
            "Values that the reference never had",
            "How many different ones: one is a new category, thousands are ids or free text.",
            Query(
                _most("sidecar_unseen_values", "feature", where=f'{JOB}, feature=~"$feature"'),
                "{{job}} {{feature}}",
            ),
            runbooks=["SidecarDataQuality"],
        ),
    ]


def _answers() -> list[Panel]:
    psi = f'{_WINDOW}, method="psi"'
    return [
        states(
            "Episodes of the answers",
            "When score, confidence or label drifted.",
            Query(
                "sum by (job, subject) "
                f"({_most('sidecar_prediction_drift_active', 'subject', 'severity')})",
                "{{job}} {{subject}}",
            ),
            _EPISODE,
            runbooks=["SidecarPredictionDrift"],
        ),
        lines(
            "Index of the answers",
            "With what it passes by chance.",
            Query(
                _most("sidecar_prediction_drift_score", "subject", where=psi),
                "{{job}} {{subject}}",
            ),
            Query(
                _most("sidecar_prediction_drift_critical_value", "subject", where=psi),
                "{{job}} {{subject}} by chance",
            ),
            runbooks=["SidecarPredictionDrift"],
        ),
        rows(
            "By answer",
            "Events that have one, and how sure the rule is.",
            Query(_most("sidecar_prediction_drift_records", "subject"), "records"),
            Query(
                _most(
                    "sidecar_prediction_drift_significance",
                    "subject",
                    where=f'{_WINDOW}, severity="critical"',
                ),
                "significance",
            ),
            span=8,
        ),
        lines(
            "Who answered",
            "Shares of the window's decisions.",
            Query(
                f"{_most('sidecar_decision_ratio', 'source', 'reason')} > 0",
                "{{job}} {{source}} {{reason}}",
            ),
            unit="percentunit",
            runbooks=["SidecarFallbackShare"],
        ),
        lines(
            "Answers of rules",
            "Shares of the window's decisions.",
            Query(_most("sidecar_rule_ratio", "rule"), "{{job}} {{rule}}"),
            unit="percentunit",
        ),
        lines(
            "Agreement with upstream",
            "Only with `model.shadow`: how often the model says what the event says.",
            Query(_most("sidecar_upstream_agreement_ratio", "label"), "{{job}} {{label}}"),
            unit="percentunit",
        ),
    ]


def _quality() -> list[Panel]:
    where = f'{_WINDOW}, feature=~"$feature|"'
    checked = ("check", "feature")
    return [
        rows(
            "Out of band now",
            "Look here before you believe in drift: much of it is a fault upstream.",
            Query(f"{_most('sidecar_quality_breached', *checked)} == 1", "breached"),
            hidden=["Value"],
            runbooks=["SidecarDataQuality"],
            span=8,
        ),
        states(
            "Out of band, over time",
            "Checks that left their band.",
            Query(
                f"{_most('sidecar_quality_breached', *checked)} == 1",
                "{{job}} {{check}} {{feature}}",
            ),
            {1: State("out of band", "red")},
            runbooks=["SidecarDataQuality"],
        ),
        rows(
            "By check",
            "Share of the window, what is usual, and the ends of the band around it.",
            Query(_most("sidecar_quality_ratio", *checked, where=where), "share"),
            Query(
                _most(
                    "sidecar_quality_expected_ratio",
                    *checked,
                    where=f'{JOB}, feature=~"$feature|"',
                ),
                "usual",
            ),
            Query(_most("sidecar_quality_lower_bound_ratio", *checked, where=where), "from"),
            Query(_most("sidecar_quality_upper_bound_ratio", *checked, where=where), "to"),
            unit="percentunit",
            span=8,
        ),
        lines(
            "Shares by check",
            "Of the window's records, where there are any.",
            Query(
                f"{_most('sidecar_quality_ratio', *checked, where=where)} > 0",
                "{{job}} {{check}} {{feature}}",
            ),
            unit="percentunit",
            runbooks=["SidecarDataQuality"],
        ),
        lines(
            "Refused",
            "Share of the window's records, by code.",
            Query(f"{_most('sidecar_rejected_ratio', 'reason')} > 0", "{{job}} {{reason}}"),
            unit="percentunit",
            runbooks=["SidecarRejectedBudgetBurns"],
        ),
        lines(
            "Age of events when they were sent",
            "How late producers are; how late answers are stands on the overview.",
            Query(_most("sidecar_freshness_seconds", "percentile"), "{{job}} {{percentile}} %"),
            unit="s",
        ),
    ]


def _windows() -> list[Panel]:
    return [
        lines(
            "Records in the window",
            "For drift, for quality, and for agreement with upstream.",
            Query(_most("sidecar_window_records"), "{{job}} drift"),
            Query(_most("sidecar_quality_window_records"), "{{job}} quality"),
            Query(
                _most("sidecar_upstream_compared_records", "label"),
                "{{job}} {{label}} upstream",
            ),
            runbooks=["SidecarInsufficientData"],
            span=6,
        ),
        lines(
            "Span of the window",
            "Longer than its name where it grew to hold enough records.",
            Query(_most("sidecar_window_span_seconds"), "{{job}}"),
            unit="s",
            span=6,
        ),
        lines(
            "Partitions in the windows",
            "Counted by the replica, or followed in the state topic; short of all is a gap.",
            Query(
                total("sidecar_window_partitions", "instance", "counted"),
                "{{instance}} {{counted}}",
            ),
            span=6,
        ),
        lines(
            "Events too late or ahead",
            "Decided, and in no window; or of a producer whose clock is wrong.",
            Query(
                rate("sidecar_late_events_total", "job"),
                "{{job}} late",
            ),
            Query(
                rate("sidecar_future_events_total", "job"),
                "{{job}} ahead",
            ),
            unit="recps",
            span=6,
        ),
        states(
            "Enough records",
            "For a verdict, by window.",
            Query(
                _most("sidecar_monitor_ready", "window", where=JOB),
                "{{job}} {{window}}",
            ),
            GOOD,
            runbooks=["SidecarInsufficientData"],
        ),
        states(
            "Calibrated",
            "Whether the alert rule is armed, by window.",
            Query(
                _most("sidecar_window_calibrated", "window", where=JOB),
                "{{job}} {{window}}",
            ),
            GOOD,
            runbooks=["SidecarUncalibrated"],
        ),
        lines(
            "Monitors that raised",
            "Since the start of the process.",
            Query(
                total("sidecar_observer_failures_total", "instance", "observer"),
                "{{instance}} {{observer}}",
            ),
            limits=[Limit(1.0, "orange")],
            runbooks=["SidecarObserverOff"],
        ),
    ]
