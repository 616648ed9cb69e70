"""What the page says, and that it only ever says it."""

import re
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from sidecar.adapters.choice import Choice
from sidecar.adapters.status_page import render
from sidecar.monitors.snapshot import MonitorSnapshot
from sidecar.telemetry.status import Cause, StateName, StatusView
from tests.telemetry_samples import (
    MODEL,
    NOW_MS,
    last_decisions,
    monitors,
    status,
    subject,
    window,
)

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='x'>&"


class Outline(HTMLParser):
    """Tags, texts and table rows of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "title" in self.open:
            return
        self.text += data
        if self.rows and {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data


def page(view: StatusView, *, window: str | None = None, refresh_s: int | None = 5) -> Outline:
    outline = Outline(render(view, choice=Choice(window), refresh_s=refresh_s))
    assert outline.open == []
    return outline


def features(outline: Outline) -> list[str]:
    """The features of the drift table, from the top."""
    start = next(at for at, row in enumerate(outline.rows) if row[0] == "Feature")
    rows = outline.rows[start + 1 :]
    return [row[0] for row in rows[: next(at for at, r in enumerate(rows) if len(r) == 1)]]


def test_features_stand_by_severity() -> None:
    assert features(page(status())) == [
        "amount",
        "country",
        "age",
        "income",
        "months_since_last_payment",
    ]


def test_a_feature_has_its_numbers_beside_what_is_usual() -> None:
    drift_alone = replace(status(), quality=None)
    rows = {row[0]: row[1:] for row in page(drift_alone).rows}

    assert rows["amount"] == [
        "▲ drifting",
        "> 40: 10.0 % → 40.0 %",
        "12.1 ×",  # noqa: RUF001
        "0.412 / 0.034",
        "0.310",
        "0.280",
        "1.2 % usual 1.0 %",
        "0 %",
        "7.1 %",
        "18,250",
    ]
    assert rows["country"][5] == "–"  # noqa: RUF001 - no order, so no KS


def test_a_feature_without_a_verdict_says_so() -> None:
    rows = {row[0]: row[1:4] for row in page(status(), window="1h").rows}

    assert rows["amount"][0] == "○ no verdict"
    assert "Too few records for a verdict." in page(status(), window="1h").text


def test_the_shortest_ready_window_is_shown_unless_another_is_asked_for() -> None:
    young = window("5m", subject("amount"), ready=False)
    older = window("1h", subject("amount"))
    view = status(
        monitors=MonitorSnapshot(
            windows=(young, older), newest_event_time_ms=NOW_MS, late=0, future=0
        )
    )

    html = render(view, refresh_s=5)
    asked = render(view, choice=Choice("5m"), refresh_s=5)
    unknown = render(view, choice=Choice("nonsense"), refresh_s=5)

    current = r'<a href="([^"&]+)\S*" data-choice="window" aria-current="page"'
    assert re.findall(current, html) == ["?window=1h"]
    assert re.findall(current, asked) == ["?window=5m"]
    assert unknown == html


@pytest.mark.parametrize(
    "state", ["starting", "ready", "degraded", "blocked", "draining", "stopped"]
)
def test_every_state_is_a_sign_and_a_word(state: StateName) -> None:
    outline = page(status(state=state))

    assert re.search(rf"\S {state}", outline.text)


def test_reasons_are_listed() -> None:
    cause = Cause("topic_missing", "the topic credit.decisions does not exist")
    text = page(status(state="blocked", reasons=(cause,))).text

    assert "topic_missing the topic credit.decisions does not exist" in text


def test_counts_show_the_last_minute_and_the_whole_life() -> None:
    rows = {row[0]: row[2:] for row in page(status()).rows if len(row) == 5}

    assert rows["model"] == ["85.7 %", "60,000", "8,120,000"]
    assert rows["cache"] == ["0 %", "0", "0"]
    assert rows["missing_field"] == ["97.2 %", "420", "5,300"]


def test_what_is_unknown_is_a_dash_not_a_zero() -> None:
    rows = {row[0]: row[1:] for row in page(status()).rows}

    assert rows["3"] == ["■ paused", "–", "–", "–", "–", "0"]  # noqa: RUF001


def test_a_process_that_knows_nothing_yet_has_a_page() -> None:
    text = page(status(state="starting", partitions=(), monitors=None)).text

    assert "No partition is assigned to this process." in text
    assert "The monitors have seen no events yet." in text


def test_the_age_of_the_data_is_always_there() -> None:
    text = page(status()).text

    assert "Newest event3.0 s ago" in text
    assert "Last decision0.4 s ago" in text
    assert "As of 2026-11-18 11:06:40 UTC" in text


def test_nothing_that_comes_from_outside_becomes_markup() -> None:
    plain = page(status())
    evil = subject(HOSTILE, bins=(HOSTILE, "b"), reference=(0.9, 0.1), current=(0.1, 0.9))
    view = status(
        name=HOSTILE,
        group=HOSTILE,
        reasons=(Cause(HOSTILE, HOSTILE),),
        model=MODEL,
        monitors=MonitorSnapshot(
            windows=(window(HOSTILE, evil),), newest_event_time_ms=None, late=0, future=0
        ),
    )

    outline = page(view)

    assert set(outline.tags) <= set(plain.tags)
    assert outline.tags.count("script") == plain.tags.count("script") == 2
    assert "img" not in outline.tags
    assert HOSTILE in outline.text


def test_the_page_needs_nothing_but_its_own_files() -> None:
    html = render(status(), refresh_s=5)

    assert re.findall(r'(?:src|href)="([^"?]+)', html) == [
        "static/uPlot.min.css",
        "status.css",
        "static/uPlot.iife.min.js",
        "static/status.js",
        "api/v1/status",
    ]
    assert "style=" not in html
    assert re.findall(r"<script[^>]*>(.*?)</script>", html) == ["", ""]


def test_without_script_the_page_loads_itself_anew_and_with_it_it_does_not() -> None:
    html = render(status(), refresh_s=5)
    still = render(status(), refresh_s=None)

    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in html
    assert " data-live" in html
    assert "refresh" not in still.replace("refresh=off", "")
    assert "data-live" not in still


def test_a_feature_stands_beside_its_reference() -> None:
    chosen = Outline(render(status(), choice=Choice("5m", "country"), refresh_s=5))
    rows = {row[0]: row[2:] for row in chosen.rows if len(row) == 4}

    assert "country: reference and 5m" in chosen.text
    assert rows["DE"] == ["50.0 %", "42.0 %"]
    assert "unseen 2.4 %" in chosen.text


def test_the_feature_that_changed_most_is_shown_unless_another_is_asked_for() -> None:
    assert "amount: reference and 5m" in page(status()).text
    unknown = Outline(render(status(), choice=Choice("5m", "nonsense"), refresh_s=5))
    assert "amount: reference and 5m" in unknown.text


def test_every_window_and_feature_is_a_link_that_keeps_the_other_choice() -> None:
    html = render(status(), choice=Choice("5m", "country"), refresh_s=5)

    links = re.findall(r'href="(\?window=[^"]+)" data-choice=', html)
    assert "?window=1h&amp;feature=country" in links
    assert "?window=5m&amp;feature=age" in links


# --- decisions -----------------------------------------------------------------------------


def test_decisions_that_are_off_say_how_to_switch_them_on() -> None:
    assert "Off. http.decisions keeps the last ones." in page(status()).text


def test_a_decision_is_followed_from_the_record_to_its_acknowledgement() -> None:
    outline = Outline(render(status(), decisions=last_decisions(), refresh_s=5))

    assert outline.open == []
    for words in (
        "Receivedcredit.events, partition 0, offset 120298, ",
        "Checkedno faults",
        "Featuresamount = 812.5, country = DE",
        "Scoredno, score 0.93, confidence 0.61, below 0.8",
        "Decidedreview by rule, because low_confidence, rule large-amount",
        "Refusedby decode: missing_field. `id` is missing",
    ):
        assert words in outline.text
    stages = [row[0] for row in outline.rows if row[-1].endswith(" ms")]
    assert stages[:6] == ["decode", "check", "score", "decide", "encode", "settle"]


def test_a_window_with_many_features_shows_the_worst_two_hundred() -> None:
    many = [subject(f"f{at:03}") for at in range(250)]
    worst = monitors().windows[0].subjects[3]
    view = status(
        monitors=MonitorSnapshot(
            windows=(window("5m", *many, worst, subject("score", "score")),),
            newest_event_time_ms=None,
            late=0,
            future=0,
        )
    )

    outline = page(view)

    assert features(outline)[0] == "amount"
    assert len(features(outline)) == 200
    assert "51 less severe features are not shown." in outline.text
