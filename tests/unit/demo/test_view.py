"""What is on the screen at a moment."""

import io

from rich.console import Console

from sidecar.demo.incidents import EDUCATION_MISSING
from sidecar.demo.view import LineView, LiveView, Moment, news, worst
from sidecar.demo.watch import Sighting
from tests.telemetry_samples import window
from tests.unit.demo.readings import reading, subject

SIGHTING = Sighting(EDUCATION_MISSING.begins_ms, "psi of SCHL over 7d", 0.41, 0.1, "")


def moment(elapsed_s: float = 20.0, *, seen: bool = True) -> Moment:
    now_ms = EDUCATION_MISSING.begins_ms + 86_400_000
    drifting = subject("SCHL", 0.41, missing_ratio=0.4)
    return Moment(
        elapsed_s=elapsed_s,
        progress=0.25,
        event_time_ms=now_ms,
        reading=reading(now_ms, subject("AGEP"), drifting),
        sightings={EDUCATION_MISSING: SIGHTING} if seen else {},
    )


def text_of(*moments: Moment, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, record=True)
    live = LiveView(console, metrics_url="http://m/metrics", status_url="http://s/")
    with live if terminal else LineView(console) as view:
        for each in moments:
            view.show(each)
    return console.export_text()


def test_an_incident_and_its_sighting_are_news_as_they_come() -> None:
    begun = (
        "INCIDENT: education goes missing: SCHL is left out of 40% of the events",
        "SEEN: education goes missing: psi of SCHL over 7d: 0.41 > 0.1",
    )

    assert news(moment(seen=False)) == [begun[0]]
    assert news(moment()) == list(begun)


def test_lines_say_news_once_and_the_state_every_five_seconds() -> None:
    lines = text_of(moment(20.0, seen=False), moment(20.5), moment(24.9), moment(25.0))

    assert [line.split()[:3] for line in lines.splitlines()] == [
        ["20.0s", "2016-09-02", "INCIDENT:"],
        ["20.0s", "2016-09-02", "1,234"],
        ["20.5s", "2016-09-02", "SEEN:"],
        ["25.0s", "2016-09-02", "1,234"],
    ]


def test_a_line_of_state_holds_what_the_sidecar_shows() -> None:
    line = text_of(moment(seen=False)).splitlines()[1]

    assert line == (
        " 20.0s 2016-09-02  1,234 records/s; model 70, rule 30; dead letters 8; "
        "drifting: SCHL; circuit closed"
    )


def test_the_page_shows_links_counts_incident_and_drift() -> None:
    page = text_of(moment(), terminal=True)

    for part in (
        "http://m/metrics",
        "http://s/",
        "circuit closed",
        "SCHL is left out of 40% of the events",
        "seen: psi of SCHL over 7d: 0.41 > 0.1",
        "child",
        "malformed_json",
    ):
        assert part in page
    rows = [line.split() for line in page.splitlines()]
    assert ["SCHL", "7d", "0.410", "0.100", "40.0%", "0.3%"] in rows


def test_each_subject_is_shown_in_the_window_where_it_drifts_most() -> None:
    long = window("30d", subject("a", 0.3), subject("b"))

    pairs = worst(reading(1, subject("a", 0.2), longer=(long,)))

    assert [(w.window, s.name) for w, s in pairs] == [("30d", "a"), ("30d", "b")]
