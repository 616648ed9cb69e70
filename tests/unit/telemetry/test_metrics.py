"""The numbers that the runtime tells, as a scraper reads them."""

import re
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from sidecar.events import Reason, RejectCode, Rejection, Source, Stage
from sidecar.monitors.snapshot import DriftScore, Method, MonitorSnapshot
from sidecar.telemetry.catalogue import CATALOGUE
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.scrape import Readings
from sidecar.telemetry.spec import Kind
from sidecar.telemetry.status import ModelView, PartitionView
from tests.telemetry_samples import (
    NOW_MS,
    ManualClock,
    busy_metrics,
    decided,
    metrics,
    monitors,
    partitions,
    quality,
    records,
    refused,
    subject,
    window,
)

MODEL = (Source.MODEL, Reason.CONFIDENT)
RULE = (Source.RULE, Reason.LOW_CONFIDENCE)


def scraped(made: Metrics) -> dict[str, float]:
    """Every sample by its text, as `name{label="value"}`."""
    lines = made.exposition("").write().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def series(made: Metrics, name: str) -> dict[str, float]:
    """The samples of one metric by their labels."""
    found = {}
    for sample, value in scraped(made).items():
        bare, _, labels = sample.partition("{")
        if bare == name:
            found[labels.rstrip("}")] = value
    return found


def total(made: Metrics, name: str) -> float:
    return sum(series(made, name).values())


# --- the table -----------------------------------------------------------------------------


def test_a_busy_sidecar_exposes_exactly_the_catalogue() -> None:
    body = busy_metrics().exposition("").write().decode()

    found = {
        family.name: frozenset(
            label for sample in family.samples for label in sample.labels if label != "le"
        )
        for family in text_parser.text_string_to_metric_families(body)
        if family.name.startswith("sidecar_")
    }

    assert found == {
        spec.name.removesuffix("_total"): frozenset(spec.labels) for spec in CATALOGUE
    }


def test_types_are_those_of_the_catalogue() -> None:
    body = busy_metrics().exposition("").write().decode()
    types = dict(re.findall(r"^# TYPE (sidecar_\w+) (\w+)$", body, re.MULTILINE))

    declared = {
        spec.name: "gauge" if spec.kind is Kind.INFO else spec.kind.value for spec in CATALOGUE
    }

    assert types == declared


def test_nothing_is_exposed_twice_and_nothing_says_when_it_was_created() -> None:
    lines = busy_metrics().exposition("").write().decode().splitlines()
    names = [line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")]

    assert len(names) == len(set(names))
    assert not [name for name in names if "_created" in name]


def test_openmetrics_is_valid_and_agrees_with_the_text_format() -> None:
    made = busy_metrics()

    found = made.exposition("application/openmetrics-text; version=1.0.0")
    body = found.write()
    parse = openmetrics_parser.text_string_to_metric_families
    families = list(parse(body.decode()))  # type: ignore[no-untyped-call]
    names = {family.name for family in families if family.name.startswith("sidecar_")}

    assert found.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert names == {
        spec.name.removesuffix("_total").removesuffix("_info") for spec in CATALOGUE
    }


def test_two_sidecars_in_one_process_do_not_share_numbers() -> None:
    one, other = metrics(), metrics()

    one.received(5, 5)

    assert total(one, "sidecar_records_received_total") == 5
    assert total(other, "sidecar_records_received_total") == 0


def test_known_series_start_at_zero() -> None:
    made = metrics()

    assert series(made, "sidecar_rule_decisions_total") == {'rule="large-amount"': 0}
    assert series(made, "sidecar_observer_active") == {'observer="drift"': 1}
    assert series(made, "sidecar_model_calls_total") == {
        'outcome="answered"': 0,
        'outcome="error"': 0,
        'outcome="timeout"': 0,
    }
    assert series(made, "sidecar_decisions_total")['reason="circuit_open",source="rule"'] == 0


@pytest.mark.parametrize(
    "name",
    [
        "sidecar_last_decision_timestamp_seconds",
        "sidecar_startup_duration_seconds",
        "sidecar_consumer_lag_records",
        "sidecar_drift_score",
    ],
)
def test_what_is_not_known_yet_has_no_series(name: str) -> None:
    assert series(metrics(), name) == {}


def test_the_model_is_named_with_a_short_digest() -> None:
    made = metrics(model=ModelView(name="m", version="1", digest="ab" * 32, task="binary"))

    assert series(made, "sidecar_model_info") == {
        'digest="abababababab",name="m",task="binary",version="1"': 1
    }


# --- the flow ------------------------------------------------------------------------------

Fate = st.sampled_from(["settled", "in flight", "returned"])
Few = st.integers(0, 3)
Shape = st.tuples(Few, Few, Few, Few, Fate)


@given(st.lists(Shape, max_size=8))
def test_received_is_decided_rejected_tombstones_joined_in_flight_and_returned(
    batches: list[tuple[int, int, int, int, str]],
) -> None:
    made = metrics()
    in_flight = 0
    for decisions, rejections, tombstones, joined, fate in batches:
        size = decisions + rejections + tombstones + joined
        batch = records(size)
        made.received(size, size)
        if fate == "settled":
            outcome = decided(batch, list(range(decisions)), [MODEL] * decisions)
            letters = [refused(decisions + at) for at in range(rejections)]
            made.settled(outcome, letters, tombstones=tombstones, now_ms=NOW_MS, joined=joined)
        elif fate == "returned":
            made.returned(size)
        else:
            in_flight += size
    view = PartitionView(
        partition=0,
        position=None,
        end=None,
        lag_records=None,
        lag_seconds=None,
        in_flight=in_flight,
        paused=False,
    )
    made.read_from(Readings(lambda: [view], lambda: None, lambda: True, list))

    outcomes = (
        "sidecar_decisions_total",
        "sidecar_records_rejected_total",
        "sidecar_tombstones_total",
        "sidecar_records_joined_total",
        "sidecar_in_flight_records",
        "sidecar_records_returned_total",
    )
    accounted = sum(total(made, name) for name in outcomes)
    assert total(made, "sidecar_records_received_total") == accounted


def test_a_record_read_again_is_received_once_but_fills_its_batch() -> None:
    made = metrics()

    made.received(10, 4)

    assert total(made, "sidecar_records_received_total") == 4
    assert total(made, "sidecar_batch_records_sum") == 10


def test_decisions_count_by_source_reason_and_rule() -> None:
    made = metrics()
    outcome = decided(records(4), [0, 1, 3], [MODEL, RULE, RULE], [-1, 0, 0])

    made.settled(outcome, [], tombstones=0, now_ms=NOW_MS)

    counts = series(made, "sidecar_decisions_total")
    assert {labels: count for labels, count in counts.items() if count} == {
        'reason="confident",source="model"': 1,
        'reason="low_confidence",source="rule"': 2,
    }
    assert series(made, "sidecar_rule_decisions_total") == {'rule="large-amount"': 2}


def test_rejections_count_by_stage_and_code() -> None:
    made = metrics()
    letters = [
        refused(0),
        refused(1),
        Rejection(2, Stage.CHECK, RejectCode.UNKNOWN_MODEL, "another model"),
    ]

    made.settled(decided(records(3), [], []), letters, tombstones=0, now_ms=NOW_MS)

    counts = series(made, "sidecar_records_rejected_total")
    assert {labels: count for labels, count in counts.items() if count} == {
        'reason="empty",stage="decode"': 2,
        'reason="unknown_model",stage="check"': 1,
    }


def test_every_event_counts_in_the_age_histogram() -> None:
    made = metrics()
    batch = records(3, age_ms=250)
    batch.timestamps_ms[2] = NOW_MS + 5_000  # a producer whose clock is ahead

    made.settled(decided(batch, [0, 1, 2], [MODEL] * 3), [], tombstones=0, now_ms=NOW_MS)

    buckets = series(made, "sidecar_event_age_seconds_bucket")
    assert buckets['le="0.005"'] == 1
    assert buckets['le="0.1"'] == 1
    assert buckets['le="0.25"'] == 3  # a bound belongs to its own bucket
    assert buckets['le="+Inf"'] == 3
    assert total(made, "sidecar_event_age_seconds_sum") == 0.5


def test_a_batch_without_decisions_leaves_the_last_decision_alone() -> None:
    made = metrics()

    made.settled(decided(records(1), [], []), [refused(0)], tombstones=0, now_ms=NOW_MS)

    assert made.last_decision_ms is None


def test_a_stage_is_timed_even_when_it_raises() -> None:
    clock = ManualClock()
    made = metrics(clock)

    def fail() -> None:
        with made.stage("score"):
            clock.seconds += 0.3
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        fail()

    sums = series(made, "sidecar_stage_duration_seconds_sum")
    assert sums['stage="score"'] == pytest.approx(0.3)
    assert series(made, "sidecar_stage_duration_seconds_count")['stage="score"'] == 1


# --- the work around -----------------------------------------------------------------------


def test_a_failed_commit_counts_as_tried_and_failed() -> None:
    made = metrics()

    made.committed({0: 10})
    made.commit_failed()

    assert total(made, "sidecar_commits_total") == 2
    assert total(made, "sidecar_commit_failures_total") == 1


def test_a_rebuild_for_an_unknown_reason_counts_as_other() -> None:
    made = metrics()

    made.producer_rebuilt("a text that could be anything")

    counts = series(made, "sidecar_producer_rebuilds_total")
    assert {labels for labels, count in counts.items() if count} == {'reason="other"'}


def test_an_observer_that_failed_is_not_active() -> None:
    made = metrics()

    made.observer_failed("drift")

    assert series(made, "sidecar_observer_failures_total") == {'observer="drift"': 1}
    assert series(made, "sidecar_observer_active") == {'observer="drift"': 0}


def test_model_calls_count_by_how_they_ended() -> None:
    made = metrics()

    made.model_call(Reason.CONFIDENT)
    made.model_call(Reason.MODEL_TIMEOUT)

    assert series(made, "sidecar_model_calls_total") == {
        'outcome="answered"': 1,
        'outcome="error"': 0,
        'outcome="timeout"': 1,
    }


def test_states_are_one_while_they_last() -> None:
    made = metrics()

    made.paused("sink", on=True)
    made.circuit(is_open=True)
    made.circuit(is_open=False)

    assert series(made, "sidecar_paused") == {
        'reason="sink"': 1,
        'reason="dead_letter_share"': 0,
        'reason="registry"': 0,
    }
    assert series(made, "sidecar_circuit_open") == {"": 0}


def test_loop_lag_is_the_worst_of_the_last_minute() -> None:
    clock = ManualClock()
    made = metrics(clock)

    made.loop_lag(0.8)
    clock.seconds += 50
    made.loop_lag(0.1)
    during = series(made, "sidecar_event_loop_lag_seconds")
    clock.seconds += 11
    made.loop_lag(0.05)

    assert during == {"": 0.8}
    assert series(made, "sidecar_event_loop_lag_seconds") == {"": 0.1}


def test_rates_cover_the_last_minute_and_the_whole_life() -> None:
    clock = ManualClock()
    made = metrics(clock)
    outcome = decided(records(4), [0, 1, 2], [MODEL, MODEL, RULE])
    made.settled(outcome, [refused(3)], tombstones=0, now_ms=NOW_MS)
    clock.seconds += 120
    made.settled(outcome, [refused(3)], tombstones=1, now_ms=NOW_MS)
    clock.seconds += 1

    rates = made.rates()

    assert rates.decisions == {"model": 2, "rule": 1}
    assert rates.decisions_total == {"model": 4, "rule": 2}
    assert rates.rejections == {"empty": 1}
    assert rates.rejections_total == {"empty": 2}
    assert rates.fallback_ratio == pytest.approx(1 / 3)
    assert rates.reject_ratio == pytest.approx(1 / 5)
    assert rates.records_per_second == 0.5


# --- what is read at each scrape -----------------------------------------------------------


def test_series_of_a_partition_that_left_vanish() -> None:
    made = metrics()
    assigned = list(partitions())
    made.read_from(Readings(lambda: assigned, lambda: None, lambda: True, list))
    made.committed({0: 10, 3: 20})
    both = series(made, "sidecar_committed_offset")

    assigned.pop(0)

    assert both == {
        'partition="0",topic="credit.events"': 10,
        'partition="3",topic="credit.events"': 20,
    }
    assert series(made, "sidecar_committed_offset") == {
        'partition="3",topic="credit.events"': 20
    }
    assert series(made, "sidecar_in_flight_records") == {'partition="3"': 0}
    assert series(made, "sidecar_consumer_lag_records") == {}


def test_partitions_that_are_not_ready_yet_are_counted() -> None:
    made = metrics()
    first, *others = partitions()
    assigned = [msgspec.structs.replace(first, restoring=True), *others]
    made.read_from(Readings(lambda: assigned, lambda: None, lambda: True, list))

    assert total(made, "sidecar_restoring_partitions") == 1


def test_a_partition_that_comes_back_does_not_show_its_old_offset() -> None:
    made = metrics()
    assigned = list(partitions())
    made.read_from(Readings(lambda: assigned, lambda: None, lambda: True, list))
    made.committed({0: 10})
    known = assigned.pop(0)
    scraped(made)

    assigned.append(known)

    assert series(made, "sidecar_committed_offset") == {}


def test_a_window_without_a_verdict_has_no_scores() -> None:
    made = metrics()
    made.read_from(Readings(lambda: (), monitors, lambda: True, list))

    windows = {
        re.findall('window="(.+?)"', at)[0] for at in series(made, "sidecar_drift_score")
    }

    assert windows == {"5m"}
    assert series(made, "sidecar_monitor_ready") == {'window="5m"': 1, 'window="1h"': 0}


def test_each_score_stands_beside_its_critical_value() -> None:
    made = metrics()
    made.read_from(Readings(lambda: (), monitors, lambda: True, list))
    at = 'feature="amount",method="psi",window="5m"'

    assert series(made, "sidecar_drift_score")[at] == 0.412
    assert series(made, "sidecar_drift_critical_value")[at] == 0.034
    scores = series(made, "sidecar_prediction_drift_score")
    limits = series(made, "sidecar_prediction_drift_critical_value")
    assert scores.keys() == limits.keys()
    assert 'method="ks",subject="score",window="5m"' in scores


def test_what_drifts_is_one_and_what_does_not_is_there_too() -> None:
    found = scraped(busy_metrics())

    active = {at: value for at, value in found.items() if "drift_active" in at}
    assert {at for at, value in active.items() if value} == {
        'sidecar_drift_active{feature="amount",severity="critical",window="5m"}',
        'sidecar_dataset_drift_active{severity="critical",window="5m"}',
    }
    assert active['sidecar_drift_active{feature="age",severity="warning",window="5m"}'] == 0
    assert active['sidecar_drift_active{feature="amount",severity="warning",window="1h"}'] == 0
    assert active['sidecar_dataset_drift_active{severity="critical",window="1h"}'] == 0


def test_features_past_the_cap_are_counted_not_exported() -> None:
    late = subject("zip", scores=(DriftScore("psi", 9.0, 0.1),))
    shown = window("5m", *(subject(f"f{at}") for at in range(5)), late)
    snapshot = MonitorSnapshot(windows=(shown,), newest_event_time_ms=None, late=0, future=0)
    made = metrics(max_features=3)
    made.read_from(Readings(lambda: (), lambda: snapshot, lambda: True, list))

    assert set(series(made, "sidecar_drift_score")) == {
        f'feature="f{at}",method="{method}",window="5m"'
        for at in range(3)
        for method in ("psi", "js", "ks")
    }
    assert series(made, "sidecar_unexported_features") == {"": 3}
    assert series(made, "sidecar_drifting_features") == {'window="5m"': 1}


def test_methods_that_say_the_same_have_no_series() -> None:
    every = subject(
        "amount",
        scores=tuple(DriftScore(method, 0.5, None) for method in get_args(Method)),
    )
    snapshot = MonitorSnapshot(
        windows=(window("5m", every),), newest_event_time_ms=None, late=0, future=0
    )
    made = metrics()
    made.read_from(Readings(lambda: (), lambda: snapshot, lambda: True, list))

    shown = [re.findall('method="(.+?)"', at)[0] for at in series(made, "sidecar_drift_score")]
    assert set(get_args(Method)) - set(shown) == {"hellinger", "chi_square"}
    assert series(made, "sidecar_drift_critical_value") == {}


def test_it_is_told_whether_a_window_is_calibrated_and_on_how_many_answers() -> None:
    windows = (
        window("5m", subject("score", "score", records=700), calibration="none"),
        window("1h", subject("score", "score", records=9_000), calibration="learned"),
    )
    snapshot = MonitorSnapshot(windows=windows, newest_event_time_ms=None, late=0, future=0)
    made = metrics()
    made.read_from(Readings(lambda: (), lambda: snapshot, lambda: True, list))

    assert series(made, "sidecar_window_calibrated") == {'window="5m"': 0, 'window="1h"': 1}
    assert series(made, "sidecar_prediction_drift_records") == {
        'subject="score",window="5m"': 700,
        'subject="score",window="1h"': 9_000,
    }


def test_an_empty_window_has_no_scores() -> None:
    empty = window("5m", subject("amount", records=0, scores=()), records=0, ready=False)
    snapshot = MonitorSnapshot(windows=(empty,), newest_event_time_ms=None, late=0, future=0)
    made = metrics()
    made.read_from(Readings(lambda: (), lambda: snapshot, lambda: True, list))

    assert series(made, "sidecar_drift_score") == {}
    assert series(made, "sidecar_window_records") == {'window="5m"': 0}


def test_each_share_has_its_band_and_says_when_it_left_it() -> None:
    made = metrics()
    made.read_from(Readings(lambda: (), lambda: None, lambda: True, list, quality))
    short, long = (f'check="missing",feature="amount",window="{w}"' for w in ("5m", "1h"))
    unseen = 'check="unseen",feature="country",window="5m"'
    fallback = 'check="fallback",feature="",window="5m"'

    shares = {short: 0.2, long: 0.2, unseen: 0.001, fallback: 0.1}
    assert series(made, "sidecar_quality_ratio") == shares
    assert series(made, "sidecar_quality_upper_bound_ratio") == {short: 0.013, unseen: 0.003}
    assert series(made, "sidecar_quality_lower_bound_ratio") == {short: 0.0}
    assert series(made, "sidecar_quality_breached") == {short: 1, long: 0, unseen: 0}
    assert series(made, "sidecar_quality_expected_ratio") == {
        'check="missing",feature="amount"': 0.01,
        'check="unseen",feature="country"': 0.0,
    }


def test_what_was_unseen_is_no_label() -> None:
    body = busy_metrics().exposition("").write().decode()

    assert 'sidecar_unseen_values{feature="country"} 12.1' in body
    assert "XX" not in body


def test_quality_of_features_past_the_cap_is_not_exported() -> None:
    made = metrics(max_features=0)
    made.read_from(Readings(lambda: (), lambda: None, lambda: True, list, quality))

    assert set(series(made, "sidecar_quality_ratio")) == {
        'check="fallback",feature="",window="5m"'
    }
    assert series(made, "sidecar_unseen_values") == {}


def test_the_duration_of_a_scrape_is_told_by_the_next() -> None:
    made = metrics()

    first = series(made, "sidecar_scrape_duration_seconds")

    assert first == {}
    assert series(made, "sidecar_scrape_duration_seconds").keys() == {""}
