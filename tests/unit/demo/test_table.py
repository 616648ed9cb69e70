"""Event time for rows that only know their year."""

from datetime import UTC, datetime

import numpy as np

from sidecar.demo.table import DATA, read_people, spread


def test_rows_of_a_year_are_at_equal_distances_within_it() -> None:
    moments = spread(np.array([2017, 2017, 2017, 2017, 2017], np.int16))

    quarter_ms = 365 * 86_400_000 // 5
    assert np.diff(moments).tolist() == [quarter_ms] * 4
    assert datetime.fromtimestamp(moments[0] / 1000, UTC) == datetime(
        2017, 2, 6, 12, tzinfo=UTC
    )


def test_the_people_of_the_package_come_in_order_and_stay_in_their_year() -> None:
    people = read_people(DATA / "stream.parquet")

    assert len(people) == 72_000
    assert bool(np.all(np.diff(people.event_time_ms) > 0))
    days = people.event_time_ms[[0, 23_999, 24_000, -1]].astype("datetime64[ms]")
    assert days.astype("datetime64[D]").astype(str).tolist() == [
        "2016-01-01",
        "2016-12-31",
        "2017-01-01",
        "2018-12-31",
    ]
