"""Counters are held against what stands on the topics."""

import json
from collections.abc import Mapping

import pytest

from loadtests.faults.books import Scrape, disagreements, miscounted, parse, unbalanced
from loadtests.faults.history import Record

PAGE = """\
# TYPE sidecar_records_received counter
sidecar_records_received_total 7
# TYPE sidecar_decisions counter
sidecar_decisions_total{reason="confident",source="model"} 3
sidecar_decisions_total{reason="model_timeout",source="default"} 0
# TYPE sidecar_records_rejected counter
sidecar_records_rejected_total{reason="empty",stage="decode"} 1
# TYPE sidecar_tombstones counter
sidecar_tombstones_total 1
# TYPE sidecar_in_flight_records gauge
sidecar_in_flight_records{partition="0"} 1
sidecar_in_flight_records{partition="3"} 1
# TYPE sidecar_window_records gauge
sidecar_window_records{window="5m"} 2
sidecar_window_records{window="24h"} 3
"""
SCRAPE = Scrape(
    at_s=1.0,
    member="a",
    ready=True,
    sums={"received": 7, "tombstones": 1, "in_flight": 2, "in_window": 3},
    decided={"model/confident": 3},
    rejected={"empty": 1},
    partitions=frozenset({0, 3}),
)


def decision(offset: int, reason: str = "confident") -> Record:
    said = {"id": f"f0-0-{offset}", "source": "model", "reason": reason}
    return Record(0, offset, 0, None, json.dumps(said).encode(), ())


def letter(offset: int, code: str = "empty") -> Record:
    said = {"code": code, "partition": "0", "offset": str(offset)}
    headers = tuple((f"sidecar.error.{name}", text.encode()) for name, text in said.items())
    return Record(0, offset, 0, None, b"", headers)


def said(decided: Mapping[str, int], rejected: Mapping[str, int]) -> list[Scrape]:
    return [Scrape(1.0, "a", ready=True, decided=decided, rejected=rejected)]


def test_a_page_of_metrics_is_read() -> None:
    assert parse(1.0, "a", PAGE, ready=True) == SCRAPE


def test_books_that_balance_are_told_from_those_that_do_not() -> None:
    lost = Scrape(1.0, "b", ready=True, sums={"received": 2})

    assert unbalanced([SCRAPE, lost]) == ["b: received 2, not 0"]


def test_windows_that_lack_an_event_or_hold_one_twice_are_found() -> None:
    shown = {"a": 7.0, "b": 6.0, "c": 8.0}

    assert miscounted(shown, 7) == ["b shows 6 events, not 7", "c shows 8 events, not 7"]


def test_counters_that_agree_with_the_topics_are_right() -> None:
    scrapes = said({"model/confident": 2}, {"empty": 1})

    found = disagreements(scrapes, [decision(0), decision(1)], [letter(2)], complete=True)

    assert found == []


@pytest.mark.parametrize(
    ("decided", "rejected", "wrong"),
    [
        ({"model/confident": 3}, {"empty": 1}, "decided model/confident: 3 counted, 2"),
        ({"model/confident": 1}, {"empty": 1}, "decided model/confident: 1 counted, 2"),
        ({"model/confident": 2}, {"empty": 0}, "refused empty: 0 counted, 1"),
        ({"model/confident": 2}, {"empty": 2}, "refused empty: 2 counted, 1"),
    ],
    ids=["one decision more", "one less", "one dead letter less", "one more"],
)
def test_a_counter_that_is_off_by_one_is_found(
    decided: dict[str, int], rejected: dict[str, int], wrong: str
) -> None:
    scrapes = said(decided, rejected)

    found = disagreements(scrapes, [decision(0), decision(1)], [letter(2)], complete=True)

    assert found[0].startswith(wrong)


def test_of_a_repeated_decision_the_counters_may_know_one_or_both() -> None:
    written = [decision(0), decision(1), decision(1)]

    for count in (2, 3):
        assert (
            disagreements(said({"model/confident": count}, {}), written, [], complete=True)
            == []
        )


def test_a_member_that_was_killed_may_have_counted_less_but_never_more() -> None:
    written = [decision(0), decision(1)]

    assert disagreements(said({"model/confident": 1}, {}), written, [], complete=False) == []
    assert disagreements(said({"model/confident": 3}, {}), written, [], complete=False)


def test_of_an_event_with_two_outcomes_either_may_be_counted_but_one_must_be() -> None:
    written, refused = [decision(0), decision(1)], [letter(1, code="output_refused")]

    for decided, rejected in (
        ({"model/confident": 1}, {"output_refused": 1}),
        ({"model/confident": 2}, {}),
    ):
        assert disagreements(said(decided, rejected), written, refused, complete=True) == []
    assert disagreements(said({"model/confident": 1}, {}), written, refused, complete=True) == [
        "in all: 1 counted, 2 are due"
    ]
