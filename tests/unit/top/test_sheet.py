"""What is on the screen in each view, as text."""

import pytest
from msgspec.structs import replace

from sidecar.top.layout import cells_of
from sidecar.top.sheet import Choice, Sheet, View, sheet
from tests.telemetry_samples import monitors, subject, window
from tests.unit.top.sightings import NOW_S, away, hostile, seen

HERE, THERE, GONE = seen("10.0.0.1:1"), seen("10.0.0.2:1", name="fraud"), away("10.0.0.3:1")
ALL = [HERE, THERE, GONE]


def text(shown: Sheet) -> str:
    parts = (*shown.head, *shown.rows, *shown.foot)
    return "\n".join([shown.titles, *(line.text for line in parts)])


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_screen(view: View, width: int) -> None:
    for sighting in (*ALL, away(known=False), seen(monitors=None, partitions=())):
        shown = sheet(Choice(view, sighting.target.url), [*ALL, sighting], NOW_S, width)

        assert all(cells_of(line) <= width for line in text(shown).splitlines())


@pytest.mark.parametrize("view", View)
def test_names_from_outside_do_no_harm(view: View) -> None:
    name = hostile()
    drift = replace(monitors(), windows=(window("5m", subject(name, bins=(name,))),))
    sighting = seen(name=name, monitors=drift)

    shown = sheet(Choice(view), [sighting], NOW_S, 200)

    assert all(line.isprintable() for line in text(shown).split("\n"))
    assert "\ufffd" in text(shown)


@pytest.mark.parametrize("view", View)
def test_every_view_of_one_that_is_away_says_so_and_why(view: View) -> None:
    said = text(sheet(Choice(view, GONE.target.url), ALL, NOW_S, 80))

    assert "away" in said
    assert "since 2026-11-18 11:06:40 UTC: Connection refused" in said
    assert "90 s" in said


def test_several_have_totals_and_one_has_none() -> None:
    assert "2 of 3 answer" in text(sheet(Choice(), ALL, NOW_S, 80))
    assert "answer" not in text(sheet(Choice(), [HERE], NOW_S, 80))


def test_the_next_sidecar_is_the_next_in_the_order_of_the_table() -> None:
    by_state = Choice(View.FLEET, HERE.target.url).sorts()

    assert by_state.order == "state"
    assert [row.key for row in by_state.table(ALL, NOW_S).rows] == [
        GONE.target.url,
        HERE.target.url,
        THERE.target.url,
    ]
    assert by_state.moves(ALL, 1).url == THERE.target.url
    assert by_state.moves(ALL, 2).url == GONE.target.url


def test_views_go_round() -> None:
    choice = Choice(View.LETTERS)

    assert (choice.turns(1).view, Choice().turns(-1).view) == (View.FLEET, View.LETTERS)


def test_each_view_remembers_its_order() -> None:
    choice = Choice(View.DRIFT).sorts().sees(View.PARTITIONS).sorts().sees(View.DRIFT)

    assert choice.order == "name"
    assert choice.sees(View.PARTITIONS).order == "lag"
    assert choice.sees(View.ONE).sorts().order == ""


def test_the_changes_of_the_feature_under_the_cursor_stand_below() -> None:
    first = sheet(Choice(View.DRIFT), ALL, NOW_S, 200)
    other = sheet(Choice(View.DRIFT, row="feature country"), ALL, NOW_S, 200)

    assert first.foot[0].text.startswith("amount  reference")
    assert other.foot[0].text.startswith("country  reference")
