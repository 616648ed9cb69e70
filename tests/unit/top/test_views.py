"""Drift, partitions and dead letters of one sidecar."""

from msgspec.structs import replace

from sidecar.monitors.snapshot import MonitorSnapshot
from sidecar.top.views import dead_letters, drift, largest_changes, next_window, partitions
from tests.telemetry_samples import monitors, status
from tests.telemetry_samples import partitions as two_partitions


def test_the_worst_feature_comes_first_with_its_verdict_in_a_word() -> None:
    table = drift(status())

    assert [row.cells[:3] for row in table.rows] == [
        ("amount", "drifting", "12 \N{MULTIPLICATION SIGN}"),
        ("country", "drifting", "1.5 \N{MULTIPLICATION SIGN}"),
        ("age", "steady", "0.6 \N{MULTIPLICATION SIGN}"),
        ("income", "steady", "0.6 \N{MULTIPLICATION SIGN}"),
        ("months_since_last_payment", "steady", "0.6 \N{MULTIPLICATION SIGN}"),
        ("score (answer)", "steady", "0.6 \N{MULTIPLICATION SIGN}"),
        ("confidence (answer)", "steady", "0.6 \N{MULTIPLICATION SIGN}"),
        ("label (answer)", "steady", "0.6 \N{MULTIPLICATION SIGN}"),
    ]
    assert table.note == (
        "window 5m (1 of 2): 2 of 5 features drift, 18,400 records, newest 3.0 s ago"
    )


def test_features_can_stand_by_name() -> None:
    names = [row.cells[0] for row in drift(status(), order="name").rows]

    assert names[:4] == ["age", "amount", "country", "income"]


def test_a_window_with_too_few_records_has_no_verdict() -> None:
    table = drift(status(), "1h")

    assert [row.cells[:3] for row in table.rows] == [("amount", "no verdict", "\N{EN DASH}")]
    assert "too few records for a verdict" in table.note


def test_windows_go_round() -> None:
    assert next_window(status(), None) == "1h"
    assert next_window(status(), "1h") == "5m"
    assert next_window(status(monitors=None), None) is None


def test_monitors_that_are_off_or_empty_have_nothing() -> None:
    empty = MonitorSnapshot(windows=(), newest_event_time_ms=None, late=0, future=0)

    assert [drift(status(monitors=each)).rows for each in (None, empty)] == [(), ()]


def test_the_bins_that_changed_most_are_named() -> None:
    [(heading, said)] = largest_changes(status(), None, "feature country")

    arrow = "\N{RIGHTWARDS ARROW}"
    assert heading == "country"
    assert said.startswith(f"reference {arrow} window   DE: 50.0 % {arrow} 42.0 %,  FR: ")
    assert largest_changes(status(), None, "feature nobody") == []


def test_partitions_stand_by_number_or_by_lag() -> None:
    known, fresh = two_partitions()
    small = replace(known, partition=1, lag_records=3)
    view = status(partitions=(fresh, small, known))

    by_number, by_lag = partitions(view), partitions(view, "lag")

    assert [row.cells[0] for row in by_number.rows] == ["0", "1", "3"]
    assert [row.cells[0] for row in by_lag.rows] == ["0", "1", "3"]
    assert by_lag.rows[0].cells == ("0", "yes", "1,200", "4.2 s", "512", "120,400", "121,600")
    assert by_lag.rows[2].cells == ("3", "paused", *"\N{EN DASH}" * 2, "0", *"\N{EN DASH}" * 2)


def test_dead_letters_stand_by_code_the_most_frequent_first() -> None:
    minute, always = dead_letters(status()), dead_letters(status(), "since the start")

    assert [row.cells for row in minute.rows] == [
        ("missing_field", "420", "97.2 %", "5,300"),
        ("malformed_json", "12", "2.8 %", "210"),
        ("too_large", "0", "0 %", "3"),
    ]
    assert [row.key for row in always.rows] == ["missing_field", "malformed_json", "too_large"]


def test_no_two_rows_have_one_key() -> None:
    drifting = monitors().windows[0]
    namesake = replace(drifting.subjects[0], name="score")
    window = replace(drifting, subjects=(namesake, *drifting.subjects))
    view = status(monitors=replace(monitors(), windows=(window,)))

    keys = [row.key for row in drift(view).rows]

    assert len(keys) == len(set(keys))
