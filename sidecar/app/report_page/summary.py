"""The top of the page: what drifts, since when, how sure, of how many records."""

from collections.abc import Sequence

from sidecar.adapters.markup import Child, Html, element, join
from sidecar.adapters.phrases import UNKNOWN, count, digits, minute, probability, share, times
from sidecar.adapters.tables import body_rows, head_row, numeric
from sidecar.app.replay_report import ReplayReport
from sidecar.app.report_page.tracks import Track, WindowView
from sidecar.app.report_page.words import certainty, kind, verdict
from sidecar.config.values import Duration
from sidecar.monitors.snapshot import SubjectDrift, score_of

_MOST_ROWS = 8
_MOST_NAMES = 4


def header(report: ReplayReport) -> Html:
    """Name what was replayed, through what."""
    model = report.model
    return element(
        "header",
        element("h1", f"{model.name} {model.version}"),
        element("p", "Replay of ", element("code", report.input), class_="sentence"),
    )


def summary(
    report: ReplayReport, views: Sequence[WindowView], shown: WindowView | None
) -> Html:
    """Give the verdict on the whole, the rows that bear it out, and figures."""
    found = _found(views)
    sign, state, headline = _headline(views, found)
    return join(
        element(
            "section",
            element("h2", element("span", sign, aria_hidden="true"), " ", headline),
            _dataset(report, views),
            _rows(found),
            element("p", certainty(report), class_="note"),
            class_=f"answer {state}",
        ),
        _caveats(report, views),
        _tiles(report, shown),
    )


def _dataset(report: ReplayReport, views: Sequence[WindowView]) -> Html | None:
    """Say whether the data set as a whole drifts at the end."""
    said = [
        f"over {view.now.window} since {minute(each.since_ms)}"
        for view in views
        for each in view.dataset
        if each.severity == "critical" and each.ended_ms is None
    ]
    if not said:
        return None
    least = f"{report.judgement.dataset_share:.0%}"
    text = f"The data set drifts: at least {least} of its features do, {'; '.join(said)}."
    return element("p", text, class_="dataset")


def _found(views: Sequence[WindowView]) -> list[tuple[Track, WindowView]]:
    """Give each subject that drifted, in the window in which it did so most."""
    best: dict[tuple[str, str], tuple[Track, WindowView]] = {}
    for view in views:
        for track in view.tracks:
            key = track.now.subject, track.now.name
            if track.episodes and (key not in best or track.rank < best[key][0].rank):
                best[key] = track, view
    return sorted(best.values(), key=lambda pair: pair[0].rank)


def _headline(
    views: Sequence[WindowView], found: Sequence[tuple[Track, WindowView]]
) -> tuple[str, str, str]:
    """Give a sign, a class and the sentence."""
    if not views:
        return "○", "unknown", "Nothing to judge: no event was decided."
    if not any(view.ever_ready for view in views):
        return "○", "unknown", "No verdict: no window ever held enough records."
    of = len(views[0].tracks)
    active = [track for track, _ in found if track.drifts]
    if active:
        since = min(track.last_span[0] for track in active if track.last_span)
        worst = "bad" if any(track.verdict == "critical" for track in active) else "warn"
        return "▲", worst, f"{_names(active, of)} since {minute(since)}."
    if found:
        names = ", ".join(track.now.name for track, _ in found[:_MOST_NAMES])
        return (
            "▽",
            "warn",
            f"{len(found)} of {of} drifted and no longer do: {names}{_more(found)}.",
        )
    return "●", "good", f"Nothing drifts: none of {of} features and answers."


def _names(active: Sequence[Track], of: int) -> str:
    if len(active) == 1:
        return f"1 of {of} drifts: {active[0].now.name},"
    names = ", ".join(track.now.name for track in active[:_MOST_NAMES])
    return f"{len(active)} of {of} drift: {names}{_more(active)}; the first"


def _more(found: Sequence[object]) -> str:
    return " and others" if len(found) > _MOST_NAMES else ""


def _rows(found: Sequence[tuple[Track, WindowView]]) -> Html | None:
    if not found:
        return None
    head = head_row(
        ("What", ""),
        ("State", ""),
        ("Since", ""),
        ("Until", ""),
        ("Window", ""),
        ("Highest PSI", "num"),
        ("Of its critical value", "num"),
        ("p", "num"),
        ("Records then", "num"),
    )
    rows = [_row(track, view) for track, view in found[:_MOST_ROWS]]
    more = len(found) - len(rows)
    return join(
        element("div", element("table", head, body_rows(rows)), class_="scroll"),
        element("p", f"And {more} more, below.", class_="note") if more else None,
    )


def _row(track: Track, view: WindowView) -> Html:
    since, until = track.last_span or (None, None)
    highest = track.peak.drift if track.peak else track.now
    psi = score_of(highest.scores, "psi")
    name = element("a", track.now.name, href=f"#{anchor(view, track)}")
    return element(
        "tr",
        element("th", name, _small(kind(track.now)), scope="row"),
        element("td", verdict(track)),
        element("td", minute(since), class_="when"),
        element("td", minute(until) if until else "the end", class_="when"),
        element("td", view.now.window),
        numeric(digits(psi.value) if psi else UNKNOWN),
        numeric(times(highest.severity) if psi else UNKNOWN),
        numeric(_chance(track, highest)),
        numeric(count(highest.records)),
    )


def _chance(track: Track, highest: SubjectDrift) -> str:
    """Give the p-value of the worst severity that an episode of the subject had."""
    critical = any(each.severity == "critical" for each in track.episodes)
    return probability(highest.p_critical if critical else highest.p_warning)


def anchor(view: WindowView, track: Track) -> str:
    """Give the place of a subject's pictures in the page."""
    return f"{view.key}-{view.tracks.index(track)}"


def _small(text: Child) -> Html:
    return element("small", " ", text)


def _caveats(report: ReplayReport, views: Sequence[WindowView]) -> Html | None:
    """Say aloud what stands behind no number."""
    least = report.judgement.min_records
    said = [
        *(
            f"Window {view.now.window} is insufficient: it held {count(view.best_records)} "
            f"records at most, and a verdict needs {count(least)}."
            for view in views
            if not view.ever_ready
        ),
        *(
            f"Window {view.now.window} is insufficient at the end: it holds "
            f"{count(view.now.records)} records, and a verdict needs {count(least)}."
            for view in views
            if view.ever_ready and not view.now.ready
        ),
        *(
            f"Window {view.now.window} is uncalibrated: the bundle does not say how far clean "
            "windows of this length lie from the reference. Critical values hold for "
            "independent events; events that hang together pass them with nothing drifting. "
            "So no episode of drift can begin in it."
            for view in views
            if view.now.calibration == "none"
        ),
        *(
            f"Window {view.now.window} is calibrated on {count(view.now.calibration_windows)} "
            "windows of the replay itself, not of the reference; no episode of drift can begin "
            "before that."
            for view in views
            if view.now.calibration == "learned"
        ),
        *(
            f"Window {view.now.window} held too few records at the end and grew to "
            f"{Duration(view.now.end_ms - view.now.start_ms)}."
            for view in views
            if view.now.ready and view.now.end_ms - view.now.start_ms > view.now.length_ms
        ),
        *_left_out(report),
        *(f"{note[:1].upper()}{note[1:]}." for note in report.notes),
    ]
    if not said:
        return None
    items = [element("li", sentence) for sentence in said]
    return element(
        "section", element("h2", "What to know"), element("ul", *items), class_="why degraded"
    )


def _left_out(report: ReplayReport) -> list[str]:
    monitors = report.monitors
    return [
        *(
            [f"{count(monitors.late)} events came too late for any window."]
            * (monitors.late > 0)
        ),
        *(
            [f"{count(monitors.future)} events were ahead of their record's time."]
            * (monitors.future > 0)
        ),
    ]


def _tiles(report: ReplayReport, shown: WindowView | None) -> Html:
    records = report.records
    whole = sum(report.sources.values()) or 1
    answered = report.sources.get("model", 0) + report.sources.get("upstream", 0)
    first, last = (shown.axis.begin_ms, shown.axis.end_ms) if shown else (None, None)
    return element(
        "section",
        _tile("Records", count(records.received), f"{count(records.decided)} decided"),
        _tile(
            "Dead letters",
            count(records.rejected),
            f"{share(records.rejected / (records.received or 1))} of records",
        ),
        _tile(
            "Fallback share",
            share(1 - answered / whole) if report.sources else UNKNOWN,
            "of decisions",
        ),
        _tile("From", _moment(first), "UTC, event time", "instant"),
        _tile("To", _moment(last), "UTC, event time", "instant"),
        class_="tiles",
        aria_label="Figures",
    )


def _moment(ms: int | None) -> str:
    return minute(ms).removesuffix(" UTC")


def _tile(name: str, value: str, note: str, form: str = "") -> Html:
    return element(
        "div",
        element("h2", name),
        element("p", value, class_=f"value {form}".strip()),
        element("p", note, class_="note"),
        class_="tile",
    )
