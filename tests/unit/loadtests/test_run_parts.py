from pathlib import Path

import pytest

from loadtests.processes import Usage
from loadtests.race import Plan, Sample, result_of
from loadtests.scrapes import Scrape

PLAN = Plan(events="e", records=1_000, model=Path(), bundle=Path(), logs=Path(), warm_up=0.0)


def sample(written: int, cpu_s: float, scrape: Scrape) -> Sample:
    return Sample(written / 100, written, Usage(cpu_s, 1), scrape.stages_s, scrape)


def test_the_last_third_is_held_to_the_first() -> None:
    cpu_s = {0: 0.0, 300: 3.0, 600: 6.0, 900: 12.0}  # 10 ms an event, at the end 20
    samples = [sample(written, cpu, Scrape()) for written, cpu in cpu_s.items()]

    found = result_of("sidecar", samples, PLAN, written=1_000, code=0)

    assert found.late_in_run == pytest.approx(0.5)


def test_the_worst_of_the_scrapes_is_kept() -> None:
    answers = {"model confident": 1.0}
    scrapes = [Scrape(0.004, 0.020), Scrape(0.009, 0.001), Scrape(0.002, 0.001, {}, answers)]
    samples = [sample(300 * at, 1.0 * at, scrape) for at, scrape in enumerate(scrapes, 1)]

    found = result_of("sidecar", samples, PLAN, written=1_000, code=0)

    assert (found.loop_lag_ms, found.scrape_ms) == (20.0, 9.0)
    assert found.answers == answers
