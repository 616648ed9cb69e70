"""Tests of a config that are fine field by field and make no sense as a whole.

As in `config.checks`, each check names as parameters what it looks at.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import UNSET, Struct

from sidecar.config.cases import (
    FLAGS,
    OF_DEAD_LETTERS,
    OF_DECISIONS,
    REJECT_CODES,
    STUB_ERRORS,
    Case,
    Expectation,
    Sent,
    Stub,
    Suite,
    each_expectation,
)
from sidecar.config.convert import Check, Clash
from sidecar.errors import did_you_mean
from sidecar.events import REASON_NAMES, SOURCE_NAMES


def unknown_word(at: str, kind: str, word: object, known: Collection[str]) -> Clash:
    """Refuse a word that is none of a list, and suggest the nearest.

    Args:
        at: Where it stands.
        kind: What it should be: `reason`.
        word: What stands there.
        known: The list.
    """
    mend = did_you_mean(word, known, f"known: {', '.join(known) or 'none'}")
    return Clash(at, f"there is no {kind} `{word}`", mend)


def tests_have_names_of_their_own(tests: Sequence[Case]) -> Iterator[Clash]:
    """A report names its tests."""
    names = [case.name for case in tests]
    for index, name in enumerate(names):
        if name in names[:index]:
            message = f"a test before it is named `{name}` too"
            yield Clash(f".tests[{index}].name", message, "give each test its own name")


def one_value_is_sent(event: object, raw: object) -> Iterator[Clash]:
    """A record has one value."""
    if event is UNSET and raw is None:
        yield Clash("", "sends nothing", "add `event` or `raw`")
    if event is not UNSET and raw is not None:
        yield Clash(".raw", "stands beside `event`", "remove one of them")


def one_record_or_several(
    event: object,
    raw: object,
    key: object,
    headers: object,
    timestamp: object,
    stub: object,
    events: Sequence[Sent] | None,
) -> Iterator[Clash]:
    """What belongs to one record has no meaning beside a list of them."""
    if events is None:
        if event is UNSET and raw is None:
            yield Clash("", "sends nothing", "add `event`, `raw` or `events`")
        else:
            yield from one_value_is_sent(event, raw)
        return
    alone = {
        "event": event is not UNSET,
        "raw": raw is not None,
        "key": key is not None,
        "headers": headers != {},
        "timestamp": timestamp is not None,
        "stub": stub is not None,
    }
    for name, given in alone.items():
        if given:
            mend = "move it to those of `events` that it is meant for"
            yield Clash(f".{name}", "stands beside `events`", mend)


def headers_are_text(headers: Mapping[str, object]) -> Iterator[Clash]:
    """A header's value is bytes, and `1.0` could be meant in many ways."""
    for name, value in headers.items():
        if not isinstance(value, str):
            yield Clash(f".headers.{name}", "is no text", "write it in quotes")


def a_stub_says_one_thing(stub: Stub | None) -> Iterator[Clash]:
    """The model answers or fails."""
    if stub is None:
        return
    answer = (stub.label, stub.score, stub.confidence)
    if stub.error is None:
        if answer == (None, None, None):
            yield Clash(".stub", "says nothing", "add `label`, `score` or `error`")
        return
    if stub.error not in STUB_ERRORS:
        yield unknown_word(".stub.error", "error", stub.error, STUB_ERRORS)
    if answer != (None, None, None):
        message = "the model answers and fails at once"
        yield Clash(".stub", message, "remove `error`, or everything else")


def each_event_has_its_expectation(
    events: Sequence[Sent] | None, expect: Expectation | list[Expectation]
) -> Iterator[Clash]:
    """One event has one expectation, several have a list of as many."""
    if isinstance(expect, Expectation):
        if events is not None:
            yield Clash(".expect", "is one for several events", "write a list, one for each")
    elif events is None:
        yield Clash(".expect", "is a list for one event", "write it without the dash")
    elif len(events) != len(expect):
        message = f"has {len(expect)} entries for {len(events)} events"
        yield Clash(".expect", message, "write one for each event")


def expectations_can_be_met(expect: Expectation | list[Expectation]) -> Iterator[Clash]:
    """Each asks something, of one kind of outcome, in words that exist."""
    for at, each in each_expectation(expect):
        yield from _can_be_met(each, at)


def _can_be_met(expect: Expectation, at: str) -> Iterator[Clash]:
    named = expect.named()
    kinds = [
        any(name in named for name in OF_DECISIONS),
        any(name in named for name in OF_DEAD_LETTERS),
        expect.tombstone,
    ]
    if sum(kinds) == 0:
        asked = ", ".join((*OF_DECISIONS, *OF_DEAD_LETTERS, "tombstone"))
        yield Clash(at, "expects nothing", f"name at least one of {asked}")
    if sum(kinds) > 1:
        message = "no record becomes more than one of decision, dead letter and tombstone"
        yield Clash(at, message, "expect one of them")
    closed = {"source": SOURCE_NAMES, "reason": REASON_NAMES, "rejected": REJECT_CODES}
    for name, known in closed.items():
        if name in named and named[name] not in known:
            kind = "reject code" if name == "rejected" else name
            yield unknown_word(f"{at}.{name}", kind, named[name], known)
    for index, flag in enumerate(expect.flags or ()):
        if flag not in FLAGS:
            yield unknown_word(f"{at}.flags[{index}]", "flag", flag, FLAGS)


CHECKS: Mapping[type[Struct], Sequence[Check]] = {
    Suite: (tests_have_names_of_their_own,),
    Case: (
        one_record_or_several,
        headers_are_text,
        a_stub_says_one_thing,
        each_event_has_its_expectation,
        expectations_can_be_met,
    ),
    Sent: (one_value_is_sent, headers_are_text, a_stub_says_one_thing),
}
