"""Unit: pipeline.rules."""

from typing import Any

import pytest

from sidecar.config.settings import RuleSettings
from sidecar.errors import ConfigError, Finding
from sidecar.events import Features
from sidecar.pipeline.rules import compile_rules
from tests.event_samples import GOOD, event, events, features, manifest


def matches(when: dict[str, Any], batch: Features) -> list[bool]:
    rules = compile_rules([RuleSettings(name="r", when=when, label="x")], manifest())
    return [index == 0 for index in rules.first_match(batch).tolist()]


def column(name: str, *values: Any) -> Features:
    return events(*(features(**{name: value}) for value in values)).features


ABSENT = None


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"eq": 5}, [False, True, False, False]),
        (5, [False, True, False, False]),
        ({"ne": 5}, [True, False, True, False]),
        ({"gt": 5}, [False, False, True, False]),
        ({"ge": 5}, [False, True, True, False]),
        ({"lt": 5.0}, [True, False, False, False]),
        ({"le": 5}, [True, True, False, False]),
        ({"in": [4, 6]}, [True, False, True, False]),
        ([4, 6], [True, False, True, False]),
        ({"not_in": [4, 6]}, [False, True, False, False]),
        ({"missing": True}, [False, False, False, True]),
        ({"missing": False}, [True, True, True, False]),
        ({"gt": 4, "lt": 6}, [False, True, False, False]),
    ],
    ids=str,
)
def test_operators_on_numbers(asked: Any, expected: list[bool]) -> None:
    assert matches({"amount": asked}, column("amount", 4, 5, 6, ABSENT)) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("DE", [True, False, False, False, False]),
        ("XX", [False, False, True, False, False]),
        ({"ne": "XX"}, [True, True, False, True, False]),
        (["FR", "XX"], [False, True, True, False, False]),
        ({"not_in": ["FR", "XX"]}, [True, False, False, True, False]),
        ({"missing": True}, [False, False, False, False, True]),
    ],
    ids=str,
)
def test_operators_on_texts_tell_those_apart_that_the_reference_never_had(
    asked: Any, expected: list[bool]
) -> None:
    assert (
        matches({"country": asked}, column("country", "DE", "FR", "XX", "YY", ABSENT))
        == expected
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (True, [True, False, False]),
        ({"ne": True}, [False, True, False]),
        ({"missing": True}, [False, False, True]),
    ],
    ids=str,
)
def test_operators_on_booleans(asked: Any, expected: list[bool]) -> None:
    assert matches({"verified": asked}, column("verified", True, False, ABSENT)) == expected


BATCH = events(
    event(features=GOOD),
    features(amount=50.0, country="FR"),
    features(amount=None, verified=False),
).features


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, [True, True, True]),
        ({"amount": {"gt": 10}, "country": "FR"}, [False, True, False]),
        ({"any": [{"amount": {"gt": 20}}, {"verified": False}]}, [False, True, True]),
        ({"all": [{"amount": {"gt": 10}}, {"country": "DE"}]}, [True, False, False]),
        ({"not": {"amount": {"gt": 20}}}, [True, False, True]),
        ({"not": {"any": [{"country": "FR"}, {"verified": False}]}}, [True, False, False]),
        ({"country": "DE", "any": [{"amount": 12.5}]}, [True, False, False]),
        ({"any": [{}]}, [True, True, True]),
    ],
    ids=str,
)
def test_conditions_nest(when: dict[str, Any], expected: list[bool]) -> None:
    assert matches(when, BATCH) == expected


def test_the_first_rule_that_holds_counts() -> None:
    rules = compile_rules(
        [
            RuleSettings(name="rich", when={"amount": {"gt": 20}}, label="x"),
            RuleSettings(name="known", when={"amount": {"missing": False}}, label="y"),
        ],
        manifest(),
    )

    assert rules.first_match(BATCH).tolist() == [1, 0, -1]


def test_without_rules_nothing_matches() -> None:
    assert compile_rules([], manifest()).first_match(BATCH).tolist() == [-1, -1, -1]


def faults(when: Any, **rule: Any) -> list[tuple[str, str, str]]:
    rules = [RuleSettings(**{"name": "r", "label": "x", "when": when, **rule})]
    with pytest.raises(ConfigError) as error:
        compile_rules(rules, manifest())
    return [
        (f.path.removeprefix("$.fallback.rules[0]"), f.message, f.mend)
        for f in error.value.findings
    ]


NO_NUMBER = "`amount` is compared with a finite number"
OPERATORS = "use one of eq, ne, gt, ge, lt, le, in, not_in, missing"


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        (
            {"amuont": 1},
            (".when.amuont", "the model has no feature `amuont`", "did you mean `amount`?"),
        ),
        ({"zzz": 1}, (".when.zzz", "the model has no feature `zzz`", "")),
        ({1: 1}, (".when.1", "the model has no feature `1`", "")),
        (
            {"amount": {"gtt": 1}},
            (".when.amount.gtt", "there is no operator `gtt`", "did you mean `gt`?"),
        ),
        ({"amount": {1: 1}}, (".when.amount.1", "there is no operator `1`", OPERATORS)),
        ({"amount": {}}, (".when.amount", "has no operator", OPERATORS)),
        (
            {"amount": None},
            (".when.amount", "compares with nothing", "write `{missing: true}`"),
        ),
        (
            {"amount": {"gt": "5"}},
            (".when.amount.gt", NO_NUMBER, ""),
        ),
        ({"age": True}, (".when.age", "`age` is compared with a finite number", "")),
        ({"amount": {"gt": 10**400}}, (".when.amount.gt", NO_NUMBER, "")),
        ({"amount": float("nan")}, (".when.amount", NO_NUMBER, "")),
        ({"country": 7}, (".when.country", "`country` is compared with text", "")),
        (
            {"verified": "yes"},
            (".when.verified", "`verified` is compared with `true` or `false`", ""),
        ),
        (
            {"country": ["DE", 7]},
            (".when.country[1]", "`country` is compared with text", ""),
        ),
        (
            {"country": {"in": "DE"}},
            (".when.country.in", "is no list of values", "list at least one"),
        ),
        ({"country": []}, (".when.country", "is no list of values", "list at least one")),
        (
            {"country": {"gt": "A"}},
            (".when.country.gt", "a string has no order", "use `eq` or `in`"),
        ),
        (
            {"verified": {"lt": True}},
            (".when.verified.lt", "a boolean has no order", "use `eq` or `in`"),
        ),
        ({"age": {"missing": 1}}, (".when.age.missing", "is neither `true` nor `false`", "")),
        ({"any": []}, (".when.any", "is no list of conditions", "list at least one")),
        ({"all": {}}, (".when.all", "is no list of conditions", "list at least one")),
        ({"not": {}}, (".when.not", "has no condition", "name one, or remove it")),
        ({"not": 5}, (".when.not", "is no map of conditions", "write `{feature: condition}`")),
        (
            {"any": [{"age": 1}, {"not": {"agee": 2}}]},
            (".when.any[1].not.agee", "the model has no feature `agee`", "did you mean `age`?"),
        ),
    ],
    ids=str,
)
def test_a_fault_says_where_and_what(when: Any, fault: tuple[str, str, str]) -> None:
    assert faults(when) == [fault]


def test_all_faults_of_all_rules_are_listed() -> None:
    rules = [
        RuleSettings(name="a", label="x", when={"nope": 1, "age": "x"}),
        RuleSettings(name="a"),
    ]

    with pytest.raises(ConfigError) as error:
        compile_rules(rules, manifest())

    assert error.value.findings == (
        Finding("$.fallback.rules[0].when.nope", "the model has no feature `nope`", ""),
        Finding("$.fallback.rules[0].when.age", "`age` is compared with a finite number", ""),
        Finding("$.fallback.rules[1].name", "`a` is used twice", "choose another name"),
        Finding(
            "$.fallback.rules[1]", "the rule answers nothing", "give it a `label` or a `score`"
        ),
    )
