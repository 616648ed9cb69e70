"""Judges a run: pure functions from what was read to what is wrong with it.

The words are Jepsen's. Each class of fault has a test in which it is found.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from loadtests.faults.history import Ack, Headers, History, Place, Record, Sample, Sent

ERROR = "sidecar.error."
# Time decides these answers, so a second decision of the same event may be another one.
_TIMELY_REASONS = {"model_timeout", "circuit_open"}
_TIMELY_SOURCES = {"cache"}
_STUB = b"{}"
_DECISION_ID = re.compile(r"[0-9a-f]{16}-(\d+)-(\d+)")


class Outcome(NamedTuple):
    """One decision or dead letter, and the event that it claims to be of."""

    topic: str
    record: Record
    event: Place | None
    """None: of no event that can be named."""
    said: Mapping[str, Any]
    """The decision; empty for a dead letter."""


CLASSES = {
    "lost": "an event without an outcome",
    "vanished": "an event that the broker acknowledged and no longer has",
    "duplicate": "outcomes beyond the first one of an event",
    "unequal": "a repeated decision with another id, or other bytes without a reason in time",
    "phantom": "an outcome of no event",
    "aborted_read": "a visible outcome that an aborted transaction wrote",
    "wrong_outcome": "a good event refused, a bad one decided, or refused with a wrong code",
    "damaged_letter": "a dead letter without the event's own key, value and headers",
    "reordered": "first outcomes of a key in another order than its events",
    "misplaced": "a decision in another partition than its event, or with another key",
    "regressed": "a committed offset that went back",
    "early_commit": "an offset committed before what came of its events was on the topic",
    "overrun": "a committed offset beyond the end of the topic",
}
"""Every class, and what it means."""


@dataclass
class Verdict:
    """What is wrong with a run, by class; each entry says where."""

    found: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in CLASSES})
    events: int = 0
    decided: int = 0
    """Events with a decision."""
    refused: int = 0
    """Events with a dead letter."""
    tombstones: int = 0

    def count(self, name: str) -> int:
        """Give how often a class was found."""
        return len(self.found[name])


def judge(
    history: History, *, partitions_kept: bool = True, stubs_allowed: bool = False
) -> Verdict:
    """Judge a run.

    Args:
        history: The run.
        partitions_kept: Whether decisions have as many partitions as events all the time.
        stubs_allowed: Whether a dead letter may come without the event's own bytes.
    """
    verdict = Verdict()
    events = {event.place: event for event in history.events}
    sent = {record.seq: record for record in history.sent}
    outcomes = [*_decided(history), *_refused(history)]
    by_event: dict[Place, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.event is None or outcome.event not in events:
            if outcome.event not in history.expired:
                verdict.found["phantom"].append(_where(outcome))
        else:
            by_event[outcome.event].append(outcome)
    _count(verdict, history, by_event)
    found = verdict.found
    found["lost"] += _lost(history, by_event, sent)
    found["vanished"] += _vanished(history)
    found["duplicate"] += [_where(o) for each in by_event.values() for o in each[1:]]
    found["unequal"] += _unequal(by_event)
    found["aborted_read"] += _aborted_read(history, outcomes)
    found["wrong_outcome"] += _wrong_outcome(by_event, events, sent)
    found["damaged_letter"] += _damaged(by_event, events, stubs_allowed=stubs_allowed)
    found["reordered"] += _reordered(by_event, events)
    found["misplaced"] += _misplaced(by_event, events, partitions_kept=partitions_kept)
    found["regressed"] += regressions(history.samples)
    if history.broker_times:
        found["early_commit"] += _early(history.samples, by_event)
    found["overrun"] += [
        f"{s.partition}:{s.offset}"
        for s in history.samples
        if s.offset > history.ends.get(s.partition, s.offset)
    ]
    return verdict


def _count(verdict: Verdict, history: History, by_event: Mapping[Place, list[Outcome]]) -> None:
    verdict.events = len(history.events)
    for outcomes in by_event.values():
        verdict.decided += any(outcome.topic == "decisions" for outcome in outcomes)
        verdict.refused += any(outcome.topic == "letters" for outcome in outcomes)
    verdict.tombstones = sum(event.value is None for event in history.events)


def decided_places(history: History) -> set[Place]:
    """Give the events that have a decision."""
    return {outcome.event for outcome in _decided(history) if outcome.event is not None}


# --- what an outcome claims ------------------------------------------------------------------


def _decided(history: History) -> Iterator[Outcome]:
    """Give decisions by the place in their id; the event there must have the id they name."""
    ids = {event.place: f"e{_seq(event)}" for event in history.events}
    for record in history.decisions:
        said = _json(record.value)
        claimed = _DECISION_ID.fullmatch(str(said.get("id")))
        place = (int(claimed[1]), int(claimed[2])) if claimed else None
        if place in ids and said.get("event_id") != ids[place]:
            place = None
        yield Outcome("decisions", record, place, said)


def _refused(history: History) -> Iterator[Outcome]:
    for record in history.letters:
        partition, offset = (record.header(ERROR + name) for name in ("partition", "offset"))
        try:
            place = int(partition or ""), int(offset or "")
        except ValueError:
            yield Outcome("letters", record, None, {})
        else:
            yield Outcome("letters", record, place, {})


def _json(value: bytes | None) -> Mapping[str, Any]:
    try:
        said = json.loads(value or b"")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _seq(event: Record) -> int:
    return int(event.header("seq") or -1)


# --- the classes -----------------------------------------------------------------------------


def _lost(
    history: History, by_event: Mapping[Place, list[Outcome]], sent: Mapping[int, Sent]
) -> Iterator[str]:
    """Give what stands on the events topic, acknowledged or not, and has no outcome."""
    for event in history.events:
        record = sent.get(_seq(event))
        nothing_is_due = event.value is None or (record and record.codes == frozenset())
        if not nothing_is_due and event.place not in by_event:
            yield f"event {event.partition}:{event.offset}"


def _vanished(history: History) -> Iterator[str]:
    there = {event.place for event in history.events} | history.expired
    numbers = {_seq(event) for event in history.events}
    for record in history.sent:
        place = record.partition, record.offset
        # Of a write that it has already, the broker does not say again where.
        found = record.seq in numbers if record.offset < 0 else place in there
        if record.ack is Ack.ACKNOWLEDGED and not found:
            yield f"seq {record.seq} at {record.partition}:{record.offset}"


def _unequal(by_event: Mapping[Place, list[Outcome]]) -> Iterator[str]:
    for outcomes in by_event.values():
        decisions = [outcome for outcome in outcomes if outcome.topic == "decisions"]
        for other in decisions[1:]:
            first = decisions[0]
            same_id = first.said.get("id") == other.said.get("id")
            same_bytes = first.record.value == other.record.value
            excused = _timely(first) or _timely(other)
            if not same_id or not (same_bytes or excused):
                yield _where(other)


def _timely(outcome: Outcome) -> bool:
    said = outcome.said
    return said.get("reason") in _TIMELY_REASONS or said.get("source") in _TIMELY_SOURCES


def _aborted_read(history: History, outcomes: Iterable[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        if (outcome.topic, *outcome.record.place) in history.aborted:
            yield _where(outcome)


def _wrong_outcome(
    by_event: Mapping[Place, list[Outcome]],
    events: Mapping[Place, Record],
    sent: Mapping[int, Sent],
) -> Iterator[str]:
    for place, outcomes in by_event.items():
        record = sent.get(_seq(events[place]))
        codes = record.codes if record else None
        for outcome in outcomes:
            code = outcome.record.header(ERROR + "code")
            refused = outcome.topic == "letters"
            # `output_refused` speaks of the topic, not of the event.
            right = code in codes if codes and refused else refused == (codes is not None)
            if not right and code != "output_refused":
                yield f"{_where(outcome)} code {code}, wanted {sorted(codes or ())}"


def _damaged(
    by_event: Mapping[Place, list[Outcome]],
    events: Mapping[Place, Record],
    *,
    stubs_allowed: bool,
) -> Iterator[str]:
    for place, outcomes in by_event.items():
        event = events[place]
        for outcome in outcomes:
            if outcome.topic != "letters":
                continue
            letter = outcome.record
            if stubs_allowed and letter.value == _STUB and letter.key is None:
                continue
            whole = (letter.key, letter.value, own(letter.headers))
            if whole != (event.key, event.value, own(event.headers)):
                yield _where(outcome)


def own(headers: Headers) -> Headers:
    """Give the headers that are the producer's, in their order."""
    return tuple(header for header in headers if not header[0].startswith(ERROR))


def _reordered(
    by_event: Mapping[Place, list[Outcome]], events: Mapping[Place, Record]
) -> Iterator[str]:
    """Give what overtook: by topic, partition and key, first outcomes follow their events.

    What is written again after a failure comes behind later ones; only the first time counts.
    """
    firsts: dict[tuple[str, int, bytes | None], list[tuple[int, Place]]] = defaultdict(list)
    for place, outcomes in by_event.items():
        first: dict[str, Record] = {}
        for outcome in outcomes:
            known = first.get(outcome.topic)
            if known is None or outcome.record.offset < known.offset:
                first[outcome.topic] = outcome.record
        for topic, record in first.items():
            line = (topic, record.partition, events[place].key)
            firsts[line].append((record.offset, place))
    for placed in firsts.values():
        newest: dict[int, int] = {}
        for _, (partition, offset) in sorted(placed):
            if offset < newest.get(partition, -1):
                yield f"event {partition}:{offset} after {partition}:{newest[partition]}"
            newest[partition] = max(offset, newest.get(partition, -1))


def _misplaced(
    by_event: Mapping[Place, list[Outcome]],
    events: Mapping[Place, Record],
    *,
    partitions_kept: bool,
) -> Iterator[str]:
    for place, outcomes in by_event.items():
        for outcome in outcomes:
            if outcome.topic != "decisions":
                continue
            moved = partitions_kept and outcome.record.partition != place[0]
            if moved or outcome.record.key != events[place].key:
                yield _where(outcome)


def regressions(samples: Iterable[Sample]) -> list[str]:
    """Give each committed offset that is lower than one seen before in its era."""
    highest: dict[tuple[int, int], int] = {}
    found = []
    for sample in sorted(samples):
        line = (sample.era, sample.partition)
        if sample.offset < highest.get(line, -1):
            found.append(f"{sample.partition}: {highest[line]} to {sample.offset}")
        highest[line] = max(sample.offset, highest.get(line, -1))
    return found


def _early(samples: Iterable[Sample], by_event: Mapping[Place, list[Outcome]]) -> Iterator[str]:
    """Give commits that were seen before the broker had what came of their events.

    The broker stamps an outcome before it acknowledges it, the offset is committed after that,
    and a sample is taken after the commit: so of two clocks on one machine no stamp may be
    later than the sample.
    """
    stamps: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (partition, offset), outcomes in by_event.items():
        stamps[partition].append((offset, min(o.record.timestamp_ms for o in outcomes)))
    # By era and partition: the stamps in the order of offsets, as far as they are checked.
    lines: dict[tuple[int, int], Iterator[tuple[int, int]]] = {}
    ahead: dict[tuple[int, int], tuple[int, int] | None] = {}
    for sample in sorted(samples):
        key = (sample.era, sample.partition)
        if key not in lines:
            lines[key] = iter(sorted(stamps[sample.partition]))
            ahead[key] = next(lines[key], None)
        while (stamp := ahead[key]) is not None and stamp[0] < sample.offset:
            if stamp[1] > sample.at_ms:
                yield f"{sample.partition}:{sample.offset} of {stamp[0]}"
            ahead[key] = next(lines[key], None)


def _where(outcome: Outcome) -> str:
    of = "no event" if outcome.event is None else f"event {outcome.event[0]}:{outcome.event[1]}"
    return f"{outcome.topic} {outcome.record.partition}:{outcome.record.offset} of {of}"


def longest_pause(samples: Iterable[Sample], begin_ms: int, end_ms: int) -> float:
    """Give the longest time without a commit in any partition, in seconds.

    Args:
        samples: Committed offsets.
        begin_ms: From when on there was something to commit in every partition.
        end_ms: Until when; what comes after a partition's last commit does not count.
    """
    last: dict[int, int] = {}
    highest: dict[tuple[int, int], int] = {}
    longest = 0
    for sample in sorted(samples):
        partition = sample.partition
        line = (sample.era, partition)
        if sample.offset <= highest.get(line, 0):
            continue
        highest[line] = sample.offset
        if begin_ms <= sample.at_ms <= end_ms:
            longest = max(longest, sample.at_ms - last.get(partition, begin_ms))
            last[partition] = sample.at_ms
    return longest / 1_000
