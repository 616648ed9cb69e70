"""When each stage of a batch began and ended."""

import pytest

from sidecar.telemetry.timing import MOST_BATCHES, Mark, StageTimes
from tests.telemetry_samples import ManualClock, records


def test_a_batch_has_its_stages_in_order() -> None:
    clock = ManualClock(seconds=10.0)
    times, batch = StageTimes(clock), records(1)
    times.begin(batch)

    with times.stage(batch, "decode"):
        clock.seconds = 10.002
    clock.seconds = 10.003
    with times.stage(batch, "score"):
        clock.seconds = 10.008

    assert times.of(batch) == [
        Mark("decode", 10.0, 10.002),
        Mark("score", 10.003, 10.008),
    ]


def test_a_batch_goes_on_with_the_stages_of_what_it_was_made_of() -> None:
    times, came, made = StageTimes(ManualClock()), records(1), records(1)
    times.begin(came)
    with times.stage(came, "decode"):
        pass

    times.begin(made, times.of(came))
    with times.stage(made, "check"):
        pass

    assert [mark.stage for mark in times.of(made)] == ["decode", "check"]
    assert [mark.stage for mark in times.of(came)] == ["decode"]


def test_a_batch_that_begins_anew_has_no_stages_of_before() -> None:
    times, batch = StageTimes(ManualClock()), records(1)
    times.begin(batch)
    with times.stage(batch, "decode"):
        pass

    times.begin(batch)

    assert times.of(batch) == []


def test_a_stage_that_raises_is_none() -> None:
    times, batch = StageTimes(ManualClock()), records(1)
    times.begin(batch)

    with pytest.raises(ValueError, match="no"), times.stage(batch, "decode"):
        raise ValueError("no")

    assert times.of(batch) == []


def test_old_batches_are_forgotten() -> None:
    times = StageTimes(ManualClock())
    batches = [records(1) for _ in range(MOST_BATCHES + 1)]
    for batch in batches:
        times.begin(batch, [Mark("decode", 0.0, 1.0)])

    assert times.of(batches[0]) == []
    assert times.of(batches[1]) == [Mark("decode", 0.0, 1.0)]
