import numpy as np
import pytest

from loadtests.latency.figures import (
    EDGES_MS,
    Latency,
    Sent,
    due_s,
    latency,
    lateness_ms,
    number_of,
    void,
)
from loadtests.latency.report import ratio, summary
from loadtests.latency.run import Load, LoadResult

NOTHING = [0] * (len(EDGES_MS) - 1)
GOOD = Sent(events=100, failed=0, late_p99_ms=0.2, late_max_ms=9.0)
FOUND = Latency(100, 0, 1.0, 2.0, 3.0, 4.0, NOTHING)


def outcome(contestant: str, p99_ms: float, reason: str = "") -> LoadResult:
    found = Latency(100, 0, 1.0, 2.0, p99_ms, 4.0, NOTHING)
    return LoadResult("low", contestant, 1_000.0, 2.0, 10.0, 1, 0.0, 0.0, GOOD, found, reason)


def test_events_are_due_at_equal_distances() -> None:
    assert due_s(10.0, 4.0, np.arange(3)).tolist() == [10.0, 10.25, 10.5]


def test_latency_counts_from_when_an_event_was_due() -> None:
    stalled = np.full(200, 5.0)  # everything arrives at once, when a stall of 2 s is over

    found = latency(stalled, start_s=3.0, rate=100.0, warm=0)

    assert (found.p50_ms, found.max_ms) == pytest.approx((1_010.0, 2_000.0))


def test_percentiles_are_latencies_that_events_had() -> None:
    took_s = np.arange(1, 101) / 1_000
    arrived = due_s(0.0, 10.0, np.arange(100)) + took_s

    found = latency(arrived, start_s=0.0, rate=10.0, warm=0)

    assert (found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms) == pytest.approx(
        (51, 91, 100, 100)
    )
    assert sum(found.histogram) == found.events == 100


def test_the_warm_up_does_not_count() -> None:
    arrived = np.array([9.0, 9.0, 0.021, 0.031])

    found = latency(arrived, start_s=0.0, rate=100.0, warm=2)

    assert (found.events, found.missing) == (2, 0)
    assert found.max_ms == pytest.approx(1.0)


def test_decisions_that_did_not_arrive_are_counted() -> None:
    found = latency(np.array([0.001, np.nan, np.nan]), start_s=0.0, rate=1_000.0, warm=0)

    assert (found.events, found.missing) == (1, 2)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        pytest.param(b'{"id":"event-000000017","time":', 17, id="event"),
        pytest.param(b'{"id":"5f-3-9","event_id":"event-000000018"}', 18, id="decision"),
        pytest.param(b'{"id":"first-000000017"}', None, id="of the start"),
        pytest.param(b'{"id":"event-17"}', None, id="too short"),
    ],
)
def test_a_decision_names_its_event(value: bytes, number: int | None) -> None:
    assert number_of(value) == number


@pytest.mark.parametrize(
    ("sent", "found", "reason"),
    [
        pytest.param(GOOD, FOUND, "", id="good"),
        pytest.param(Sent(90, 0, 0.2, 9.0), FOUND, "the generator sent 90 of 100", id="few"),
        pytest.param(Sent(100, 3, 0.2, 9.0), FOUND, "3 events were not ack", id="failed"),
        pytest.param(
            Sent(100, 0, 5.1, 9.0), FOUND, "the generator fell behind: 5.1 ms", id="late"
        ),
        pytest.param(
            GOOD, Latency(98, 2, 1, 2, 3, 4, NOTHING), "2 decisions did not", id="missing"
        ),
    ],
)
def test_a_run_is_void_when_its_latencies_say_nothing(
    sent: Sent, found: Latency, reason: str
) -> None:
    assert void(sent, found, planned=100).startswith(reason)
    assert bool(void(sent, found, planned=100)) == bool(reason)


def test_the_generator_says_how_late_it_was() -> None:
    late_s = [0.001] * 197 + [0.004, 0.004, 0.009]

    assert lateness_ms(late_s) == pytest.approx((4.0, 9.0))
    assert lateness_ms([]) == (0.0, 0.0)


def test_void_runs_are_in_no_ratio() -> None:
    rounds = [
        [outcome("copy", 10.0), outcome("sidecar", 15.0)],
        [outcome("copy", 1_000.0, "late"), outcome("sidecar", 15.0)],
        [outcome("copy", 10.0), outcome("sidecar", 25.0)],
    ]

    assert ratio(rounds, "low", "sidecar") == "2.00 (1.50 to 2.50)"


def test_cost_is_per_event_and_per_core() -> None:
    run = outcome("sidecar", 15.0)

    assert run.cpu_us == pytest.approx(200.0)
    assert run.core == pytest.approx(0.2)
    assert "p99 15.0" in summary(run)


def test_a_load_has_as_many_events_as_its_seconds() -> None:
    load = Load(rate=200.0, warm_s=2.0, measured_s=3.0)

    assert (load.events, load.warm) == (1_000, 400)
