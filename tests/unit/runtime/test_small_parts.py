"""Unit: the small parts of the runtime: deadline, backoff, health, reject gate."""

import random
from itertools import islice

from sidecar.runtime.deadline import Deadline
from sidecar.runtime.health import Health, State, Trouble
from sidecar.runtime.rejects import RejectGate
from sidecar.runtime.retry import backoff


class _Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return int(self.seconds * 1000)


def test_steps_share_one_deadline() -> None:
    clock = _Clock()
    deadline = Deadline(clock, 10.0)

    clock.seconds += 7.0

    assert (deadline.at_most(5.0), deadline.passed) == (3.0, False)


def test_a_passed_deadline_leaves_nothing() -> None:
    clock = _Clock()
    deadline = Deadline(clock, 10.0)

    clock.seconds += 11.0

    assert (deadline.left(), deadline.passed) == (0.0, True)


def test_backoff_doubles_up_to_the_top() -> None:
    waits = list(islice(backoff(random.Random(1), first_s=1.0, top_s=4.0), 6))

    ceilings = [1.0, 2.0, 4.0, 4.0, 4.0, 4.0]
    assert all(top / 2 <= wait <= top for wait, top in zip(waits, ceilings, strict=True))


def test_a_blocking_trouble_makes_the_process_blocked_and_not_ready() -> None:
    health = Health(State.READY)
    trouble = Trouble("topic_missing", "no topic", kafka=True)

    assert health.report("sink", trouble)
    assert not health.report("sink", trouble)
    assert health.state is State.BLOCKED
    assert health.not_ready(needs_kafka=True) == [trouble]


def test_trouble_with_kafka_can_be_left_out_of_readiness() -> None:
    health = Health(State.READY)

    health.report("sink", Trouble("topic_missing", "no topic", kafka=True))

    assert health.not_ready(needs_kafka=False) == []


def test_a_trouble_that_does_not_block_only_degrades() -> None:
    health = Health(State.READY)

    health.report("model", Trouble("circuit_open", "the model fails", blocks=False))

    assert (health.state, health.not_ready(needs_kafka=True)) == (State.DEGRADED, [])


def test_a_draining_process_is_not_ready() -> None:
    health = Health(State.DRAINING)

    assert [trouble.code for trouble in health.not_ready(needs_kafka=False)] == ["draining"]


def test_the_gate_needs_enough_records() -> None:
    gate = RejectGate(0.5)

    assert not gate.count(0.0, 99, 99)
    assert gate.count(1.0, 1, 1)


def test_the_gate_forgets_what_is_older_than_a_minute() -> None:
    gate = RejectGate(0.5)
    gate.count(0.0, 1000, 400)

    assert not gate.count(30.0, 100, 100)
    assert gate.count(61.0, 100, 100)


def test_a_limit_of_one_never_trips() -> None:
    assert not RejectGate(1.0).count(0.0, 1000, 1000)
