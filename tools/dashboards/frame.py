"""What each dashboard has around its panels: variables, links, marks of what changed."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard

from tools.dashboards.parts import SOURCE, Panel

TAG = "sidecar"
"""By it the dashboards find each other."""


def framed(
    name: str,
    title: str,
    says: str,
    content: Mapping[str, Sequence[Panel]],
    variables: Sequence[build.QueryVariable] = (),
) -> dashboard.Dashboard:
    """Give a dashboard whose panels stand under headings.

    Args:
        name: Its `uid` after `sidecar-`; a promise, for links hang on it.
        title: For people.
        says: What it answers.
        content: Panels by heading.
        variables: Further ones than data source, job and instance.
    """
    made = (
        build.Dashboard(title)
        .uid(f"sidecar-{name}")
        .description(says)
        .tags([TAG])
        .timezone("utc")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(
            build.DatasourceVariable("datasource").label("source").type("prometheus")
        )
        .with_variable(choice("job", "sidecar_build_info"))
        .with_variable(choice("instance", 'sidecar_build_info{job=~"$job"}'))
        .link(
            build.DashboardLink("Sidecar")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .annotation(
            mark("starts", "red", 'changes(process_start_time_seconds{job=~"$job"}[1m]) > 0')
        )
        .annotation(
            mark(
                "rebalances", "blue", 'increase(sidecar_rebalances_total{job=~"$job"}[1m]) > 0'
            )
        )
        .annotation(
            mark(
                "drift begins",
                "orange",
                "max by (job, subject, window, severity) "
                '(increase(sidecar_drift_episodes_total{job=~"$job"}[1m])) > 0',
            )
        )
    )
    for variable in variables:
        made.with_variable(variable)
    for heading, panels in content.items():
        made.with_row(build.Row(heading))
        for panel in panels:
            made.with_panel(panel)
    whole = made.build()
    for number, part in enumerate(whole.panels or [], start=1):
        part.id_val = number
    return whole


def choice(name: str, series: str, *, all_of_them: bool = True) -> build.QueryVariable:
    """Give a variable with the values that a label has in some series.

    Args:
        name: Of the label and of the variable.
        series: Where to look.
        all_of_them: Whether several or all may be chosen, and all are at first.
    """
    query: dict[str, object] = {"query": f"label_values({series}, {name})", "refId": name}
    made = (
        build.QueryVariable(name)
        .datasource(SOURCE)
        .query(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NATURAL_ASC)
    )
    if not all_of_them:
        return made
    # Anything: those that were there before the time that is shown, too.
    everything = dashboard.VariableOption(text="All", value="$__all")
    return made.multi(True).include_all(True).all_value(".*").current(everything)


def mark(name: str, colour: str, expr: str) -> build.AnnotationQuery:
    """Give lines in all charts, where something happened."""
    return (
        build.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(colour)
        .expr(expr)
    )
