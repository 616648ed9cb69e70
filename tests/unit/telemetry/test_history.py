"""The ring of samples that the charts are drawn from."""

import pytest

from sidecar.telemetry.history import History, Totals, quantile
from tests.telemetry_samples import metrics


def totals(
    model: int = 0, rule: int = 0, rejections: int = 0, ages: tuple[int, ...] = (0, 0, 0)
) -> Totals:
    return Totals({"model": model, "rule": rule}, rejections, ages, (1.0, 2.0), 0.25)


def test_a_sample_is_what_happened_since_the_one_before() -> None:
    history = History(5.0, 10)

    history.add(0.0, 0, totals(model=100, rule=7), None, None)
    history.add(5.0, 5_000, totals(model=130, rule=17, rejections=10, ages=(0, 40, 0)), 3, 1.5)

    view = history.view()
    assert view.time_ms == [5_000]
    assert view.decisions_per_second["model"] == [6.0]
    assert view.decisions_per_second["rule"] == [2.0]
    assert view.rejections_per_second == [2.0]
    assert view.fallback_ratio == [0.25]
    assert view.reject_ratio == [0.2]
    assert (view.lag_records, view.lag_seconds) == ([3], [1.5])
    assert view.event_age_p50_seconds == [1.5]
    assert view.loop_lag_seconds == [0.25]


def test_a_step_without_events_has_no_shares_and_no_ages() -> None:
    history = History(5.0, 10)

    history.add(0.0, 0, totals(model=100), None, None)
    history.add(5.0, 5_000, totals(model=100), None, None)

    view = history.view()
    assert view.decisions_per_second["model"] == [0.0]
    assert view.fallback_ratio == view.reject_ratio == view.event_age_p99_seconds == [None]


def test_the_oldest_samples_make_room() -> None:
    history = History(1.0, 3)

    for at in range(10):
        history.add(float(at), at * 1_000, totals(model=at), None, None)

    assert history.view().time_ms == [7_000, 8_000, 9_000]
    assert history.view(since_ms=8_000).time_ms == [9_000]


def test_all_columns_are_as_long_as_the_time() -> None:
    history = History(1.0, 3)
    history.add(0.0, 0, totals(), None, None)
    history.add(1.0, 1_000, totals(), None, None)

    view = history.view()

    columns = [getattr(view, name) for name in view.__struct_fields__[2:]]
    flat = [c for c in columns if isinstance(c, list)] + [*view.decisions_per_second.values()]
    assert {len(column) for column in flat} == {1}


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ([0, 0, 0], 0.5, None),
        ([4, 0, 0], 0.5, 0.5),
        ([0, 4, 0], 0.5, 1.5),
        ([0, 0, 9], 0.99, 2),
    ],
)
def test_a_quantile(counts: list[int], share: float, value: float | None) -> None:
    assert quantile(counts, [1.0, 2.0], share) == value


def test_metrics_give_as_many_ages_as_they_have_bounds_and_one() -> None:
    found = metrics().totals()

    assert len(found.ages) == len(found.age_bounds) + 1
