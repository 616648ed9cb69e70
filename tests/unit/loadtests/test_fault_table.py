"""The table of faults, the records that they send, and what is said of a run."""

import json
import random
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from loadtests import data
from loadtests.faults.campaign import Result
from loadtests.faults.cases import TABLE
from loadtests.faults.judge import CLASSES
from loadtests.faults.poison import POISONS
from loadtests.faults.report import Report, line, page
from loadtests.faults.risks import RISKS
from loadtests.faults.scene import Mode

ROOT = Path(__file__).parents[3]

RESULT = Result(
    fault="kill",
    risks="R2",
    mode="at_least_once",
    seed=7,
    passed=False,
    failures=["lost 1: event 0:3"],
    found={**dict.fromkeys(CLASSES, 0), "lost": 1, "duplicate": 5, "phantom": 2},
    sent=100,
    acknowledged=100,
    events=100,
    decided=99,
    refused=0,
    tombstones=0,
    samples=10,
    pause_s=7.0,
    recovery_s=6.5,
    took_s=20.0,
    load=2.5,
    figures={"kill -9": 2},
)


def test_a_run_is_one_line_with_what_does_not_hold_below() -> None:
    assert line(RESULT).splitlines() == [
        "FAIL kill               at_least_once, seed 7, 100 events, "
        "lost 1 dup 5 reordered 0 regressed 0, recovery 6.5 s, kill -9 2, phantom 2, (20 s)",
        "       lost 1: event 0:3",
    ]


def report(*results: Result, commit: str = "abc") -> Report:
    return Report("2026-03-01", commit, "Linux", {"seed": 7}, list(results))


def test_runs_of_a_fault_are_one_row_of_the_page() -> None:
    good = replace(RESULT, passed=True, failures=[], recovery_s=9.0, figures={"kill -9": 3})

    rows = page([report(RESULT), report(good)]).splitlines()

    assert (
        "| `kill` | at least once | 2 | 1 | 200 | 2 | 10 | 0 | 0 | 9.0 s "
        "| kill -9: 5; **lost 1: event 0:3** |"
    ) in rows
    assert rows.count("### 2026-03-01, commit abc") == 1


def test_campaigns_of_two_commits_have_tables_of_their_own() -> None:
    both = page([report(RESULT), report(RESULT, commit="def")])

    assert both.count("| `kill` | at least once | 1 | 0 |") == 2


def test_the_page_names_every_fault_and_every_class() -> None:
    text = page([])

    assert [name for name in (*TABLE, *CLASSES) if name not in text] == []


def test_every_fault_has_a_name_of_its_own_and_says_what_must_hold() -> None:
    assert all(fault.promise and fault.what and fault.risks for fault in TABLE.values())
    assert all(fault.act.__doc__ for fault in TABLE.values())


def test_every_risk_is_provoked_by_a_fault_or_by_a_test() -> None:
    provoked = {key for fault in TABLE.values() for key in fault.risks.split()}

    assert provoked <= RISKS.keys()
    assert {key for key, risk in RISKS.items() if risk.tests} | provoked == RISKS.keys()


@pytest.mark.parametrize("test", [test for risk in RISKS.values() for test in risk.tests])
def test_a_test_that_the_page_names_is_there(test: str) -> None:
    path, name = test.split("::")

    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_the_short_campaign_is_a_part_of_the_long_one_in_both_modes() -> None:
    short = [fault for fault in TABLE.values() if fault.short]

    assert all(set(fault.short) <= set(fault.modes) for fault in short)
    assert {mode for fault in short for mode in fault.short} == set(get_args(Mode))
    assert len(short) < len(TABLE)


def test_the_page_says_how_busy_the_machine_was() -> None:
    text = page([report(RESULT, replace(RESULT, load=7.0))])

    assert "Linux with a load of 2.5 to 7; seed 7." in text


@pytest.mark.parametrize("name", POISONS)
def test_poison_is_not_the_event_that_it_is_made_from(name: str) -> None:
    event = {"id": "e1", "features": data.features(data.columns(1))[0]}
    rng = random.Random(3)

    values = {POISONS[name].spoil(event, rng) for _ in range(20)}

    assert json.dumps(event).encode() not in values
