"""Unit: pipeline.breaker."""

from sidecar.config.settings import BreakerSettings
from sidecar.config.values import Duration
from sidecar.pipeline.breaker import CircuitBreaker


def breaker(failures: float = 0.5, min_calls: int = 4) -> CircuitBreaker:
    """Window 30 s, a probe each 5 s."""
    return CircuitBreaker(
        BreakerSettings(
            failures=failures,
            min_calls=min_calls,
            window=Duration(30_000),
            probe_every=Duration(5_000),
        )
    )


def call(circuit: CircuitBreaker, outcomes: str, at_s: float = 0.0) -> None:
    """Let calls succeed (`.`) or fail (`x`)."""
    for outcome in outcomes:
        (circuit.failed if outcome == "x" else circuit.succeeded)(at_s)


def test_it_opens_when_the_share_of_failures_is_reached() -> None:
    circuit = breaker()

    call(circuit, "..x")
    assert (circuit.is_open, circuit.allow(0)) == (False, True)
    call(circuit, "x")
    assert (circuit.is_open, circuit.allow(0)) == (True, False)


def test_too_few_calls_say_nothing() -> None:
    circuit = breaker()

    call(circuit, "xxx")
    assert not circuit.is_open
    call(circuit, "x")
    assert circuit.is_open


def test_a_share_of_one_needs_every_call_to_fail() -> None:
    circuit = breaker(failures=1.0)

    call(circuit, ".xxxxxxxxx")
    assert not circuit.is_open
    call(circuit, "x", at_s=31)
    assert not circuit.is_open
    call(circuit, "xxx", at_s=31)
    assert circuit.is_open


def test_calls_before_the_window_are_forgotten() -> None:
    circuit = breaker()

    call(circuit, "xxx")
    call(circuit, "...x", at_s=30.1)

    assert not circuit.is_open


def test_an_open_circuit_grants_one_probe_at_a_time() -> None:
    circuit = breaker()
    call(circuit, "xxxx", at_s=100)

    assert [circuit.allow(at_s) for at_s in (100, 104.9, 105, 105, 109.9, 110)] == [
        False, False, True, False, False, True,
    ]  # fmt: skip


def test_a_probe_that_fails_leaves_it_open() -> None:
    circuit = breaker()
    call(circuit, "xxxx", at_s=100)
    circuit.allow(105)
    circuit.failed(105.5)

    assert circuit.is_open
    assert [circuit.allow(at_s) for at_s in (109.9, 110)] == [False, True]


def test_a_probe_that_succeeds_closes_it_with_a_clean_slate() -> None:
    circuit = breaker()
    call(circuit, "xxxx", at_s=100)
    circuit.allow(105)
    circuit.succeeded(105)
    call(circuit, "xx", at_s=105)

    assert (circuit.is_open, circuit.allow(105)) == (False, True)
    call(circuit, "x", at_s=105)
    assert circuit.is_open
