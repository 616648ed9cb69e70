"""The few kinds of panels that the dashboards are made of, and what all of them share."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import NamedTuple, TypeVar

from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tools.dashboards.limits import Limit

RUNBOOKS = "docs/runbooks"
"""A path in this repository, as in the rules."""
SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT = 8

Panel = stat.Panel | timeseries.Panel | table.Panel | statetimeline.Panel
P = TypeVar("P", stat.Panel, timeseries.Panel, table.Panel, statetimeline.Panel)


class Query(NamedTuple):
    """A question to Prometheus, and what its answer is called."""

    expr: str
    legend: str = ""
    exemplars: bool = False
    """Whether traces of single values are shown as points."""


class State(NamedTuple):
    """What a value means."""

    text: str
    colour: str


GOOD = {0: State("no", "red"), 1: State("yes", "green")}
"""Of what ought to be so."""
BAD = {0: State("no", "green"), 1: State("yes", "red")}
"""Of what ought not to be so."""


def number(
    title: str,
    says: str,
    expr: str,
    *,
    unit: str = "short",
    limits: Sequence[Limit] = (),
    runbooks: Sequence[str] = (),
    span: int = 3,
) -> stat.Panel:
    """Give one large number, in the colour of the limit that it has reached.

    Args:
        title: A few words.
        says: What it tells, for whoever hovers over it.
        expr: The query.
        unit: As Grafana names it.
        limits: Where the colour changes, ascending.
        runbooks: Alerts whose pages are linked.
        span: Columns of the grid, of 24.
    """
    colour = common.BigValueColorMode.BACKGROUND if limits else common.BigValueColorMode.NONE
    return (
        _framed(stat.Panel(), title, says, runbooks, span)
        .with_target(_target("A", Query(expr)))
        .height(4)
        .unit(unit)
        .thresholds(_thresholds(limits))
        .color_mode(colour)
        .graph_mode(common.BigValueGraphMode.AREA)
        .reduce_options(build_common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def lines(
    title: str,
    says: str,
    *queries: Query,
    unit: str = "short",
    limits: Sequence[Limit] = (),
    runbooks: Sequence[str] = (),
    stacked: bool = False,
    span: int = 8,
) -> timeseries.Panel:
    """Give a chart over time with a dashed line at each limit; see `number` for the rest."""
    panel = (
        _framed(timeseries.Panel(), title, says, runbooks, span)
        .targets([_target(name, query) for name, query in _named(queries)])
        .height(_HEIGHT)
        .unit(unit)
        .axis_soft_min(0)
        .show_points(common.VisibilityMode.NEVER)
        .fill_opacity(40 if stacked else 0)
        .legend(
            build_common.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            build_common.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel.stacking(build_common.StackingConfig().mode(common.StackingMode.NORMAL))
    if limits:
        dashed = common.GraphThresholdsStyleMode.DASHED
        panel.thresholds(_thresholds(limits)).thresholds_style(
            build_common.GraphThresholdsStyleConfig().mode(dashed)
        )
    return panel


def states(
    title: str,
    says: str,
    query: Query,
    meaning: Mapping[int, State],
    *,
    runbooks: Sequence[str] = (),
    span: int = 8,
) -> statetimeline.Panel:
    """Give a band over time for each series, whose values have a meaning."""
    return (
        _framed(statetimeline.Panel(), title, says, runbooks, span)
        .with_target(_target("A", query))
        .height(_HEIGHT)
        .mappings([_mapping(meaning)])
        .show_value(common.VisibilityMode.NEVER)
        .merge_values(True)
        .fill_opacity(80)
    )


def rows(
    title: str,
    says: str,
    *queries: Query,
    hidden: Sequence[str] = (),
    unit: str = "short",
    runbooks: Sequence[str] = (),
    span: int = 12,
) -> table.Panel:
    """Give a table of what is so at the end of the time that is shown.

    Args:
        title: A few words.
        says: What it tells.
        queries: A column for each, named by its legend; rows with equal labels are one.
        hidden: Labels, or the values of a single query (`Value`), that have no column.
        unit: Of the values.
        runbooks: Alerts whose pages are linked; a column `alertname` links by itself.
        span: Columns of the grid.
    """
    one = len(queries) == 1
    columns = {
        "Value" if one else f"Value #{name}": query.legend for name, query in _named(queries)
    }
    options = {
        "excludeByName": dict.fromkeys(("Time", "__name__", *hidden), True),
        "renameByName": columns,
    }
    page = {"title": "runbook", "url": f"{RUNBOOKS}/${{__value.raw}}.md", "targetBlank": True}
    return (
        _framed(table.Panel(), title, says, runbooks, span)
        .targets(
            [
                _target(name, query).instant().format(PromQueryFormat.TABLE)
                for name, query in _named(queries)
            ]
        )
        .height(_HEIGHT)
        .unit(unit)
        .with_transformation(dashboard.DataTransformerConfig("merge", options={}))
        .with_transformation(dashboard.DataTransformerConfig("organize", options=options))
        .override_by_name("alertname", [dashboard.DynamicConfigValue("links", [page])])
    )


def _named(queries: Sequence[Query]) -> list[tuple[str, Query]]:
    return list(zip(ascii_uppercase, queries, strict=False))


def _framed(panel: P, title: str, says: str, runbooks: Sequence[str], span: int) -> P:
    links = [
        build.DashboardLink(alert)
        .type(dashboard.DashboardLinkType.LINK)
        .url(f"{RUNBOOKS}/{alert}.md")
        .target_blank(True)
        for alert in runbooks
    ]
    panel.title(title).description(says).datasource(SOURCE).span(span)
    return panel.links([*links]) if links else panel


def _target(name: str, query: Query) -> prometheus.Dataquery:
    asked = (
        prometheus.Dataquery()
        .ref_id(name)
        .datasource(SOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
    )
    return asked.exemplar(True) if query.exemplars else asked


def _thresholds(limits: Sequence[Limit]) -> build.ThresholdsConfig:
    steps = [dashboard.Threshold(None, "green")]
    steps += [dashboard.Threshold(limit.value, limit.colour) for limit in limits]
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _mapping(meaning: Mapping[int, State]) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        {
            str(value): dashboard.ValueMappingResult(state.text, state.colour, index=at)
            for at, (value, state) in enumerate(meaning.items())
        }
    )
