import signal
from pathlib import Path

import pytest

from loadtests import data
from loadtests.processes import ProcessTree, Usage
from loadtests.race import Plan, Result, RunFailedError, Sample, result_of
from loadtests.report import ratio

PLAN = Plan(events="e", records=1_000, model=Path(), bundle=Path(), logs=Path())


def sample(at_s: float, written: int, cpu_s: float, decode_s: float) -> Sample:
    return Sample(at_s, written, Usage(cpu_s, 1 << 20), {"decode": decode_s})


def outcome(contestant: str, cpu_s: float) -> Result:
    return Result(
        contestant=contestant,
        events=1_000_000,
        wall_s=1.0,
        cpu_s=cpu_s,
        peak_rss_bytes=1,
        written=1_000_000,
        exit_code=0,
        stages_us={},
    )


def test_only_the_part_between_warm_up_and_end_counts() -> None:
    samples = [
        sample(0, 0, 5.0, 0.0),
        sample(1, 200, 6.0, 1.0),
        sample(2, 500, 6.5, 1.5),
        sample(4, 900, 7.5, 2.0),
        sample(5, 1_000, 9.0, 3.0),
    ]

    found = result_of("copy", samples, PLAN, written=1_001, code=0)

    assert found == Result(
        contestant="copy",
        events=700,
        wall_s=3,
        cpu_s=1.5,
        peak_rss_bytes=1 << 20,
        written=1_001,
        exit_code=0,
        stages_us={"decode": 1_250},
    )


def test_a_contestant_that_writes_nothing_has_no_result() -> None:
    with pytest.raises(RunFailedError, match="copy wrote 0 records, exit code 1"):
        result_of("copy", [sample(0, 0, 1.0, 0.0)], PLAN, written=0, code=1)


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [
        [outcome("copy", 2.0), outcome("sidecar", 8.0)],
        [outcome("sidecar", 20.0), outcome("copy", 10.0)],
        [outcome("copy", 3.0), outcome("sidecar", 10.0)],
    ]

    assert ratio(rounds, "sidecar", "copy") == "0.30 (0.25 to 0.50)"


def test_a_running_process_is_seen_and_ended(tmp_path: Path) -> None:
    tree = ProcessTree(["sleep", "60"], {}, tmp_path / "log")

    used = tree.usage()
    code = tree.end(within_s=20.0)

    assert used.peak_rss_bytes > 0
    assert code == -signal.SIGTERM


def test_events_are_the_same_for_the_same_seed() -> None:
    first, second = (list(data.records(3, first_ms=0, distinct=2)) for _ in range(2))

    assert first == second
    assert first[2][1].startswith(b'{"id":"event-000000002","time":"1970-01-01T00:00:00.000Z"')
