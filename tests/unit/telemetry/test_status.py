"""The view of everything, as an object and as JSON."""

import msgspec

from sidecar.telemetry.status import StatusView
from tests.telemetry_samples import NOW_MS, status


def test_the_json_gives_the_view_back() -> None:
    view = status()

    assert msgspec.json.decode(msgspec.json.encode(view), type=StatusView) == view


def test_ages_count_from_when_the_view_was_made() -> None:
    view = status()

    assert view.last_decision_age_s == 0.4
    assert view.data_age_s == 3.0


def test_lag_is_summed_over_what_is_known() -> None:
    view = status()

    assert (view.lag_records, view.lag_seconds) == (1_200, 4.2)


def test_what_is_not_known_is_none() -> None:
    view = status(partitions=(), monitors=None, last_decision_ms=None)

    assert view.lag_records is None
    assert view.lag_seconds is None
    assert view.data_age_s is None
    assert view.last_decision_age_s is None


def test_a_clock_that_went_back_gives_no_negative_age() -> None:
    assert status(last_decision_ms=NOW_MS + 5_000).last_decision_age_s == 0.0
