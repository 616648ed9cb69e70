"""Judges the state topic: `<name>.state`, the counts of each input partition beside its offset.

A sidecar that keeps no state writes nothing there, and then there is nothing to judge. What is
asked of it is its contract alone. Keys are text: `drift/3` is the *mark* of input partition 3,
`drift/3/1767225600000` its *pane* of events that begins at that time. Values are MessagePack
maps with `next`, the first input offset that is not counted; a pane also has `width`, the bytes
of one count, and `counts`, unsigned little-endian numbers packed by zlib. In `drift` an event
counts once in each column, so the sum of a pane's counts is its number of events times the
columns; what other monitors count depends on the event, and their `next` alone is judged.
`drift/rule` is what the alert rule remembers, which is none of these.
"""

import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from loadtests import data
from loadtests.faults.history import History, Place, Record
from loadtests.faults.judge import decided_places

PANE_MS = 60_000
"""`monitors.pane` of the sidecars of the campaign unless told otherwise: its default."""
COLUMNS = len(data.FEATURES) + 4
"""What each event counts in: its features, score, confidence, label and source."""


EACH_ONCE = "drift"
"""The monitor in which an event counts once in each column."""
_RULE = b"/rule"


class Anew(NamedTuple):
    """From where on all partitions are counted anew."""

    records: Mapping[int, int]
    """End offsets of the state topic at that time: nothing before them is judged."""
    events: Mapping[int, int]
    """First input offset that counts, by partition."""
    pane_ms: int = PANE_MS
    """Length of a pane from there on."""


class StateRecord(NamedTuple):
    """What one record of the topic says."""

    monitor: str
    partition: int
    start_ms: int | None
    """Of the pane; None for the mark."""
    next: int
    """First input offset that is not counted."""
    total: int = 0
    """Sum of a pane's counts."""


def check(
    records: Iterable[Record], history: History, *, once: bool, anew: Anew | None = None
) -> list[str]:
    """Judge what stands on the state topic after a run.

    Args:
        records: The topic, each partition in order.
        history: The run. Its events have no time of their own but their record's.
        once: Whether offsets may never go back, as in `exactly_once`. Else a process that was
            frozen may still write what it knew; the record with the highest `next` counts.
        anew: From where on it was counted anew, if it was.
    """
    begins = anew or Anew({}, {})
    found = list(parse(r for r in records if r.offset >= begins.records.get(r.partition, 0)))
    wrong = [
        f"state record {error} cannot be read" for error in found if isinstance(error, str)
    ]
    known = [record for record in found if isinstance(record, StateRecord)]
    stamps = {event.place: event.timestamp_ms for event in history.events}
    decided = {place: stamps[place] for place in counted(history, anew) if place in stamps}
    judged = judge_state(known, history.ends, decided, once=once, pane_ms=begins.pane_ms)
    return [*wrong, *judged]


def counted(history: History, anew: Anew | None) -> set[Place]:
    """Give the events that must be in the counts: those with a decision."""
    first = anew.events if anew else {}
    return {place for place in decided_places(history) if place[1] >= first.get(place[0], 0)}


def parse(records: Iterable[Record]) -> Iterator[StateRecord | str]:
    """Give what each record says, or where the one is that cannot be read.

    A pane that left has no value, and says nothing; what a rule remembers is no count.
    """
    for record in records:
        if record.value is None or (record.key or b"").endswith(_RULE):
            continue
        try:
            monitor, partition, *start = (record.key or b"").decode().split("/")
            said = msgspec.msgpack.decode(record.value)
            begin = int(start[0]) if start else None
            total = 0 if begin is None else _total(said)
            yield StateRecord(monitor, int(partition), begin, int(said["next"]), total)
        except (ValueError, KeyError, TypeError, zlib.error, msgspec.DecodeError):
            yield f"{record.partition}:{record.offset}"


def _total(said: Mapping[str, Any]) -> int:
    raw = zlib.decompress(said["counts"])
    return int(np.frombuffer(raw, f"<u{said['width']}").sum(dtype=np.uint64))


def judge_state(
    records: Iterable[StateRecord],
    ends: Mapping[int, int],
    decided: Mapping[Place, int],
    *,
    once: bool,
    pane_ms: int = PANE_MS,
) -> list[str]:
    """Judge what the topic says, in its order.

    Args:
        records: Marks and panes.
        ends: End offsets of the events topic.
        decided: Event time of each event that has a decision, Unix epoch in milliseconds.
        once: See `check`.
        pane_ms: Length of a pane.

    Returns:
        Where a pane counts anything but the decided events of its time below its `next`, each
        once; where `next` goes back or is beyond the end; and what the last mark leaves out.
    """
    panes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for (partition, offset), at_ms in sorted(decided.items()):
        panes[partition, at_ms - at_ms % pane_ms].append(offset)
    found: list[str] = []
    newest: dict[tuple[str, int, int | None], int] = {}
    for record in records:
        line = record[:3]
        where = f"{record.monitor}/{record.partition} pane {record.start_ms} next {record.next}"
        if record.next > ends.get(record.partition, record.next):
            found.append(f"{where}: beyond the end {ends[record.partition]}")
        if once and record.next < newest.get(line, 0):
            found.append(f"{where}: went back from {newest[line]}")
        newest[line] = max(record.next, newest.get(line, 0))
        if record.start_ms is not None and record.monitor == EACH_ONCE:
            due = bisect_left(panes[record.partition, record.start_ms], record.next)
            if record.total != due * COLUMNS:
                found.append(f"{where}: {record.total / COLUMNS:g} counted, {due} are due")
    return found + list(_left_out(newest, panes))


def _left_out(
    newest: Mapping[tuple[str, int, int | None], int],
    panes: Mapping[tuple[int, int], list[int]],
) -> Iterator[str]:
    """Give what is decided and in no state, of monitors that keep any."""
    for monitor in {monitor for monitor, _, _ in newest}:
        for (partition, start_ms), offsets in panes.items():
            mark = newest.get((monitor, partition, None), 0)
            pane = newest.get((monitor, partition, start_ms), 0)
            if offsets and offsets[-1] >= min(mark, pane):
                yield f"{monitor}/{partition} pane {start_ms}: {offsets[-1]} is not counted"
