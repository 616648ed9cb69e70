"""All sidecars at a glance."""

import pytest
from msgspec.structs import replace

from sidecar.top.fleet import ORDERS, fleet, totals
from sidecar.top.layout import lines
from tests.telemetry_samples import status
from tests.unit.top.sightings import NOW_S, away, seen


def test_each_has_a_row_with_its_state_in_words() -> None:
    table = fleet([seen(), away(name="fraud"), away("10.0.0.8:1", known=False)], NOW_S)

    assert [row.cells[:8] for row in table.rows] == [
        ("credit", "degraded", "1,234", "1,200", "4.2 s", "14.3 %", "432", "2 of 5"),
        ("fraud", "away 90 s", *"\N{EN DASH}" * 6),
        ("10.0.0.8:1", "away", *"\N{EN DASH}" * 6),
    ]
    assert [row.mood for row in table.rows] == ["warn", "bad", "bad"]


def test_replicas_are_told_apart_by_their_address() -> None:
    table = fleet([seen("10.0.0.7:9465"), seen("10.0.0.8:9465")], NOW_S)

    assert [row.cells[0] for row in table.rows] == [
        "10.0.0.7:9465 credit",
        "10.0.0.8:9465 credit",
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_screen_keeps_the_name_the_state_and_the_lag(width: int) -> None:
    titles = lines(fleet([seen()], NOW_S), width)[0].split()

    assert titles[:2] == ["sidecar", "state"]
    assert {"lag", "fallback"} <= set(titles)
    assert "model" not in titles


@pytest.mark.parametrize(
    ("title", "first"),
    [("as given", "idle"), ("state", "gone"), ("rec/s", "busy"), ("lag", "busy")],
)
def test_the_order_puts_the_most_urgent_first(title: str, first: str) -> None:
    rates = replace(status().rates, records_per_second=0.0)
    idle = seen("10.0.0.1:1", name="idle", state="ready", partitions=(), rates=rates)
    sightings = [idle, away("10.0.0.2:1", name="gone"), seen("10.0.0.3:1", name="busy")]
    order = next(order for order in ORDERS if order.title == title)

    assert fleet(sightings, NOW_S, order).rows[0].cells[0] == first


def test_totals_add_up_those_that_answer() -> None:
    upstream = replace(status().rates, decisions={"model": 5_000, "upstream": 65_000})
    sightings = [seen(), seen("10.0.0.8:1", rates=upstream), away()]

    assert totals(sightings) == [
        "2 of 3 answer",
        "2,469 rec/s",
        "lag 2,400",
        "behind 4.2 s",
        "fallback 7.1 %",
        "dead/min 864",
        "in flight 1,024",
    ]


def test_totals_of_nobody_are_no_numbers() -> None:
    assert totals([away(), away("10.0.0.8:1", known=False)]) == ["0 of 2 answer"]
