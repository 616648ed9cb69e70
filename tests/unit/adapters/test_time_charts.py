"""Where instants and values stand, and what a line does where there is no value."""

import re
from itertools import pairwise

import pytest

from sidecar.adapters.time_charts import (
    Line,
    Mark,
    Row,
    TimeAxis,
    ValueAxis,
    line_chart,
    merge_marks,
    share_chart,
    state_chart,
)

HOUR = 3_600_000
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("begin", "end", "texts"),
    [
        (
            0,
            2 * HOUR,
            ["01-01 00:00", "01-01 00:30", "01-01 01:00", "01-01 01:30", "01-01 02:00"],
        ),
        (HOUR, 3 * DAY, ["01-01 12:00", "01-02 00:00", "01-02 12:00"]),
        (0, 9 * DAY, ["1970-01-01", "1970-01-03"]),
    ],
    ids=["hours", "days", "dates"],
)
def test_instants_are_named_at_round_times(begin: int, end: int, texts: list[str]) -> None:
    ticks = TimeAxis(begin, end).ticks()

    assert [text for _, text in ticks][: len(texts)] == texts
    assert all(begin <= at <= end for at, _ in ticks)


@pytest.mark.parametrize("span", [1, 60_000, 7 * HOUR, 400 * DAY, 60 * 365 * DAY])
def test_there_are_never_many_names(span: int) -> None:
    assert len(TimeAxis(1_234_567, 1_234_567 + span).ticks()) <= 8


@pytest.mark.parametrize("top", [1e-6, 0.003, 0.05, 0.12, 1.0, 40.0])
@pytest.mark.parametrize("root", [False, True])
def test_values_are_named_from_zero_and_apart(top: float, root: bool) -> None:
    axis = ValueAxis(top, root=root)
    places = [axis.y(tick) for tick in axis.ticks()]

    assert axis.ticks()[0] == 0.0
    assert max(axis.ticks()) <= top
    assert all(low - high >= 13 for low, high in pairwise(places))


def test_a_line_breaks_where_there_is_no_value_and_a_lone_one_is_a_dot() -> None:
    values = [0.1, 0.2, None, 0.3, None, float("nan"), 0.4, 0.5]
    axis = TimeAxis(0, 7, left=0)

    html = line_chart(axis, ValueAxis(1.0), range(8), [Line("score", values)], title="x")

    (path,) = re.findall(r'class="line score" d="([^"]+)"', html)
    assert re.sub(r"[\d. ]+", "", path.replace("h0", "h")) == "MLMhML"


def test_shares_fill_the_picture_and_nothing_is_drawn_of_nothing() -> None:
    parts = [Line("model", [3, 0]), Line("rule", [1, 0])]

    html = share_chart(TimeAxis(0, 10, left=0), [0, 10], parts, title="x", height=108)

    model, rule = re.findall(r'points="([^"]+)"', html)
    assert [pair.split(",")[1] for pair in model.split()] == ["33.0", "108.0", "108.0", "108.0"]
    assert [pair.split(",")[1] for pair in rule.split()] == ["8.0", "108.0", "108.0", "33.0"]


def test_what_is_short_or_outside_is_seen_all_the_same() -> None:
    marks = [Mark("drift", 5, 5, ""), Mark("drift", -50, 50, "")]

    html = state_chart(TimeAxis(0, 10, left=0, width=108), [Row("a", marks)], title="x")

    found = re.findall(r'class="mark drift" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', html)
    assert found == [("50.0", "1.5"), ("0.0", "100.0")]


def test_equal_states_are_one_mark_and_texts_are_escaped() -> None:
    marks = merge_marks([10, 20, 30, 40], ["few", "", "few", "few"], 0)

    html = state_chart(TimeAxis(0, 40), [Row("<script>", marks)], title="</title>")

    assert [mark[:3] for mark in marks] == [("few", 0, 10), ("few", 20, 40)]
    assert "<script>" not in html
    assert html.count("</title>") == 3
