import numpy as np
import pytest

from sidecar.events import Features
from sidecar.monitors.quality_snapshot import UnseenValue, UnseenValues
from sidecar.monitors.sketches import UnseenSketches
from tests.quality_samples import FEATURES, START

HOUR = 3_600_000


def sketches() -> UnseenSketches:
    return UnseenSketches(FEATURES, ["age", "country", "rooms"], HOUR)


def observe(
    into: UnseenSketches, *countries: str | None, rooms: float = 1.0, time_ms: int = START
) -> None:
    codes = {"de": 0.0, "fr": 1.0, None: np.nan}
    count = len(countries)
    matrix = np.column_stack(
        (
            np.full(count, 40.0),
            [codes.get(country, 2.0) for country in countries],
            np.full(count, rooms),
        )
    )
    times = np.full(count, time_ms, np.int64)
    into.observe(
        Features(matrix, {"country": list(countries)}), times, np.ones(len(times), np.bool_)
    )


def of(into: UnseenSketches, feature: str) -> UnseenValues:
    return next(unseen for unseen in into.snapshot() if unseen.feature == feature)


def top(into: UnseenSketches, feature: str = "country") -> list[tuple[str, int]]:
    return [(one.value, one.records) for one in of(into, feature).top]


def test_known_and_missing_values_are_not_touched() -> None:
    made = sketches()

    observe(made, "de", "fr", None)

    assert [unseen.feature for unseen in made.snapshot()] == ["country", "rooms"]
    assert of(made, "country") == UnseenValues(
        feature="country", records=0, distinct=0.0, error=0, top=()
    )


def test_unseen_values_are_counted_the_most_frequent_first() -> None:
    made = sketches()

    observe(made, "xx", "de", "yy", "xx", "zz", "xx", "yy", rooms=9.0)

    unseen = of(made, "country")
    assert (unseen.records, round(unseen.distinct), unseen.error) == (6, 3, 0)
    assert top(made) == [("xx", 3), ("yy", 2), ("zz", 1)]
    assert of(made, "rooms").top == (UnseenValue(value="9", records=7),)


def test_values_are_cut() -> None:
    made = sketches()

    observe(made, "x" * 1_000)

    assert top(made) == [("x" * 64, 1)]


def test_what_is_two_periods_old_is_forgotten() -> None:
    made = sketches()
    first = START - START % HOUR
    observe(made, "old", time_ms=first)
    observe(made, "older", time_ms=first - HOUR)

    observe(made, "new", time_ms=first + HOUR)
    observe(made, "older", time_ms=first - HOUR)

    assert sorted(top(made)) == [("new", 1), ("old", 1)]
    observe(made, "de", time_ms=first + 3 * HOUR)
    assert top(made) == []


@pytest.mark.parametrize("distinct", [100, 1_000, 50_000])
def test_the_estimate_is_within_four_standard_errors(distinct: int) -> None:
    made = sketches()

    for start in range(0, distinct, 5_000):
        observe(made, *(f"v{at}" for at in range(start, min(distinct, start + 5_000))))

    unseen = of(made, "country")
    assert unseen.records == distinct
    assert unseen.distinct == pytest.approx(distinct, rel=0.13)
    assert len(unseen.top) <= 10


def test_what_is_frequent_is_found_among_many() -> None:
    made = sketches()
    for start in range(0, 30_000, 1_000):
        observe(made, *(f"v{at}" for at in range(start, start + 900)), *["often"] * 100)

    unseen = of(made, "country")
    often = unseen.top[0]
    assert often.value == "often"
    assert often.records <= 3_000 <= often.records + unseen.error
    assert unseen.error <= 0.014 * unseen.records
