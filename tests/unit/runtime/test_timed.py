"""When each stage of a batch began and ended."""

from sidecar.runtime.timed import StageTimes
from tests.telemetry_samples import ManualClock, records


def test_a_batch_has_its_stages_in_order_and_the_wait_for_its_acknowledgement() -> None:
    clock = ManualClock(seconds=10.0)
    times, batch = StageTimes(clock), records(1)

    clock.seconds = 10.002
    times.begin(batch, "decode", 10.0)
    clock.seconds = 10.008
    times.add(batch, "score", 10.003)
    clock.seconds = 10.020

    found = [(s.stage, s.began_ms, s.took_ms) for s in times.settled(batch)]
    assert found == [("decode", 0.0, 2.0), ("score", 3.0, 5.0), ("settle", 8.0, 12.0)]


def test_a_batch_is_settled_once() -> None:
    times, batch = StageTimes(ManualClock()), records(1)
    times.begin(batch, "decode", 0.0)

    assert times.settled(batch)
    assert times.settled(batch) == []


def test_batches_that_never_settle_are_forgotten() -> None:
    times = StageTimes(ManualClock())
    lost = [records(1) for _ in range(65)]

    for batch in lost:
        times.begin(batch, "decode", 0.0)

    assert times.settled(lost[0]) == []
    assert times.settled(lost[1]) != []
