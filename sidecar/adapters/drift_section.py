"""The part of the status page that says what changed: one window against the reference."""

from collections.abc import Iterable

from sidecar.adapters.charts import distribution, largest_change
from sidecar.adapters.choice import Choice
from sidecar.adapters.markup import Html, element, join
from sidecar.adapters.phrases import UNKNOWN, count, instant, measure, share
from sidecar.adapters.tables import body_rows, head_row, numeric
from sidecar.monitors.episodes import DATASET, DriftEpisode
from sidecar.monitors.snapshot import DriftScore, SubjectDrift, WindowSnapshot
from sidecar.telemetry.status import StatusView

_MOST_ROWS = 200


def chosen_window(view: StatusView, name: str | None) -> WindowSnapshot | None:
    """Give the window of that name; else the shortest that is ready, else the shortest."""
    windows = view.monitors.windows if view.monitors else ()
    named = (window for window in windows if window.window == name)
    ready = (window for window in windows if window.ready)
    return next(named, None) or next(ready, None) or next(iter(windows), None)


def drift_section(
    view: StatusView, shown: WindowSnapshot | None, subject: str | None = None
) -> Html:
    """Give the section on drift in one window: features by severity, then the answers.

    Args:
        view: What to show.
        shown: The window.
        subject: Name of the feature or answer that has a section of its own.
    """
    if view.monitors is None or shown is None:
        none = element("p", "The monitors have seen no events yet.", class_="none")
        return element("section", element("h2", "Drift"), none)
    features = sorted(
        (subject for subject in shown.subjects if subject.subject == "feature"),
        key=lambda subject: (-subject.severity, subject.name),
    )
    answers = [subject for subject in shown.subjects if subject.subject != "feature"]
    drifting = sum(feature.drifting for feature in features)
    verdict = (
        f"{drifting} of {len(features)} features differ from the reference by more than chance."
        if shown.ready
        else "Too few records for a verdict."
    )
    return element(
        "section",
        element("h2", "Drift"),
        _episodes(view.monitors.episodes),
        _tabs(view.monitors.windows, shown, subject),
        element(
            "p",
            f"{verdict} {_span(shown)}",
            class_="note",
        ),
        _subjects(features, answers, Choice(shown.window, subject)),
    )


def _episodes(episodes: Iterable[DriftEpisode]) -> Html:
    """Give what the alert rule has found and not ended, the data set and the gravest first."""
    found = sorted(
        episodes,
        key=lambda each: (each.subject != DATASET, each.severity != "critical", each.since_ms),
    )
    if not found:
        return element("p", "No episode of drift.", class_="note")
    lines = [
        element(
            "li",
            f"{_what(each)} over {each.window}: {each.severity} since {instant(each.since_ms)}",
        )
        for each in found
    ]
    return element("ul", *lines, aria_label="Episodes of drift")


def _what(episode: DriftEpisode) -> str:
    features = episode.evidence.features
    return f"the data set ({', '.join(features)})" if features else episode.name


def _span(window: WindowSnapshot) -> str:
    if not window.end_ms:
        return "No events yet."
    span = f"{instant(window.start_ms)} to {instant(window.end_ms)}"
    return f"{count(window.records)} records, event time {span}."


def _tabs(
    windows: Iterable[WindowSnapshot], shown: WindowSnapshot, subject: str | None
) -> Html:
    links = [
        element(
            "a",
            window.window,
            element("small", count(window.records) if window.ready else "not ready"),
            href=Choice(window.window, subject).address(),
            data_choice="window",
            aria_current="page" if window is shown else None,
        )
        for window in windows
    ]
    return element("nav", *links, aria_label="Windows")


def _subjects(
    features: list[SubjectDrift], answers: list[SubjectDrift], choice: Choice
) -> Html:
    head = head_row(
        ("Feature", ""),
        ("State", ""),
        ("Reference and window", ""),
        ("Severity", "num"),
        ("PSI / critical", "num"),
        ("JS", "num"),
        ("KS", "num"),
        ("Missing", "num"),
        ("Unseen", "num"),
        ("Out of range", "num"),
        ("Records", "num"),
    )
    shown = features[:_MOST_ROWS]
    table = element(
        "table",
        head,
        body_rows(_subject(feature, choice) for feature in shown),
        body_rows([_group("Answers"), *(_subject(each, choice) for each in answers)])
        if answers
        else None,
        class_="subjects",
    )
    more = len(features) - len(shown)
    legend = "Hollow bars are the reference, filled ones the window; below: the largest change."
    left_out = f" {more} less severe features are not shown." if more else ""
    return join(
        element("div", table, class_="scroll"), element("p", legend, left_out, class_="note")
    )


def _group(title: str) -> Html:
    heading = element("th", title, scope="rowgroup", colspan=11)
    return element("tr", heading, class_="group")


def _subject(drift: SubjectDrift, choice: Choice) -> Html:
    psi, js, ks = (drift.score(method) for method in ("psi", "js", "ks"))
    if psi is None:
        sign, word = "○", "no verdict"
    else:
        sign, word = ("▲", "drifting") if drift.drifting else ("●", "steady")
    usual = element("small", f"usual {share(drift.reference_missing_ratio)}")
    missing = element("span", share(drift.missing_ratio), " ", usual)
    return element(
        "tr",
        element("th", _link(drift.name, choice), scope="row"),
        element(
            "td",
            element("span", element("span", sign, aria_hidden="true"), f" {word}"),
            class_=f"verdict {word.replace(' ', '-')}",
            data_label="State",
        ),
        element(
            "td",
            distribution(drift),
            element("small", largest_change(drift)),
            class_="picture",
        ),
        numeric(UNKNOWN if psi is None else f"{drift.severity:.1f} ×", "Severity"),  # noqa: RUF001
        numeric(
            f"{_value(psi)} / {measure(psi.critical if psi is not None else None)}",
            "PSI / critical",
        ),
        numeric(_value(js), "JS"),
        numeric(_value(ks), "KS"),
        numeric(missing, "Missing"),
        numeric(share(drift.unseen_ratio), "Unseen"),
        numeric(share(drift.out_of_range_ratio), "Out of range"),
        numeric(count(drift.records), "Records"),
    )


def _link(name: str, choice: Choice) -> Html:
    return element(
        "a",
        name,
        href=choice._replace(feature=name).address(),
        data_choice="feature",
        aria_current="true" if name == choice.feature else None,
    )


def _value(score: DriftScore | None) -> str:
    return measure(None if score is None else score.value)
