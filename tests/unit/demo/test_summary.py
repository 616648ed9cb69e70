"""What the demo says at its end, and what makes it fail."""

from typing import Any

import pytest

from sidecar.demo.incidents import (
    AGE_IN_MONTHS,
    EDUCATION_MISSING,
    INCIDENTS,
    MODEL_FAILS,
    Incident,
)
from sidecar.demo.readback import Outcome
from sidecar.demo.summary import Books, Summary
from sidecar.demo.watch import Sighting
from sidecar.events import Signal, SignalEvidence
from tests.unit.demo.readings import COUNTS

DAY_MS = 86_400_000


def books(**changes: Any) -> Books:
    parts: dict[str, Any] = {
        "sent": 110,
        "failed": 0,
        "counts": COUNTS,
        "decisions_read": 100,
        "distinct_ids": 100,
        "dead_letters_read": {"malformed_json": 8},
    }
    return Books(**(parts | changes))


def signal(incident: Incident, kind: str, date: str, p_value: float) -> Signal:
    time = f"{date}T00:00:00.000Z"
    evidence = SignalEvidence(window_start=time, window_end=time, records=900, p_value=p_value)
    return Signal(
        id="0" * 32,
        kind=kind,
        event_time=time,
        name="employment",
        model="employment",
        version="1",
        subject="feature",
        window="7d",
        severity="critical",
        since=time,
        evidence=evidence,
        feature=incident.feature,
    )


def summary(**changes: Any) -> Summary:
    sightings = {
        incident: Sighting(incident.begins_ms + 2 * DAY_MS, "psi of X", 0.5, 0.1, "detail")
        for incident in INCIDENTS
    }
    during = {
        EDUCATION_MISSING: {
            Outcome("model", "confident", None): 60,
            Outcome("rule", "missing_feature", "child"): 10,
            Outcome("rule", "low_confidence", "child"): 3,
            Outcome("default", "missing_feature", None): 27,
        },
        AGE_IN_MONTHS: {Outcome("cache", "out_of_distribution", None): 5},
        MODEL_FAILS: {
            Outcome("default", "model_error", None): 1,
            Outcome("default", "circuit_open", None): 4,
        },
    }
    parts: dict[str, Any] = {
        "sightings": sightings,
        "during": during,
        "books": books(),
        "verdicts": 900,
        "alarms": {"ANC": 3, "SEX": 0},
        "signals": [
            signal(EDUCATION_MISSING, "drift_began", "2016-09-04", 1e-20),
            signal(EDUCATION_MISSING, "drift_ended", "2016-12-20", 0.9),
            signal(AGE_IN_MONTHS, "drift_began", "2017-09-04", 1e-30),
        ],
    }
    return Summary(**(parts | changes))


def test_everything_seen_and_accounted_for_is_no_fault() -> None:
    assert summary().faults() == []


def test_an_incident_that_was_not_seen_is_a_fault() -> None:
    sightings = dict(summary().sightings)
    del sightings[AGE_IN_MONTHS]

    assert summary(sightings=sightings).faults() == ["not seen: a unit changes upstream"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"sent": 111}, "records sent and records received differ: 111 and 110"),
        (
            {"counts": COUNTS._replace(tombstones=1)},
            "records received and records with an outcome differ: 110 and 109",
        ),
        (
            {"decisions_read": 99, "distinct_ids": 99},
            "decisions counted and decisions read back differ: 100 and 99",
        ),
        ({"distinct_ids": 98}, "decisions read back and their ids differ: 100 and 98"),
        (
            {"dead_letters_read": {"malformed_json": 7}},
            "dead letters counted and dead letters read back differ by code",
        ),
    ],
    ids=["not received", "no outcome", "decision lost", "decided twice", "dead letter lost"],
)
def test_books_that_do_not_balance_are_a_fault(changes: dict[str, Any], fault: str) -> None:
    assert books(**changes).faults() == [fault]


def test_a_record_that_the_broker_refused_is_named_and_not_missed_elsewhere() -> None:
    assert books(sent=111, failed=1).faults() == ["the broker did not take 1 records"]


def test_an_incident_is_told_from_its_beginning_to_what_was_done() -> None:
    paragraph = summary().text().split("\n\n")[2]

    assert " ".join(paragraph.split()) == (
        "1. Education goes missing "
        "began 2016-09-01, for 91 days: SCHL is left out of 40% of the events "
        "seen 2016-09-03, after 2 days: psi of X, 0.5 > 0.1; detail "
        "told 2016-09-04: drift_began on the signals topic, critical over 7d, p 1e-20; "
        "ended 2016-12-20 "
        "done 37 of 100 events answered without the model (missing_feature 37): "
        "default 27, rule child 10"
    )


def test_faults_stand_at_the_end() -> None:
    text = summary(sightings={}, signals=[], books=books(sent=111)).text()

    assert text.splitlines()[-7:] == [
        "  Something is missing:",
        "    - not seen: education goes missing",
        "    - not seen: a unit changes upstream",
        "    - not seen: the model fails",
        "    - no signal: education goes missing",
        "    - no signal: a unit changes upstream",
        "    - records sent and records received differ: 111 and 110",
    ]


def test_no_line_is_wider_than_a_terminal() -> None:
    long = {f"a_rather_long_code_{number}": 1_000 for number in range(9)}

    text = summary(alarms=long, books=books(dead_letters_read=long)).text()

    assert max(map(len, text.splitlines())) <= 96
