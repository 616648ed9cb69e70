"""One subject: reference against window, and its scores and ratios through time."""

from collections.abc import Iterator, Sequence

from sidecar.adapters.charts import bars
from sidecar.adapters.markup import Html, element, join
from sidecar.adapters.phrases import UNKNOWN, count, digits, minute, share, times
from sidecar.adapters.tables import body_rows, head_row, numeric
from sidecar.adapters.time_charts import Line, Mark, ValueAxis, Values, line_chart, merge_marks
from sidecar.app.replay_report import Judgement
from sidecar.app.report_page.overview import drift_marks
from sidecar.app.report_page.summary import anchor
from sidecar.app.report_page.tracks import Track, WindowView
from sidecar.app.report_page.words import kind, verdict
from sidecar.monitors.bins import MISSING, OUT_OF_RANGE, UNSEEN
from sidecar.monitors.snapshot import Method, score_of

_MOST_SUBJECTS = 60
_MOST_NUMBERS = 16
# A later picture of the peak is worth its place where it shows more than the one at the end.
_WORTH_SHOWING = 1.2
_WORTH_SAYING = 1.1
_QUIET = ("steady", "no verdict")


def subjects(view: WindowView, judgement: Judgement) -> Html:
    """Give the pictures of all subjects, the most telling first.

    Args:
        view: The window.
        judgement: The tolerances.
    """
    shown = view.tracks[:_MOST_SUBJECTS]
    left_out = len(view.tracks) - len(shown)
    note = f"{left_out} steadier subjects have no pictures here; the table has them."
    return join(
        *(_card(view, track, judgement, at == 0) for at, track in enumerate(shown)),
        element("p", note, class_="note") if left_out else None,
    )


def _card(view: WindowView, track: Track, judgement: Judgement, first: bool) -> Html:
    heading = element(
        "h3", track.now.name, element("small", f" {kind(track.now)} "), verdict(track)
    )
    return element(
        "details",
        element("summary", heading),
        element("p", sentence(view, track), class_="note", id=anchor(view, track)),
        element(
            "div",
            element("div", _shares(track), class_="scroll"),
            element("div", *_timelines(view, track, judgement)),
            class_="pictures",
        ),
        class_="subject",
        open=first or track.verdict not in _QUIET,
    )


def sentence(view: WindowView, track: Track) -> str:
    """Say what the pictures show."""
    psi = score_of(track.now.scores, "psi")
    at_end = (
        f"At the end PSI is {digits(psi.value)}, {times(track.now.severity)} its critical "
        f"value, on {count(track.now.records)} records."
        if psi
        else f"At the end there is no verdict: {count(track.now.records)} records are too few."
    )
    if track.now.overdispersion >= _WORTH_SAYING:
        at_end += (
            f" Clean windows lie {times(track.now.overdispersion)} as far from the reference "
            "as independent events would."
        )
    episodes = "; ".join(mark.title for mark in drift_marks(view, track.episodes))
    return f"{at_end} {episodes[0].upper()}{episodes[1:]}." if episodes else at_end


# --- reference against window --------------------------------------------------------------


def _shares(track: Track) -> Html:
    """Give one row per bin: a picture and its numbers are one table."""
    now, peak = track.now, track.peak
    columns = [("ref", "Reference", now.reference), ("cur", "At the end", now.current)]
    if peak and peak.drift.severity > max(1.0, _WORTH_SHOWING * now.severity):
        columns.append(("peak", "At its peak", peak.drift.current))
    titles = [(title, f"num {kind}") for kind, title, _ in columns]
    top = max([*(max(shares, default=0.0) for _, _, shares in columns), 1e-9])
    rows = [
        _bin(name, [shares[at] for _, _, shares in columns], [k for k, _, _ in columns], top)
        for at, name in enumerate(now.bins)
    ]
    apart = sum(name in (OUT_OF_RANGE, UNSEEN, MISSING) for name in now.bins[-2:])
    cut = len(rows) - apart
    caption = "Share of records by bin"
    if len(columns) > 2 and peak:
        caption += f"; its peak was {minute(peak.end_ms)}"
    return element(
        "table",
        element("caption", caption),
        head_row(("Bin", ""), ("", "wide"), *titles),
        body_rows(rows[:cut]),
        element("tbody", *rows[cut:], class_="apart"),
        class_="shares",
    )


def _bin(name: str, shares: Sequence[float], kinds: Sequence[str], top: float) -> Html:
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", bars(shares, kinds, top), class_="wide"),
        *(numeric(share(part)) for part in shares),
    )


# --- through time --------------------------------------------------------------------------


def _timelines(view: WindowView, track: Track, judgement: Judgement) -> Iterator[Html]:
    yield _scores(view, track, "psi", (judgement.delta, judgement.warning_delta))
    if any(value is not None for value in track.values("ks")):
        yield _scores(view, track, "ks", ())
    ratios = _ratios(view, track)
    if ratios is not None:
        yield ratios
    yield _numbers(view, track)


def _scores(
    view: WindowView, track: Track, method: Method, tolerances: Sequence[float]
) -> Html:
    values, limits = track.values(method), track.limits(method)
    known = [value for value in (*values, *limits, *tolerances) if value is not None]
    axis = ValueAxis(max([*known, 1e-6]) * 1.05, root=method == "psi")
    lines = [
        *(Line("delta", [tolerance] * len(values)) for tolerance in tolerances),
        Line("critical-value", limits),
        Line("score", values),
    ]
    name = "PSI" if method == "psi" else "KS"
    legend = [
        _key("score", f"{name} over {view.now.window}"),
        _key("critical-value", "critical value"),
        *([_key("delta", f"tolerances {_listed(tolerances)}")] if tolerances else []),
        "square-root scale" if method == "psi" else "",
    ]
    return element(
        "figure",
        element("figcaption", *legend),
        line_chart(
            view.axis,
            axis,
            view.times_ms,
            lines,
            [*_few(view, track), *drift_marks(view, track.episodes)],
            title=_said(view, name, values, limits),
        ),
    )


def _listed(numbers: Sequence[float]) -> str:
    return " and ".join(f"{number:g}" for number in sorted(numbers))


def _few(view: WindowView, track: Track) -> list[Mark]:
    kinds = ["" if point.scores else "few" for point in track.points]
    return merge_marks(view.times_ms, kinds, view.axis.begin_ms)


def _said(view: WindowView, name: str, values: Values, limits: Values) -> str:
    """Say in words what a picture of scores shows."""
    known = [value for value in values if value is not None]
    if not known:
        return f"{name} over {view.now.window}: too few records at every instant"
    pairs = zip(values, limits, strict=True)
    past = [v is not None and limit is not None and v > limit for v, limit in pairs]
    at = values.index(max(known))
    since = f", first at {minute(view.times_ms[past.index(True)])}" if any(past) else ""
    return (
        f"{name} over {view.now.window}, {minute(view.times_ms[0])} to "
        f"{minute(view.times_ms[-1])}: from {digits(min(known))} to {digits(max(known))}, the "
        f"highest at {minute(view.times_ms[at])}; past its critical value at {sum(past)} of "
        f"{len(known)} instants{since}"
    )


def _ratios(view: WindowView, track: Track) -> Html | None:
    """Draw missing, unseen and out of range where any of them was ever there."""
    lines = {
        "missing": [point.missing_ratio for point in track.points],
        "unseen": [point.unseen_ratio for point in track.points],
        "out of range": [point.out_of_range_ratio for point in track.points],
    }
    there = {name: values for name, values in lines.items() if any(values)}
    if not there:
        return None
    top = max(max(values) for values in there.values())
    said = "; ".join(
        f"{name} {share(min(values))} to {share(max(values))}, {share(values[-1])} at the end"
        for name, values in there.items()
    )
    return element(
        "figure",
        element("figcaption", *(_key(_class(name), f"{name}, share") for name in there)),
        line_chart(
            view.axis,
            ValueAxis(top * 1.05, height=70),
            view.times_ms,
            [Line(_class(name), values) for name, values in there.items()],
            title=said,
        ),
    )


def _class(name: str) -> str:
    return name.replace(" ", "-")


def _key(kind: str, text: str) -> Html:
    line = element("path", class_=f"line {kind}", d="M0 5H22")
    return element(
        "span",
        element("svg", line, width=22, height=10, aria_hidden="true", class_="key"),
        f" {text}",
        class_="legend",
    )


def _numbers(view: WindowView, track: Track) -> Html:
    """Give what the pictures are drawn from, some instants of it."""
    stride = -(-len(view.times_ms) // _MOST_NUMBERS)
    rows = list(zip(view.times_ms, track.points, strict=True))[::-1][::stride][::-1]
    head = head_row(
        ("Window to", ""),
        ("Records", "num"),
        ("PSI", "num"),
        ("Critical", "num"),
        ("KS", "num"),
        ("Critical", "num"),
        ("Missing", "num"),
        ("Unseen", "num"),
        ("Out of range", "num"),
    )
    body = []
    for at, point in rows:
        scores = [score_of(point.scores, method) for method in ("psi", "ks")]
        cells = [
            digits(part) if score else UNKNOWN
            for score in scores
            for part in ((score.value, score.critical) if score else (None, None))
        ]
        ratios = (point.missing_ratio, point.unseen_ratio, point.out_of_range_ratio)
        body.append(
            element(
                "tr",
                element("th", minute(at), scope="row", class_="when"),
                numeric(count(point.records)),
                *map(numeric, cells),
                *(numeric(share(ratio)) for ratio in ratios),
            )
        )
    return element(
        "details",
        element("summary", "Numbers of ", track.now.name),
        element("div", element("table", head, body_rows(body)), class_="scroll"),
    )
