"""Counts of the last minute."""

from sidecar.telemetry.rates import MinuteTally


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    tally = MinuteTally()
    tally.add(100.0, {"model": 3})
    tally.add(130.5, {"model": 2, "rule": 1})

    assert tally.minute(159.9) == {"model": 5, "rule": 1}
    assert tally.minute(160.0) == {"model": 2, "rule": 1}
    assert tally.minute(300.0) == {}


def test_the_rate_is_the_mean_of_ten_full_seconds() -> None:
    tally = MinuteTally()
    for second in range(100, 115):
        tally.add(second + 0.3, {"record": 20})

    # The second that runs is not full; the ten before it are.
    assert tally.per_second(114.9, "record") == 20.0
    assert tally.per_second(119.0, "record") == 12.0


def test_memory_does_not_grow_with_the_load() -> None:
    tally = MinuteTally()
    for step in range(10_000):
        tally.add(step / 10, {"record": 1})

    assert tally.minute(999.9) == {"record": 600}
