"""What comes of the records of a test, compared with what must come of them."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from sidecar.config.cases import Case, Expectation, Kind
from sidecar.config.settings import FallbackSettings, OutcomeSettings
from sidecar.errors import Finding
from sidecar.events import SOURCE_NAMES, Decision, Source


class Refused(Struct, frozen=True):
    """What a dead letter says."""

    code: str
    path: str
    message: str


Outcome = Decision | Refused | None
"""What comes of a record; None of a tombstone."""


class Difference(Struct, frozen=True):
    """One thing that is other than expected."""

    field: str
    """`label`, `events[1].label`, or `outcome` where the kind of it differs."""
    expected: object
    got: object


def differences(case: Case, outcomes: Sequence[Outcome]) -> Iterator[Difference]:
    """Compare what came of a test with what it expects.

    Args:
        case: The test.
        outcomes: One for each of its records, in order.
    """
    for step, outcome in zip(case.steps(), outcomes, strict=True):
        prefix = f"{step.sent_at}.".lstrip(".")
        for found in _compare(step.expected, outcome):
            yield msgspec.structs.replace(found, field=prefix + found.field)


def _compare(expected: Expectation, outcome: Outcome) -> Iterator[Difference]:
    wanted = expected.kind
    if wanted != _kind(outcome):
        yield Difference("outcome", f"a {wanted}", _described(outcome))
        return
    got = _fields(outcome)
    for field, value in expected.named().items():
        if not _agree(value, got[field], expected.tolerance):
            yield Difference(field, value, got[field])


def _fields(outcome: Outcome) -> dict[str, object]:
    match outcome:
        case Decision():
            return {**msgspec.structs.asdict(outcome), "flags": outcome.flags or []}
        case Refused():
            return {"rejected": outcome.code, "path": outcome.path}
    return {}


def _agree(expected: object, got: object, tolerance: float) -> bool:
    if isinstance(expected, float) and isinstance(got, float):
        return abs(expected - got) <= tolerance
    if isinstance(expected, list) and isinstance(got, list):
        return sorted(expected) == sorted(got)
    return expected == got


def _kind(outcome: Outcome) -> Kind:
    match outcome:
        case Decision():
            return "decision"
        case Refused():
            return "dead letter"
    return "tombstone"


def _described(outcome: Outcome) -> str:
    match outcome:
        case Decision():
            by = f"{outcome.source} `{outcome.rule}`" if outcome.rule else outcome.source
            return f"a decision: {outcome.label} by {by}, {outcome.reason}"
        case Refused():
            return f"a dead letter: {outcome.code} at {outcome.path}: {outcome.message}"
    return "a tombstone"


def unreached(fallback: FallbackSettings, outcomes: Sequence[Outcome]) -> Iterator[Finding]:
    """Find rules, cache and default that answered none of the events.

    Args:
        fallback: The chain; a default that answers nothing is none.
        outcomes: What came of the records of all tests.
    """
    decisions = [outcome for outcome in outcomes if isinstance(outcome, Decision)]
    rules = {decision.rule for decision in decisions}
    sources = {decision.source for decision in decisions}
    mend = "write a test that reaches it, or remove it"
    for index, rule in enumerate(fallback.rules):
        if rule.name not in rules:
            path = f"$.fallback.rules[{index}]"
            yield Finding(path, f"no test reaches the rule `{rule.name}`", mend)
    if fallback.cache is not None and SOURCE_NAMES[Source.CACHE] not in sources:
        yield Finding("$.fallback.cache", "no test reaches the cache", mend)
    has_default = fallback.default != OutcomeSettings()
    if has_default and SOURCE_NAMES[Source.DEFAULT] not in sources:
        yield Finding("$.fallback.default", "no test reaches the default", mend)
