"""What the page of a replay says, and that nothing in it can say more."""

import re
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from sidecar.app.replay_episodes import Episode
from sidecar.app.report_page.page import render
from sidecar.monitors.snapshot import CalibrationOrigin, MonitorSnapshot
from tests.report_samples import episode, replayed
from tests.telemetry_samples import quality, subject, window

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='x'>&</style></title>"
QUIET = [0.01] * 6
LATE = [0.01, 0.01, 0.3, 0.5, 0.8, 0.7]
GONE = [0.2, 0.4, 0.2, 0.01, 0.01, 0.01]


class Outline(HTMLParser):
    """Tags, headings and table rows of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.headings: list[str] = []
        self.items: list[str] = []
        self.unnamed: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)
        for name in ("href", "src"):
            if name in given:
                self.links.append(given[name] or "")
        if "id" in given:
            self.ids.append(given["id"] or "")
        if tag == "svg" and given.get("role") != "img" and "aria-hidden" not in given:
            self.unnamed.append(str(given))
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")
        if tag == "li":
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "svg" in self.open:
            return
        if self.rows and {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data
        if {"h1", "h2", "h3"} & set(self.open):
            self.headings[-1] += data
        if "li" in self.open:
            self.items[-1] += data


def outline(html: str) -> Outline:
    found = Outline(html)
    assert found.open == []
    return found


def test_the_top_says_what_drifts_and_since_when() -> None:
    episodes = (episode("income", 0, 3), episode("amount", 2, None))
    report = replayed({"age": QUIET, "amount": LATE, "income": GONE}, episodes=episodes)

    page = outline(render(report))

    assert page.headings[:2] == [
        "credit 7",
        "▲ 1 of 3 drifts: amount, since 2026-03-01 14:00 UTC.",
    ]
    amount, income = page.rows[1:3]
    assert amount == [
        "amount feature",
        "▲ critical",
        "2026-03-01 14:00 UTC",
        "the end",
        "1d",
        "0.8",
        "24 \N{MULTIPLICATION SIGN}",
        "<0.0001",
        "18,250",
    ]
    assert income[:4] == [
        "income feature",
        "▽ drifted before",
        "2026-03-01 12:00 UTC",
        "2026-03-01 15:00 UTC",
    ]


@pytest.mark.parametrize(
    ("indices", "episodes", "headline"),
    [
        (QUIET, (), "● Nothing drifts: none of 1 features and answers."),
        (GONE, (episode("amount", 0, 3),), "▽ 1 of 1 drifted and no longer do: amount."),
        (
            LATE,
            (episode("amount", 2, None, severity="warning"),),
            "▲ 1 of 1 drifts: amount, since 2026-03-01 14:00 UTC.",
        ),
        ([None] * 6, (), "○ No verdict: no window ever held enough records."),
    ],
    ids=["steady", "over", "warning", "too few"],
)
def test_the_headline_is_the_verdict(
    indices: list[float | None], episodes: tuple[Episode, ...], headline: str
) -> None:
    page = outline(render(replayed({"amount": indices}, episodes=episodes)))

    assert page.headings[1] == headline


def test_the_data_set_has_a_sentence_and_a_row_of_its_own() -> None:
    whole = episode("dataset", 3, None, subject="dataset")

    html = render(replayed({"amount": LATE}, episodes=(episode("amount", 2, None), whole)))

    assert "at least 20% of its features do, over 1d since 2026-03-01 15:00 UTC." in html
    assert ">(data set)</text>" in html


def test_a_grown_window_says_so() -> None:
    report = replayed({"amount": QUIET})
    last = report.monitors.windows[0]
    grown = replace(last, start_ms=last.start_ms - 24 * 3_600_000)
    monitors = replace(report.monitors, windows=(grown,))

    items = outline(render(replace(report, monitors=monitors))).items

    assert items == ["Window 1d held too few records at the end and grew to 2d."]


def test_no_event_is_no_verdict() -> None:
    nothing = MonitorSnapshot(windows=(), newest_event_time_ms=None, late=0, future=0)
    empty = replace(
        replayed({"amount": QUIET}), monitors=nothing, timeline=(), peaks=(), episodes=()
    )

    assert outline(render(empty)).headings[1] == "○ Nothing to judge: no event was decided."


def test_what_is_insufficient_or_left_out_is_said_aloud() -> None:
    report = replayed({"amount": [None] * 6}, notes=("one line is blank",))
    late = replace(report, monitors=replace(report.monitors, late=1_200, future=3))

    assert outline(render(late)).items == [
        "Window 1d is insufficient: it held 80 records at most, and a verdict needs 200.",
        "1,200 events came too late for any window.",
        "3 events were ahead of their record's time.",
        "One line is blank.",
    ]


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("none", ["Window 1d is uncalibrated"]),
        ("learned", ["Window 1d is calibrated on 168 windows of the replay itself"]),
        ("bundle", []),
    ],
)
def test_what_critical_values_rest_on_is_said_aloud(
    origin: CalibrationOrigin, words: list[str]
) -> None:
    report = replayed({"amount": QUIET})
    last = replace(report.monitors.windows[0], calibration=origin)
    monitors = replace(report.monitors, windows=(last,))

    items = outline(render(replace(report, monitors=monitors))).items

    assert [item[: len(text)] for item, text in zip(items, words, strict=True)] == words


def test_a_window_that_runs_dry_at_the_end_is_said_aloud() -> None:
    page = outline(render(replayed({"amount": [0.01, 0.01, None]})))

    assert page.items[0].startswith("Window 1d is insufficient at the end: it holds 80 records")


def test_nothing_comes_from_elsewhere_and_every_link_has_its_place() -> None:
    html = render(replayed({"amount": LATE, "age": QUIET}))
    page = outline(html)

    assert re.findall(r"https?:|url\((?!#)|@import|\bstyle=|\bon\w+=", html) == []
    assert {"link", "img", "iframe", "object", "base"} & set(page.tags) == set()
    assert "default-src &#x27;none&#x27;" in html
    assert set(page.links) == {"#w0-0", "#w0-1"}
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_every_picture_has_words_or_numbers_beside_it() -> None:
    html = render(replayed({"amount": LATE, "age": [None] * 6}))

    assert outline(html).unnamed == []
    titles = re.findall(r'<svg class="chart"[^>]*><title>([^<]+)</title>', html)
    assert (
        "PSI over 1d, 2026-03-01 12:00 UTC to 2026-03-01 17:00 UTC: from 0.01 to 0.8, the "
        "highest at 2026-03-01 16:00 UTC; past its critical value at 4 of 6 instants, first at "
        "2026-03-01 14:00 UTC"
    ) in titles
    assert "PSI over 1d: too few records at every instant" in titles
    assert len(titles) == html.count('<svg class="chart"')


def test_names_of_data_cannot_become_markup() -> None:
    hostile = subject(
        HOSTILE,
        bins=(HOSTILE, "b", "unseen", "missing"),
        reference=(0.5, 0.5, 0.0, 0.0),
        current=(0.1, 0.9, 0.0, 0.0),
    )
    report = replayed({HOSTILE: LATE}, input=HOSTILE, notes=(HOSTILE,), rules={HOSTILE: 1})
    last = replace(report.monitors.windows[0], subjects=(hostile,))
    monitors = replace(report.monitors, windows=(last,))
    model = replace(report.model, name=HOSTILE)

    html = render(replace(report, monitors=monitors, model=model))

    page = outline(html)
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert "img" not in page.tags
    assert page.headings[0] == f"{HOSTILE} 7"
    assert HOSTILE in [row[0] for row in page.rows]


def test_each_bin_has_its_shares_and_those_of_the_peak() -> None:
    report = replayed({"amount": GONE})
    moved = replace(report.peaks[0].drift, current=(0.0, 0.0, 0.0, 0.0, 0.25, 0.75))
    page = outline(render(replace(report, peaks=(replace(report.peaks[0], drift=moved),))))

    head = page.rows.index(["Bin", "", "Reference", "At the end", "At its peak"])
    assert page.rows[head + 5 : head + 7] == [
        ["> 40", "", "10.0 %", "10.0 %", "25.0 %"],
        ["missing", "", "1.0 %", "1.0 %", "75.0 %"],
    ]


def test_there_is_a_choice_between_windows_and_the_most_telling_one_is_made() -> None:
    report = replayed({"amount": LATE}, episodes=(episode("amount", 2, None),))
    short = window("5m", subject("amount", scores=(), records=3), ready=False, records=3)
    points = tuple(
        replace(
            each,
            windows=(
                replace(
                    each.windows[0],
                    window="5m",
                    ready=False,
                    subjects=(replace(each.windows[0].subjects[0], scores=()),),
                ),
                *each.windows,
            ),
        )
        for each in report.timeline
    )
    monitors = replace(report.monitors, windows=(short, *report.monitors.windows))

    html = render(replace(report, monitors=monitors, timeline=points))

    assert re.findall(r'id="(w\d)"( checked)?>', html) == [("w0", ""), ("w1", " checked")]
    assert html.count('<div class="window w') == 2


def test_many_subjects_and_points_stay_a_page() -> None:
    many: dict[str, list[float | None]] = {f"f{at:03}": [0.01] * 500 for at in range(120)}

    html = render(replayed(many))

    assert "60 steadier subjects have no pictures here" in html
    assert "90 steadier ones are in the table alone" in html
    assert len(html) < 3_000_000


def test_data_quality_is_shown_of_the_window_that_is_chosen() -> None:
    of_day = replace(quality(), windows=(replace(quality().windows[0], window="1d"),))

    page = outline(render(replayed({"amount": QUIET}, quality=of_day)))

    assert "Data quality, over 1d" in page.headings
    assert ["missing: amount", "▲ outside", "20.0 %", "1.0 %", "0 % to 1.3 %", "18,000"] in (
        page.rows
    )
