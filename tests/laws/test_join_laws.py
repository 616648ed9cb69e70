"""Laws of joining: each record has one outcome, and the ends of batches decide nothing."""

import random
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.settings import InputSettings, KServeSettings, LimitSettings
from sidecar.config.values import Duration
from sidecar.events import RecordBatch, Span
from sidecar.pipeline.join import Joined, Joiner
from tests.fakes import Stored
from tests.flows.harness import MANIFEST
from tests.kserve_samples import answered, asked
from tests.strategies import headers, values

MAX_WAIT_S = 60
Outcome = tuple[Any, ...]


def joiner(max_pending: int = 1_000) -> Joiner:
    kserve = KServeSettings(max_wait=Duration(MAX_WAIT_S * 1000), max_pending=max_pending)
    return Joiner(MANIFEST, InputSettings(format="kserve", kserve=kserve), LimitSettings())


def batch(partition: int, first: int, stored: list[Stored]) -> RecordBatch:
    return RecordBatch(
        topic="credit.events",
        spans=(Span(partition, 0, len(stored)),),
        offsets=np.arange(first, first + len(stored)),
        timestamps_ms=np.array([each.timestamp_ms for each in stored], np.int64),
        keys=[each.key for each in stored],
        values=[each.value for each in stored],
        headers=[each.headers for each in stored],
    )


def outcomes(joined: Joined) -> dict[tuple[int, int], Outcome]:
    """Give by place what came of a record."""
    records, decoded = joined.records, joined.decoded
    places = list(zip(records.partitions().tolist(), records.offsets.tolist(), strict=True))
    found: dict[tuple[int, int], Outcome] = dict.fromkeys(places, ("tombstone",))
    for each in decoded.rejections:
        found[places[each.row]] = ("letter", each.code, records.values[each.row])
    events = decoded.events
    for at, row in enumerate(events.rows.tolist()):
        amount = events.features.matrix[at, 0]
        found[places[row]] = ("event", events.ids[at], amount, records.keys[row])
    assert len(decoded.rejections) + len(events) + decoded.tombstones == len(records)
    assert places == sorted(places)
    return found


@st.composite
def logs(draw: st.DrawFn) -> list[Stored]:
    """A partition with calls of few ids in any order, time going on and sometimes back."""
    at_s, log = 0.0, []
    for _ in range(draw(st.integers(0, 25))):
        at_s += draw(st.sampled_from([0, 1, 20, 70, -5]))
        make = draw(st.sampled_from([asked, answered]))
        log.append(make(draw(st.sampled_from("abc")), at_s=at_s))
    return log


def played(log: list[Stored], sizes: random.Random) -> tuple[dict[Any, Outcome], int]:
    """Join a log in batches of some sizes, and give all outcomes and how many were joined."""
    of, count, first = joiner(), 0, 0
    found: dict[Any, Outcome] = {}
    waiting: set[tuple[int, int]] = set()
    while first < len(log):
        size = sizes.randint(1, 8)
        joined = of.join(batch(0, first, log[first : first + size]))
        assert not found.keys() & outcomes(joined).keys()
        found |= outcomes(joined)
        count += sum(joined.joined.values())
        waiting |= {(p, offset) for p, offsets in joined.waiting.items() for offset in offsets}
        ended = {(p, offset) for p, offsets in joined.ended.items() for offset in offsets}
        assert ended <= waiting
        waiting -= ended
        assert len(waiting) == of.pending
        for partition, offsets in joined.ended.items():
            of.settled(partition, offsets)
        first += size
    rest = of.flush("credit.events")
    assert of.pending == 0
    return found | outcomes(rest), count


@given(logs(), st.randoms(use_true_random=False))
def test_each_record_is_decided_refused_or_joined_whatever_the_batches(
    log: list[Stored], sizes: random.Random
) -> None:
    found, joined = played(log, sizes)

    again, as_often = played(log, sizes)
    kinds = Counter(outcome[0] for outcome in found.values())
    assert len(log) == len(found) + joined
    assert kinds["event"] == joined
    assert (again, as_often) == (found, joined)


@given(logs())
def test_a_pair_is_joined_exactly_when_neither_waited_too_long(log: list[Stored]) -> None:
    found, _ = played(log, random.Random(1))

    # The same by hand: in line by id, given up when the newest time says so.
    newest = 0
    waiting: list[tuple[int, Stored]] = []
    wanted: dict[Any, str] = {}
    for offset, stored in enumerate(log):
        newest = max(newest, stored.timestamp_ms)
        while waiting and waiting[0][1].timestamp_ms < newest - MAX_WAIT_S * 1000:
            wanted[0, waiting.pop(0)[0]] = "letter"
        assert stored.key is not None
        name, _, kind = stored.key.decode().partition("-")
        other = f"{name}-{'request' if kind == 'response' else 'response'}".encode()
        partner = next((each for each in waiting if each[1].key == other), None)
        if partner is None:
            waiting.append((offset, stored))
        else:
            waiting.remove(partner)
            wanted[0, offset if kind == "response" else partner[0]] = "event"
    wanted |= {(0, offset): "letter" for offset, _ in waiting}
    assert {place: outcome[0] for place, outcome in found.items()} == wanted


@given(logs(), st.integers(0, 25), st.integers(0, 25))
def test_going_back_changes_no_outcome(log: list[Stored], stop: int, back_to: int) -> None:
    expected, joined = played(log, random.Random(1))
    stop = min(stop, len(log))
    back_to = min(back_to, stop)
    of, count = joiner(), 0
    found: dict[Any, Outcome] = {}
    for first, last, counts in (
        (0, back_to, True), (back_to, stop, False), (back_to, len(log), True)
    ):  # fmt: skip
        if first == last:
            continue
        result = of.join(batch(0, first, log[first:last]))
        if counts:
            found |= outcomes(result)
            count += sum(result.joined.values())
            for partition, offsets in result.ended.items():
                of.settled(partition, offsets)
        else:
            of.returned(0, back_to)
    found |= outcomes(of.flush("credit.events"))

    assert (found, count) == (expected, joined)


@given(st.lists(st.tuples(values, headers), min_size=1, max_size=6))
def test_any_bytes_have_an_outcome_or_wait(given_records: list[Any]) -> None:
    of = joiner()
    log = [Stored(b"k", value, head) for value, head in given_records]

    joined = of.join(batch(3, 100, log))

    waits = sum(map(len, joined.waiting.values()))
    assert len(outcomes(joined)) + waits + sum(joined.joined.values()) == len(log)


@given(logs(), st.integers(1, 3))
def test_no_more_wait_than_may(log: list[Stored], most: int) -> None:
    of = joiner(max_pending=most)
    for first, stored in enumerate(log):
        of.join(batch(0, first, [stored]))
        assert of.pending <= most


def test_what_is_forgotten_is_gone() -> None:
    of = joiner()
    of.join(batch(0, 0, [asked("a"), asked("b")]))
    of.join(batch(1, 0, [asked("c")]))

    of.forget(0)

    assert of.pending == 1
    assert outcomes(of.join(batch(1, 1, [answered("a"), answered("c")]))) == {
        (1, 2): ("event", "c", 95.0, b"c-response")
    }


def test_what_was_recalled_answers_for_all_partitions_until_its_time_is_over() -> None:
    of = joiner()
    of.recall(batch(0, 0, [asked("a"), asked("b")]))
    of.recall(batch(1, 0, [answered("c")]))

    first = of.join(batch(0, 2, [answered("a"), asked("c"), answered("a", at_s=1)]))
    late = of.join(batch(0, 5, [answered("b", at_s=MAX_WAIT_S + 1)]))

    assert outcomes(first) == {
        (0, 2): ("event", "a", 95.0, b"a-response"),
        (0, 4): ("event", "a", 95.0, b"a-response"),
    }
    assert first.joined == {0: 1}
    assert (outcomes(late), late.waiting) == ({}, {0: [5]})
