"""One window at a glance: the state of every subject through time, and the table of all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sidecar.adapters.charts import distribution, largest_change
from sidecar.adapters.markup import Child, Html, element, join
from sidecar.adapters.phrases import UNKNOWN, count, digits, minute, share, times
from sidecar.adapters.tables import body_rows
from sidecar.adapters.time_charts import Mark, Row, merge_marks, state_chart
from sidecar.app.replay_episodes import Episode
from sidecar.app.report_page.summary import anchor
from sidecar.app.report_page.tracks import Track, WindowView
from sidecar.app.report_page.words import kind, verdict
from sidecar.monitors.bins import OUT_OF_RANGE, UNSEEN
from sidecar.monitors.snapshot import Method, SubjectDrift, score_of

_MOST_ROWS = 30
_NAME_LETTERS = 22
_NAMES_WIDTH = 150
_WIDTH = 1160
# Height tells states apart where colour does not.
_PARTS = {"few": 0.6, "steady": 0.15, "past": 0.4, "warning": 0.75, "critical": 1.0}


def states(view: WindowView) -> Html:
    """Draw who drifted when, the most telling subjects first."""
    shown = view.tracks[:_MOST_ROWS]
    rows = [Row(_short(track.now.name), list(_marks(view, track))) for track in shown]
    if view.dataset:
        whole = (m._replace(part=_PARTS[m.kind]) for m in drift_marks(view, view.dataset))
        rows.insert(0, Row("(data set)", list(whole)))
    left_out = len(view.tracks) - len(shown)
    picture = state_chart(
        replace(view.axis, left=_NAMES_WIDTH, width=_WIDTH),
        rows,
        title="; ".join(map(_said, shown)),
    )
    return element(
        "figure",
        panorama(picture, "Who drifted when"),
        element(
            "figcaption",
            _key("critical", "critical drift"),
            _key("warning", "drift, warning"),
            _key("past", "past chance, within the tolerance or not lasting"),
            _key("steady", "steady"),
            _key("few", "too few records"),
            f" {left_out} steadier ones are in the table alone." if left_out else None,
        ),
    )


def panorama(picture: Html, name: str) -> Html:
    """Give a picture of the page's whole width, which a narrow screen scrolls."""
    return element(
        "div", picture, class_="panorama", tabindex=0, role="region", aria_label=name
    )


def _said(track: Track) -> str:
    spans = (
        f"{e.severity} from {minute(e.since_ms)} to "
        f"{minute(e.ended_ms) if e.ended_ms else 'the end'}"
        for e in track.episodes
    )
    return f"{track.now.name}: {track.verdict} {', '.join(spans)}".strip()


def _marks(view: WindowView, track: Track) -> Iterator[Mark]:
    kinds = [_state(point.scores) for point in track.points]
    for mark in merge_marks(view.times_ms, kinds, view.axis.begin_ms):
        yield mark._replace(part=_PARTS[mark.kind])
    for mark in drift_marks(view, track.episodes):
        yield mark._replace(part=_PARTS[mark.kind])


def _state(scores: Iterable[object]) -> str:
    found = [score for score in scores if getattr(score, "method", "") == "psi"]
    if not found:
        return "few"
    return "past" if getattr(found[0], "exceeded", False) else "steady"


def drift_marks(view: WindowView, episodes: Sequence[Episode]) -> list[Mark]:
    """Give episodes as spans of pictures, warnings behind what is critical."""
    return [
        Mark(
            episode.severity,
            episode.since_ms,
            episode.ended_ms or view.axis.end_ms,
            f"{episode.severity} drift began {minute(episode.since_ms)}, "
            + (f"ended {minute(episode.ended_ms)}" if episode.ended_ms else "lasts"),
        )
        for episode in sorted(episodes, key=lambda each: each.severity, reverse=True)
    ]


def _key(kind: str, text: str) -> Html:
    swatch = element(
        "svg",
        element("rect", class_=f"mark {kind}", width=14, height=10),
        width=14,
        height=10,
        aria_hidden="true",
        class_="key",
    )
    return element("span", swatch, f" {text}", class_="legend")


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…"


# --- the table -----------------------------------------------------------------------------

_COLUMNS = (
    ("Subject", "text"),
    ("State", "text"),
    ("Since", "text"),
    ("Reference and window", ""),
    ("Of critical", "number"),
    ("PSI", "number"),
    ("KS", "number"),
    ("Missing", "number"),
    ("Outside", "number"),
    ("Records", "number"),
)


def table(view: WindowView) -> Html:
    """Give all subjects at the end of the replay; a script lets the reader sort them."""
    head = element("thead", element("tr", *(_heading(*column) for column in _COLUMNS)))
    rows = [_row(view, track) for track in view.tracks]
    caption = element(
        "caption",
        f"All subjects in the last {view.now.window}, {count(view.now.records)} records to "
        f"{minute(view.now.end_ms)}",
    )
    whole = element("table", caption, head, body_rows(rows), class_="subjects sortable")
    note = "Hollow bars are the reference, filled ones the window; below: the largest change."
    return join(
        element(
            "div", whole, class_="scroll", tabindex=0, role="region", aria_label="Subjects"
        ),
        element("p", note, class_="note"),
    )


def _heading(title: str, sort: str) -> Html:
    return element(
        "th",
        title,
        scope="col",
        data_sort=sort or None,
        class_="num" if sort == "number" else None,
    )


def _row(view: WindowView, track: Track) -> Html:
    now = track.now
    psi = score_of(now.scores, "psi")
    since = track.last_span[0] if track.last_span else None
    name = element("a", now.name, href=f"#{anchor(view, track)}")
    small = element("small", f" {kind(now)}")
    return element(
        "tr",
        element("th", name, small, scope="row", data_value=now.name),
        element("td", verdict(track), data_label="State", data_value=track.rank[0]),
        element("td", minute(since), data_label="Since", class_="when"),
        element(
            "td",
            distribution(now),
            element("small", largest_change(now)),
            class_="picture",
        ),
        _number(times(now.severity) if psi else UNKNOWN, now.severity if psi else None, 4),
        _score(track, "psi", 5),
        _score(track, "ks", 6),
        _number(
            join(share(now.missing_ratio), _usual(now.reference_missing_ratio)),
            now.missing_ratio,
            7,
        ),
        _outside(now),
        _number(count(now.records), now.records, 9),
    )


def _usual(ratio: float) -> Html:
    return element("small", f" usual {share(ratio)}")


def _outside(now: SubjectDrift) -> Html:
    """Give what lies outside the reference: a category is unseen, a number out of range."""
    ratio = now.unseen_ratio + now.out_of_range_ratio
    what = UNSEEN if UNSEEN in now.bins else OUT_OF_RANGE
    return _number(join(share(ratio), element("small", f" {what}")), ratio, 8)


def _score(track: Track, method: Method, column: int) -> Html:
    score = score_of(track.now.scores, method)
    if score is None:
        return _number(UNKNOWN, None, column)
    limit = element("small", f" critical {digits(score.critical)}")
    return _number(join(digits(score.value), limit), score.value, column)


def _number(text: Child, value: float | None, column: int) -> Html:
    """Give a cell that sorts by what it means; without a value it comes last."""
    return element(
        "td",
        text,
        class_="num",
        data_label=_COLUMNS[column][0],
        data_value="" if value is None else f"{value:.9g}",
    )
