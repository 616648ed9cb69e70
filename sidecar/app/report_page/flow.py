"""Who decided: sources through time, and what there is to count."""

from collections.abc import Mapping
from dataclasses import replace

from sidecar.adapters.charts import bar
from sidecar.adapters.markup import Html, element, join
from sidecar.adapters.phrases import count, minute, share
from sidecar.adapters.tables import body_rows, head_row, numeric
from sidecar.adapters.time_charts import Line, share_chart
from sidecar.app.replay_report import ReplayReport
from sidecar.app.report_page.overview import panorama
from sidecar.app.report_page.tracks import WindowView
from sidecar.events import SOURCE_NAMES

_MOST_ROWS = 12
_WIDTH = 1160


def sources(view: WindowView) -> Html:
    """Draw the share of each source in the window, through time."""
    seen = [
        name for name in SOURCE_NAMES if any(point.decisions.get(name) for point in view.points)
    ]
    parts = [
        Line(name, [point.decisions.get(name, 0) for point in view.points]) for name in seen
    ]
    wholes = [sum(point.decisions.values()) or 1 for point in view.points]
    said = "; ".join(
        f"{part.kind} {share(min(shares))} to {share(max(shares))}, last {share(shares[-1])}"
        for part in parts
        if (shares := [(v or 0) / w for v, w in zip(part.values, wholes, strict=True)])
    )
    axis = replace(view.axis, width=_WIDTH)
    picture = share_chart(axis, view.times_ms, parts, title=f"Decisions by source: {said}")
    return element(
        "figure",
        element(
            "figcaption",
            *(_key(name) for name in seen),
            f"shares in the last {view.now.window}, from the bottom in this order",
        ),
        panorama(picture, "Decisions by source"),
        _numbers(view, seen),
    )


def _key(source: str) -> Html:
    swatch = element(
        "svg",
        element("rect", class_=f"part {source}", width=14, height=10),
        width=14,
        height=10,
        aria_hidden="true",
        class_="key",
    )
    return element("span", swatch, f" {source}", class_="legend")


def _numbers(view: WindowView, seen: list[str]) -> Html:
    stride = -(-len(view.times_ms) // _MOST_ROWS)
    rows = list(zip(view.times_ms, view.points, strict=True))[::-1][::stride][::-1]
    head = head_row(("Window to", ""), ("Records", "num"), *((name, "num") for name in seen))
    body = [
        element(
            "tr",
            element("th", minute(at), scope="row", class_="when"),
            numeric(count(point.records)),
            *(numeric(count(point.decisions.get(name, 0))) for name in seen),
        )
        for at, point in rows
    ]
    return element(
        "details",
        element("summary", "Numbers of decisions by source"),
        element("div", element("table", head, body_rows(body)), class_="scroll"),
    )


def counts(report: ReplayReport) -> Html:
    """Give what was counted over the whole replay, as tables with bars."""
    tables = (
        ("Decided by", report.sources),
        ("Because", report.reasons),
        ("Fallback rules", report.rules),
        ("Dead letters by code", report.rejections),
    )
    return join(*(_counts(title, found) for title, found in tables if any(found.values())))


def _counts(title: str, found: Mapping[str, int]) -> Html:
    whole = sum(found.values())
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", bar(number / whole), class_="wide"),
            numeric(share(number / whole)),
            numeric(count(number)),
        )
        for name, number in found.items()
        if number
    ]
    head = head_row((title, ""), ("", "wide"), ("Share", "num"), ("Count", "num"))
    return element("table", head, body_rows(rows), class_="counts")
