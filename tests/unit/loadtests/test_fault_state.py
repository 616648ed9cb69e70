"""The state topic is held against the events that were decided."""

import json
import zlib

import msgspec
import numpy as np
import pytest

from loadtests.faults.history import History, Record
from loadtests.faults.state import (
    COLUMNS,
    PANE_MS,
    Anew,
    StateRecord,
    check,
    judge_state,
    parse,
)

# Ten events of partition 0 in two panes, the fourth of them refused; one of partition 1.
DECIDED = {(0, at): PANE_MS * (at // 5) + at for at in range(10) if at != 3} | {(1, 0): 7}
ENDS = {0: 10, 1: 1}


def mark(next_: int, partition: int = 0) -> StateRecord:
    return StateRecord("drift", partition, None, next_)


def pane(start_ms: int, next_: int, events: int, partition: int = 0) -> StateRecord:
    return StateRecord("drift", partition, start_ms, next_, events * COLUMNS)


FIRST = [pane(0, 3, 3), mark(3)]
REST = [pane(0, 10, 4), pane(PANE_MS, 10, 5), mark(10)]
OTHER = [pane(0, 1, 1, partition=1), mark(1, partition=1)]
GOOD = [*FIRST, *REST, *OTHER]


def test_state_that_counts_each_decided_event_once_is_right() -> None:
    assert judge_state(GOOD, ENDS, DECIDED, once=True) == []


def test_what_another_monitor_counts_is_not_judged_but_its_next_is() -> None:
    other = [record._replace(monitor="quality", total=record.total + 1) for record in GOOD]
    ahead = mark(11)._replace(monitor="quality")
    left_out = "quality/0 pane 60000: 9 is not counted"

    assert judge_state([*GOOD, *other], ENDS, DECIDED, once=True) == []
    assert judge_state([*GOOD, ahead, *other], ENDS, DECIDED, once=False) != []
    assert left_out in judge_state([*GOOD, *other[:2]], ENDS, DECIDED, once=True)


def test_where_no_state_is_kept_none_is_missing() -> None:
    assert judge_state([], ENDS, DECIDED, once=True) == []


@pytest.mark.parametrize(
    ("records", "wrong"),
    [
        ([pane(0, 3, 4), *GOOD], "drift/0 pane 0 next 3: 4 counted, 3 are due"),
        ([pane(0, 4, 2), *GOOD], "drift/0 pane 0 next 4: 2 counted, 3 are due"),
        ([mark(11), *GOOD], "drift/0 pane None next 11: beyond the end 10"),
        ([*FIRST, *OTHER, *REST[1:]], "drift/0 pane 0: 4 is not counted"),
        ([*FIRST, *OTHER, *REST[:2]], f"drift/0 pane {PANE_MS}: 9 is not counted"),
    ],
    ids=["twice", "left out", "ahead of the topic", "an old pane", "an old mark"],
)
def test_wrong_state_is_found(records: list[StateRecord], wrong: str) -> None:
    assert wrong in judge_state(records, ENDS, DECIDED, once=False)


def test_state_may_go_back_where_a_frozen_process_may_still_write() -> None:
    back = [*GOOD, *FIRST]

    assert judge_state(back, ENDS, DECIDED, once=False) == []
    assert judge_state(back, ENDS, DECIDED, once=True) == [
        "drift/0 pane 0 next 3: went back from 10",
        "drift/0 pane None next 3: went back from 10",
    ]


def test_what_was_stored_before_the_counts_began_anew_is_not_judged() -> None:
    places = [(0, at) for at in range(4)]
    history = History(
        sent=[],
        events=[event(*place) for place in places],
        decisions=[decision(*place) for place in places],
        letters=[],
        ends={0: 4},
    )
    records = [
        Record(0, 0, 0, b"drift/0/0", b"damaged", ()),
        stored_pane(1, next_=4, events=2),
        Record(0, 2, 0, b"drift/0", msgspec.msgpack.encode({"next": 4}), ()),
    ]

    assert check(records, history, once=True, anew=Anew({0: 1}, {0: 2})) == []
    assert check(records, history, once=True, anew=Anew({0: 1}, {0: 1})) == [
        "drift/0 pane 0 next 4: 2 counted, 3 are due"
    ]
    assert "state record 0:0 cannot be read" in check(records, history, once=True)


def event(partition: int, offset: int) -> Record:
    seq = b"%d" % offset
    return Record(partition, offset, 30_000 + offset, None, b"{}", (("seq", seq),))


def decision(partition: int, offset: int) -> Record:
    said = {"id": f"{0:016x}-{partition}-{offset}", "event_id": f"e{offset}"}
    return Record(partition, offset, 0, None, json.dumps(said).encode(), ())


def stored_pane(offset: int, *, next_: int, events: int) -> Record:
    counts = zlib.compress(np.full(COLUMNS, events, "u1").tobytes())
    value = msgspec.msgpack.encode({"next": next_, "width": 1, "counts": counts})
    return Record(0, offset, 0, b"drift/0/0", value, ())


def test_records_are_read_and_those_that_cannot_be_are_named() -> None:
    counts = zlib.compress(np.array([1, 2, 300], "<u2").tobytes())
    value = msgspec.msgpack.encode({"next": 4, "width": 2, "counts": counts})
    records = [
        Record(0, 0, 0, b"drift/3", msgspec.msgpack.encode({"next": 4}), ()),
        Record(0, 1, 0, b"drift/3/60000", value, ()),
        Record(0, 2, 0, b"drift/3/0", None, ()),
        Record(0, 3, 0, b"drift/3/60000", value[:-3], ()),
        Record(0, 4, 0, b"drift", value, ()),
        Record(0, 5, 0, b"drift/rule", value, ()),
    ]

    assert list(parse(records)) == [
        StateRecord("drift", 3, None, 4),
        StateRecord("drift", 3, 60_000, 4, 303),
        "0:3",
        "0:4",
    ]
