"""Every class of fault that the judge knows is found in a history that has it."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from loadtests.faults.history import Ack, Headers, History, Record, Sample, Sent
from loadtests.faults.judge import CLASSES, Verdict, judge, longest_pause

DIGEST = "0123456789abcdef"
TRACE: Headers = (("trace", b"1"), ("trace", b"2"), ("none", None))


def event(offset: int, value: bytes | None = b"{}", partition: int = 0) -> Record:
    """An event whose number is its offset, and in partition 1 100 more."""
    seq = offset + 100 * partition
    headers = (("seq", str(seq).encode()), *TRACE)
    return Record(partition, offset, 1_000, b"key", value, headers)


def decision(offset: int, at: int | None = None, partition: int = 0, **said: Any) -> Record:
    """The decision of an event; `at` is its own offset."""
    value = {
        "id": f"{DIGEST}-{partition}-{offset}",
        "event_id": f"e{offset + 100 * partition}",
        "source": "model",
        "reason": "confident",
        **said,
    }
    place = offset if at is None else at
    return Record(partition, place, 2_000 + place, b"key", json.dumps(value).encode(), ())


def letter(offset: int, code: str = "empty", **parts: Any) -> Record:
    said = {"code": code, "partition": "0", "offset": str(offset)}
    errors = tuple((f"sidecar.error.{name}", text.encode()) for name, text in said.items())
    original = event(offset, b"")
    whole = Record(0, 0, 2_000, original.key, original.value, (*original.headers, *errors))
    return whole._replace(**parts)


def sent(seq: int, ack: Ack = Ack.ACKNOWLEDGED, codes: frozenset[str] | None = None) -> Sent:
    return Sent(seq, seq // 100, ack, seq % 100, codes)


GOOD = History(
    sent=[sent(0), sent(1), sent(2), sent(3, codes=frozenset({"empty"})), sent(100)],
    events=[event(0), event(1), event(2), event(3, b""), event(0, partition=1)],
    decisions=[decision(0), decision(1), decision(2), decision(0, partition=1)],
    letters=[letter(3)],
    samples=[Sample(1_000, 0, 0), Sample(2_100, 0, 2), Sample(2_200, 0, 4)],
    ends={0: 4, 1: 1},
)


def found(history: History, **settings: bool) -> dict[str, int]:
    verdict: Verdict = judge(history, **settings)
    return {name: len(wrong) for name, wrong in verdict.found.items() if wrong}


def test_a_good_run_has_no_fault_and_is_counted() -> None:
    verdict = judge(GOOD)

    assert found(GOOD) == {}
    counts = (verdict.events, verdict.decided, verdict.refused, verdict.tombstones)
    assert counts == (5, 4, 1, 0)


def with_decisions(*decisions: Record) -> History:
    return replace(GOOD, decisions=[*decisions, GOOD.decisions[3]])


AHEAD = (decision(0, 0), decision(1, 1), decision(2, 2))
HISTORIES = {
    "lost": replace(GOOD, decisions=[decision(0), decision(1), decision(0, partition=1)]),
    "vanished": replace(GOOD, sent=[*GOOD.sent, sent(50)]),
    "duplicate": with_decisions(*AHEAD, decision(1, 3)),
    "phantom": with_decisions(*AHEAD, decision(9, 3)),
    "aborted_read": replace(GOOD, aborted={("decisions", 0, 1)}),
    "wrong_outcome": replace(GOOD, letters=[letter(3, code="too_deep")]),
    "damaged_letter": replace(GOOD, letters=[letter(3, value=b"?")]),
    "reordered": with_decisions(decision(1, 0), decision(0, 1), decision(2, 2)),
    "misplaced": with_decisions(decision(0)._replace(partition=1, offset=9), *AHEAD[1:]),
    "regressed": replace(GOOD, samples=[Sample(3_000, 0, 4), Sample(3_200, 0, 3)]),
    "early_commit": replace(GOOD, samples=[Sample(2_000, 0, 2), Sample(2_200, 0, 4)]),
    "overrun": replace(GOOD, samples=[Sample(9_000, 0, 5)]),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_fault_is_found_and_no_other(name: str) -> None:
    assert found(HISTORIES[name]) == {name: 1}


def test_a_repeated_decision_with_other_bytes_is_unequal() -> None:
    other = with_decisions(*AHEAD, decision(1, 3, score=0.5))

    assert found(other) == {"duplicate": 1, "unequal": 1}


def test_a_repeated_decision_with_another_id_is_unequal() -> None:
    other = with_decisions(*AHEAD, decision(1, 3, id=f"{'f' * 16}-0-1"))

    assert found(other) == {"duplicate": 1, "unequal": 1}


@pytest.mark.parametrize(
    "said",
    [{"reason": "model_timeout"}, {"reason": "circuit_open"}, {"source": "cache"}],
    ids=lambda said: str(*said.values()),
)
def test_what_time_decides_may_be_decided_otherwise(said: dict[str, Any]) -> None:
    assert found(with_decisions(*AHEAD, decision(1, 3, **said))) == {"duplicate": 1}


def test_every_class_has_a_history_that_has_it() -> None:
    assert {*HISTORIES, "unequal"} == set(CLASSES)


# --- what else belongs to a class ------------------------------------------------------------


def test_an_event_that_is_there_without_acknowledgement_needs_an_outcome() -> None:
    unknown = [sent(0), sent(1), sent(2, Ack.UNKNOWN), *GOOD.sent[3:]]
    lost = replace(HISTORIES["lost"], sent=unknown)

    assert found(lost) == {"lost": 1}


def test_a_write_that_is_not_there_and_was_not_acknowledged_is_no_loss() -> None:
    assert found(replace(GOOD, sent=[*GOOD.sent, sent(60, Ack.UNKNOWN)])) == {}


def test_a_write_that_the_broker_has_already_is_found_by_its_number() -> None:
    again = sent(1)._replace(offset=-1)

    assert found(replace(GOOD, sent=[sent(0), again, *GOOD.sent[2:]])) == {}
    gone = sent(50)._replace(offset=-1)
    assert found(replace(GOOD, sent=[*GOOD.sent, gone])) == {"vanished": 1}


def test_nothing_comes_of_a_tombstone() -> None:
    more = [*GOOD.events, event(4, None)]
    book = [*GOOD.sent, sent(4, codes=frozenset())]

    assert found(replace(GOOD, events=more, sent=book)) == {}


def test_what_the_campaign_deleted_is_neither_lost_nor_a_phantom() -> None:
    left = [kept for kept in GOOD.events if kept.place != (0, 0)]

    assert found(replace(GOOD, events=left, expired={(0, 0)})) == {}
    assert found(replace(GOOD, events=left)) == {"vanished": 1, "phantom": 1}


def test_a_decision_that_names_another_event_than_its_id_is_a_phantom() -> None:
    wrong = with_decisions(*AHEAD[:2], decision(2, 2, event_id="e1"))

    assert found(wrong) == {"lost": 1, "phantom": 1}


def test_a_bad_event_that_is_decided_and_a_good_one_that_is_refused_are_wrong() -> None:
    decided = replace(GOOD, letters=[], decisions=[*GOOD.decisions, decision(3)])
    good = letter(2, value=b"{}", headers=(*event(2).headers, *letter(2).headers[4:]))
    refused = replace(
        GOOD,
        decisions=[decision(0), decision(1), decision(0, partition=1)],
        letters=[good, letter(3)],
    )

    assert found(decided) == {"wrong_outcome": 1}
    assert found(refused) == {"wrong_outcome": 1}


def test_a_decision_and_a_dead_letter_of_one_event_are_one_too_many() -> None:
    both = replace(GOOD, decisions=[*GOOD.decisions, decision(3)])

    assert found(both)["duplicate"] == 1


def test_the_headers_of_an_event_stay_on_its_dead_letter_in_their_order() -> None:
    swapped = (TRACE[1], TRACE[0], TRACE[2])
    headers = (letter(3).headers[0], *swapped, *letter(3).headers[4:])

    assert found(replace(GOOD, letters=[letter(3, headers=headers)])) == {"damaged_letter": 1}


def test_a_stub_is_a_damaged_letter_unless_stubs_are_allowed() -> None:
    stub = letter(3, key=None, value=b"{}", headers=letter(3).headers[4:])
    history = replace(GOOD, letters=[stub])

    assert found(history) == {"damaged_letter": 1}
    assert found(history, stubs_allowed=True) == {}


def test_what_is_written_again_behind_later_ones_is_not_out_of_order() -> None:
    again = with_decisions(*AHEAD, decision(0, 3), decision(1, 4), decision(2, 5))

    assert found(again) == {"duplicate": 3}


def test_offsets_may_begin_again_when_the_campaign_deleted_them() -> None:
    deleted = [Sample(3_000, 0, 4), Sample(3_200, 0, 0, 1), Sample(3_400, 0, 4, 1)]

    assert found(replace(GOOD, samples=deleted)) == {}


def test_each_partition_has_its_own_offsets() -> None:
    samples = [Sample(3_000, 0, 4), Sample(3_000, 1, 1), Sample(3_200, 0, 4)]

    assert found(replace(GOOD, samples=samples)) == {}


# --- pauses ----------------------------------------------------------------------------------


def test_the_longest_pause_is_that_of_the_slowest_partition() -> None:
    samples = [
        *(Sample(at, 0, at) for at in range(1_000, 9_000, 200)),
        Sample(1_500, 1, 1),
        Sample(1_700, 1, 1),
        Sample(6_000, 1, 2),
    ]

    assert longest_pause(samples, 1_000, 9_000) == 4.5


def test_the_wait_for_the_first_commit_counts() -> None:
    assert longest_pause([Sample(4_000, 0, 1)], 1_000, 9_000) == 3.0


# --- independence ----------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["judge", "books", "state", "reading", "watch", "driver"])
def test_what_judges_imports_nothing_of_the_product(module: str) -> None:
    code = (
        f"import sys, loadtests.faults.{module}\n"
        "sys.exit(any(m.partition('.')[0] == 'sidecar' for m in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
