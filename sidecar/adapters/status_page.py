"""The status page: is it working, how late is it, what changed. One page of plain HTML."""

from collections.abc import Mapping

from sidecar.adapters.charts import bar
from sidecar.adapters.choice import Choice
from sidecar.adapters.decisions_section import decisions_section
from sidecar.adapters.drift_section import chosen_window, drift_section
from sidecar.adapters.markup import Child, Html, element, join
from sidecar.adapters.phrases import UNKNOWN, count, instant, rate, share, span
from sidecar.adapters.quality_section import quality_parts
from sidecar.adapters.subject_section import chosen_subject, subject_section
from sidecar.adapters.tables import body_rows, head_row, numeric
from sidecar.monitors.snapshot import WindowSnapshot
from sidecar.telemetry.decisions import NO_DECISIONS, DecisionsView
from sidecar.telemetry.status import PartitionView, StatusView

# A sign, a word and a sentence for each state: colour never says anything alone.
_STATES = {
    "starting": ("◌", "Connecting, joining the group, warming the model up."),
    "ready": ("●", "Events are taken and answered."),
    "degraded": ("▲", "Events are taken and answered, but not as they should be."),
    "blocked": ("■", "No events are taken. Nothing is lost; lag grows."),
    "draining": ("▽", "What is in flight is finished; nothing new is taken."),
    "stopped": ("✕", "The process has ended its work."),
}
_SOURCES = ("model", "upstream", "rule", "cache", "default")
_MOST_ROWS = 200


def render(
    view: StatusView,
    *,
    choice: Choice = Choice(),  # noqa: B008  it is immutable
    decisions: DecisionsView = NO_DECISIONS,
    refresh_s: int | None,
) -> str:
    """Give the whole page.

    Args:
        view: What to show.
        choice: The rolling window to show, the shortest that is ready when absent or unknown;
            and the feature to show beside its reference, the one that changed most likewise.
        decisions: The last decisions.
        refresh_s: Seconds until a browser without script asks again; None for a page that
            stands still.
    """
    found = parts(view, choice=choice, decisions=decisions, refresh_s=refresh_s)
    boxes = {name: element("div", part, id=name) for name, part in found.items()}
    foot = boxes.pop("foot")
    top = boxes.pop("top")
    names = list(boxes)
    charts_at = names.index("flow")
    body = join(
        element("header", top, element("p", id="news", role="status", class_="note")),
        element(
            "main",
            *(boxes[name] for name in names[:charts_at]),
            _charts(),
            *(boxes[name] for name in names[charts_at:]),
        ),
        element("footer", foot),
    )
    # With the attribute the script follows; without, the page stands still.
    whole = element("body", body, data_live=bool(refresh_s))
    return f"<!doctype html>{element('html', _head(view, refresh_s), whole, lang='en')}"


def _head(view: StatusView, refresh_s: int | None) -> Html:
    again = element("meta", http_equiv="refresh", content=refresh_s) if refresh_s else None
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("noscript", again) if again else None,
        element("title", title(view)),
        element("link", rel="stylesheet", href="static/uPlot.min.css"),
        element("link", rel="stylesheet", href="status.css"),
        element("script", src="static/uPlot.iife.min.js", defer=True),
        element("script", src="static/status.js", defer=True),
    )


def title(view: StatusView) -> str:
    """Give the title of the page."""
    return f"{view.name}: {view.state}"


def parts(
    view: StatusView, *, choice: Choice, decisions: DecisionsView, refresh_s: int | None
) -> dict[str, Html | None]:
    """Give what changes on the page, by the id of its place; see `render`."""
    shown = chosen_window(view, choice.window)
    subject = chosen_subject(shown, choice.feature)
    named = None if subject is None else subject.name
    window = None if shown is None else shown.window
    one = None if shown is None or subject is None else subject_section(shown, subject)
    return {
        "top": _header(view),
        "why": _reasons(view),
        "tiles": _tiles(view),
        "flow": _flow(view),
        "drift": drift_section(view, shown, named),
        "subject": one,
        "quality": _quality(view, shown),
        "decisions": decisions_section(decisions),
        "kafka": _kafka(view),
        "foot": _footer(view, Choice(window, choice.feature), refresh_s),
    }


# Titles and units of the charts; the script knows which columns of the history they show.
_CHARTS = {
    "throughput": "Decisions per second, by source",
    "lag": "Lag, records",
    "shares": "Fallback and reject share",
    "age": "Event age when decided, seconds",
    "loop": "Event loop lag, seconds",
}


def _charts() -> Html:
    figures = [
        element(
            "figure",
            element("figcaption", text, id=f"chart-{name}-title"),
            element("div", data_chart=name, role="img", aria_labelledby=f"chart-{name}-title"),
        )
        for name, text in _CHARTS.items()
    ]
    return element(
        "section",
        element("h2", "Over time, UTC"),
        element("noscript", element("p", "Charts over time need script.", class_="none")),
        element("div", *figures, class_="charts"),
        id="charts",
    )


# --- top -----------------------------------------------------------------------------------


def _header(view: StatusView) -> Html:
    sign, sentence = _STATES[view.state]
    model = view.model
    return join(
        element(
            "div",
            element("h1", view.name),
            element(
                "p",
                element("span", sign, aria_hidden="true"),
                f" {view.state}",
                class_=f"state {view.state}",
            ),
            class_="title",
        ),
        element("p", sentence, class_="sentence"),
        element(
            "dl",
            _fact("Model", f"{model.name} {model.version}"),
            _fact("Task", model.task),
            _fact("Digest", element("code", model.digest[:12])),
            _fact("Reads", element("code", view.topics.events)),
            _fact("Writes", element("code", view.topics.decisions)),
            _fact("Group", element("code", view.group)),
            _fact("Up for", span((view.now_ms - view.since_ms) / 1000)),
            class_="facts",
        ),
    )


def _fact(name: str, value: Child) -> Html:
    return element("div", element("dt", name), element("dd", value))


def _reasons(view: StatusView) -> Html | None:
    if not view.reasons:
        return None
    items = [
        element("li", element("code", cause.code), " ", cause.message) for cause in view.reasons
    ]
    return element(
        "section", element("h2", "Why"), element("ul", *items), class_=f"why {view.state}"
    )


def _tiles(view: StatusView) -> Html:
    rates = view.rates
    model = ("open", "the model is left alone") if view.circuit_open else ("closed", "")
    behind = "" if view.lag_seconds is None else f", {span(view.lag_seconds)} behind"
    newest = UNKNOWN if view.data_age_s is None else f"{span(view.data_age_s)} ago"
    last = (
        UNKNOWN if view.last_decision_age_s is None else f"{span(view.last_decision_age_s)} ago"
    )
    return element(
        "section",
        _tile("Throughput", f"{rate(rates.records_per_second)} /s", "mean of 10 s"),
        _tile("Lag", count(view.lag_records), f"records{behind}"),
        _tile("Fallback share", share(rates.fallback_ratio), "of decisions, last minute"),
        _tile("Reject share", share(rates.reject_ratio), "of records, last minute"),
        _tile("Circuit", model[0], model[1] or "the model is asked"),
        _tile("Last decision", last, "acknowledged"),
        _tile("Newest event", newest, "by its own time"),
        class_="tiles",
        aria_label="Summary",
    )


def _tile(name: str, value: str, note: str) -> Html:
    return element(
        "div",
        element("h2", name),
        element("p", value, class_="value"),
        element("p", note, class_="note"),
        class_="tile",
    )


# --- what went through ---------------------------------------------------------------------


def _flow(view: StatusView) -> Html:
    rates = view.rates
    sources = {name: rates.decisions_total.get(name, 0) for name in _SOURCES}
    codes = dict(sorted(rates.rejections_total.items(), key=lambda item: -item[1]))
    return element(
        "div",
        _counts("Decisions by source", "Source", rates.decisions, sources, "No decisions yet."),
        _counts("Dead letters by code", "Code", rates.rejections, codes, "No dead letters."),
        class_="columns",
    )


def _counts(
    title: str, label: str, minute: Mapping[str, int], total: Mapping[str, int], none: str
) -> Html:
    """Give a table of counts, with each one's share of the last minute as a bar."""
    if not any(total.values()):
        return element("section", element("h2", title), element("p", none, class_="none"))
    whole = sum(minute.values()) or 1
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", bar(minute.get(name, 0) / whole), class_="wide"),
            numeric(share(minute.get(name, 0) / whole)),
            numeric(count(minute.get(name, 0))),
            numeric(count(number)),
        )
        for name, number in total.items()
    ]
    head = head_row((label, ""), ("", "wide"), ("Share", "num"), ("Last minute", "num"), _TOTAL)
    table = element("div", element("table", head, body_rows(rows)), class_="scroll")
    return element("section", element("h2", title), table)


_TOTAL = ("Since start", "num")


# --- Kafka and foot ------------------------------------------------------------------------


def _quality(view: StatusView, shown: WindowSnapshot | None) -> Html | None:
    if view.quality is None or shown is None:
        return None
    parts = quality_parts(view.quality, shown.window)
    return element("section", element("h2", "Data quality"), parts) if parts else None


def _kafka(view: StatusView) -> Html:
    if not view.partitions:
        none = element("p", "No partition is assigned to this process.", class_="none")
        return element("section", element("h2", "Partitions"), none)
    head = head_row(
        ("Partition", ""),
        ("State", ""),
        ("Position", "num"),
        ("End", "num"),
        ("Lag", "num"),
        ("Behind", "num"),
        ("In flight", "num"),
    )
    rows = [_partition(part) for part in view.partitions[:_MOST_ROWS]]
    table = element("table", head, body_rows(rows))
    return element(
        "section", element("h2", "Partitions"), element("div", table, class_="scroll")
    )


def _partition(part: PartitionView) -> Html:
    return element(
        "tr",
        element("th", part.partition, scope="row"),
        element("td", "■ paused" if part.paused else "● reading"),
        numeric(_offset(part.position)),
        numeric(_offset(part.end)),
        numeric(count(part.lag_records)),
        numeric(span(part.lag_seconds)),
        numeric(count(part.in_flight)),
    )


def _offset(offset: int | None) -> str:
    return UNKNOWN if offset is None else str(offset)


def _footer(view: StatusView, choice: Choice, refresh_s: int | None) -> Html:
    switch = (
        element("a", "Stand still", href=choice.address(refresh="off"))
        if refresh_s
        else element("a", "Follow", href=choice.address())
    )
    still = "" if refresh_s else ", standing still"
    return join(
        element("p", f"As of {instant(view.now_ms)}{still}. sidecar {view.version}"),
        element("p", switch, " ", element("a", "JSON", href="api/v1/status")),
    )
