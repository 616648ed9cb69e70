"""`${VAR}` in values."""

import pytest

from sidecar.config.faults import FAULTY, Faults
from sidecar.config.interpolate import interpolate
from tests.unit.config.conftest import Load

ENVIRON = {"STAGE": "prod", "EMPTY": "", "NESTED": "${STAGE}"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${STAGE}", "prod"),
        ("a.${STAGE}.${STAGE}", "a.prod.prod"),
        ("${NONE:-test}", "test"),
        ("${EMPTY:-test}", "test"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${STAGE:-test}", "prod"),
        ("${NONE:-a:b-c $}", "a:b-c $"),
        ("$$", "$"),
        ("$${STAGE}", "${STAGE}"),
        ("$STAGE costs 5$", "$STAGE costs 5$"),
        ("${NESTED}", "${STAGE}"),
        (5, 5),
    ],
)
def test_a_scalar_is_filled_in(text: object, result: object) -> None:
    assert interpolate({"a": [text]}, ENVIRON, Faults()) == {"a": [result]}


@pytest.mark.parametrize("text", ["${NONE}", "${STAGE} ${NONE}", "${1}", "${STAGE", "${A{B}}"])
def test_what_cannot_be_filled_is_one_fault(text: str) -> None:
    faults = Faults()

    assert interpolate([text], ENVIRON, faults) == [FAULTY]
    assert [finding.path for finding in faults.findings()] == ["$[0]"]


def test_keys_are_left_alone() -> None:
    assert interpolate({"${STAGE}": 1}, ENVIRON, Faults()) == {"${STAGE}": 1}


def test_a_variable_alone_is_read_as_what_is_expected_there(load: Load) -> None:
    changes = {
        "name": "${NUMBER}",
        "model": {"threads": "${NUMBER}", "linger": "${ZERO}"},
        "http": {"ready_needs_kafka": "${OFF}"},
        "confidence": {"threshold": "${SHARE}"},
    }
    environ = {"NUMBER": "2", "ZERO": "0", "OFF": "false", "SHARE": "0.5"}

    settings = load(changes, environ)

    assert settings.name == "2"
    assert settings.model.threads == 2
    assert settings.model.linger.ms == 0
    assert settings.http.ready_needs_kafka is False
    assert settings.confidence.threshold == 0.5


def test_a_variable_in_a_condition_is_read_as_if_it_stood_there(load: Load) -> None:
    when = {"amount": {"gt": "${LIMIT}"}, "country": {"in": ["${COUNTRY}", "${LIMIT}.0"]}}
    rule = {"name": "a", "label": "b", "when": when}

    settings = load({"fallback": {"rules": [rule]}}, {"LIMIT": "5000", "COUNTRY": "NO"})

    assert settings.fallback.rules[0].when == {
        "amount": {"gt": 5000},
        "country": {"in": ["NO", "5000.0"]},
    }
