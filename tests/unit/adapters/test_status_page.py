"""What the page says, and that it only ever says it."""

import re
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from sidecar.adapters.status_page import render
from sidecar.monitors.snapshot import MonitorSnapshot
from sidecar.telemetry.status import Cause, StateName, StatusView
from tests.telemetry_samples import MODEL, NOW_MS, monitors, status, subject, window

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
    outline = Outline(render(view, window=window, refresh_s=refresh_s))
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

    html = render(view, window=None, refresh_s=5)
    asked = render(view, window="5m", refresh_s=5)
    unknown = render(view, window="nonsense", refresh_s=5)

    assert re.findall(r'<a href="(\S+)" aria-current', html) == ["?window=1h"]
    assert re.findall(r'<a href="(\S+)" aria-current', asked) == ["?window=5m"]
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
    assert {"script", "img"} & set(outline.tags) == set()
    assert HOSTILE in outline.text


def test_the_page_needs_nothing_but_its_own_style_sheet() -> None:
    html = render(status(), window=None, refresh_s=5)

    assert re.findall(r'(?:src|href)="([^"?]+)', html) == ["status.css", "api/v1/status"]
    assert "style=" not in html
    assert "<script" not in html


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
