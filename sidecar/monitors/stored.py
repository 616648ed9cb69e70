"""Panes as records of the state topic, and back.

A *pane* record holds the counts of one pane, a *mark* closes what was stored together: up to
its `next` the panes before it are complete. Both are MessagePack maps. The keys are text:

    drift/3                     the mark of input partition 3
    drift/3/1767225600000       its pane that starts at that time; null when it left
    drift/rule                  what the alert rule remembers, for all partitions

Of one key the record with the highest `next` counts, whatever was written last: a process that
was frozen and wakes up may still write what it knew. A pane whose `next` is beyond the mark's
belongs to a store that was cut short; it waits until the partition has caught up with it.
"""

import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from sidecar.monitors.alerts import KnownState
from sidecar.monitors.windows import AheadPane, PaneCounts

StoredRecord = tuple[bytes, bytes | None]
"""Key and value."""

# Counts are mostly small and alike: the fastest level halves them, the others gain little.
_ZLIB_LEVEL = 1
_WIDTHS = (1, 2, 4, 8)


class StoredPane(Struct, gc=False):
    """The value of a pane record."""

    fingerprint: str
    """Of what the counts mean: the reference, the cells, the panes."""
    next: int
    """The first input offset that is not counted in it."""
    width: int
    """Bytes of one count: 1, 2, 4 or 8."""
    counts: bytes
    """Unsigned little-endian counts, one per cell, compressed by zlib."""


class StoredMark(Struct, gc=False):
    """The value of a mark."""

    fingerprint: str
    next: int
    """The first input offset that is not counted in any pane before this mark."""
    newest_ms: int | None
    """Newest event time of the partition, Unix epoch; None before its first event."""
    writer: str
    """The process that stored it."""


class StoredRule(Struct, gc=False):
    """The value of the record of the alert rule."""

    fingerprint: str
    """Of the counts that it judges."""
    writer: str
    """The process that stored it."""
    state: KnownState


class StateKey(NamedTuple):
    """What a record of the state topic is about."""

    monitor: str
    partition: int
    start_ms: int | None
    """Start of the pane; None for the mark."""


_encode = msgspec.msgpack.Encoder().encode
_pane_decoder = msgspec.msgpack.Decoder(StoredPane)
_mark_decoder = msgspec.msgpack.Decoder(StoredMark)
_rule_decoder = msgspec.msgpack.Decoder(StoredRule)
_RULE = b"/rule"
_MOST_RULE_BYTES = 64 << 20


def state_key(monitor: str, partition: int, start_ms: int | None = None) -> bytes:
    """Write the key of a record.

    Example:
        >>> state_key("drift", 3), state_key("drift", 3, 60_000)
        (b'drift/3', b'drift/3/60000')
    """
    pane = "" if start_ms is None else f"/{start_ms}"
    return f"{monitor}/{partition}{pane}".encode()


def parse_key(key: bytes | None) -> StateKey | None:
    """Read a key; None when it is none of ours.

    Example:
        >>> parse_key(b"drift/3/-60000")
        StateKey(monitor='drift', partition=3, start_ms=-60000)
        >>> parse_key(b"somebody else's") is None
        True
    """
    try:
        monitor, partition, *start = (key or b"").decode().split("/")
        if not monitor or len(start) > 1:
            return None
        return StateKey(monitor, int(partition), int(start[0]) if start else None)
    except ValueError:  # UnicodeDecodeError is one
        return None


def ruled_monitor(key: bytes | None) -> str | None:
    """Read the key of a rule: give the monitor that it is of; None when it is another key.

    Example:
        >>> ruled_monitor(b"drift/rule"), ruled_monitor(b"drift/3")
        ('drift', None)
    """
    if key is None or not key.endswith(_RULE):
        return None
    return key.removesuffix(_RULE).decode(errors="replace")


def encode_rule(monitor: str, rule: StoredRule) -> StoredRecord:
    """Write the record of a rule, compressed: where all drifts it says alike things of each."""
    return monitor.encode() + _RULE, zlib.compress(_encode(rule), _ZLIB_LEVEL)


def decode_rule(value: bytes) -> StoredRule:
    """Read the value of the record of a rule.

    Raises:
        msgspec.DecodeError: It is damaged.
    """
    try:
        packed = zlib.decompressobj().decompress(value, _MOST_RULE_BYTES)
    except zlib.error as error:
        raise msgspec.DecodeError(str(error)) from error
    return _rule_decoder.decode(packed)


def encode_pane(fingerprint: str, next_offset: int, counts: PaneCounts) -> bytes:
    """Write the value of a pane record."""
    little = counts.astype(counts.dtype.newbyteorder("<"), copy=False)
    packed = zlib.compress(little.tobytes(), _ZLIB_LEVEL)
    return _encode(StoredPane(fingerprint, next_offset, counts.itemsize, packed))


def decode_counts(pane: StoredPane, size: int) -> PaneCounts:
    """Read the counts of a pane.

    Args:
        pane: A stored pane.
        size: How many cells it must have.

    Raises:
        ValueError: They are damaged.
    """
    if pane.width not in _WIDTHS:
        raise ValueError(f"counts of {pane.width} bytes")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(pane.counts, size * pane.width + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(raw) != size * pane.width:
        raise ValueError(f"other than {size} counts")
    counts: PaneCounts = np.frombuffer(raw, np.dtype(f"<u{pane.width}"))
    return counts


def encode_changes(
    monitor: str,
    partition: int,
    mark: StoredMark,
    panes: Mapping[int, PaneCounts],
    gone: Collection[int],
) -> list[StoredRecord]:
    """Write what changed of a partition, the mark last.

    Args:
        monitor: Name of the monitor that counts.
        partition: The input partition.
        mark: What closes the changes; its `next` and fingerprint are those of the panes.
        panes: The panes that changed, by start.
        gone: Starts of the panes that left.
    """
    records: list[StoredRecord] = [
        (
            state_key(monitor, partition, start),
            encode_pane(mark.fingerprint, mark.next, counts),
        )
        for start, counts in sorted(panes.items())
    ]
    records += [(state_key(monitor, partition, start), None) for start in sorted(gone)]
    records.append((state_key(monitor, partition), _encode(mark)))
    return records


@dataclass(slots=True)
class StoredPartition:
    """What is known of one partition of one monitor from the state topic.

    Panes wait here from their record to their mark; then `take` hands them on.
    """

    fingerprint: str
    size: int
    """Cells of a pane."""
    mark: StoredMark | None = None
    waiting: dict[int, StoredPane] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)
    """The highest `next` of each pane so far."""
    others: set[int] = field(default_factory=set)
    """Starts of panes that count something else, or cannot be read."""
    broken: set[int | None] = field(default_factory=set)
    """Starts of what cannot be read and was not replaced since; None is the mark."""
    outdated: bool = False
    """Whether a record with a lower `next` came after one with a higher: once the topic is
    compacted, only the lower is left."""

    def put(self, start_ms: int | None, value: bytes | None) -> StoredMark | None:
        """Take one record.

        Args:
            start_ms: Start of the pane; None for the mark.
            value: Its value.

        Returns:
            The mark, where it is one; it counts if it is `mark` now.
        """
        try:
            mark = None
            if start_ms is None:
                mark = self._put_mark(value)
            else:
                self._put_pane(start_ms, value)
        except msgspec.DecodeError:
            self._break(start_ms)
            return None
        self.broken.discard(start_ms)
        return mark

    def _put_mark(self, value: bytes | None) -> StoredMark | None:
        mark = None if value is None else _mark_decoder.decode(value)
        before = self.mark
        if (
            mark
            and before
            and before.fingerprint == mark.fingerprint
            and before.next > mark.next
        ):
            self.outdated = True
        else:
            self.mark = mark
        return mark

    def _put_pane(self, start_ms: int, value: bytes | None) -> None:
        pane = None if value is None else _pane_decoder.decode(value)
        if pane is None:
            self.waiting.pop(start_ms, None)
            self.newest.pop(start_ms, None)
            self.others.discard(start_ms)
        elif pane.fingerprint != self.fingerprint:
            self.others.add(start_ms)
        elif pane.next >= self.newest.get(start_ms, 0):
            self.newest[start_ms] = pane.next
            self.waiting[start_ms] = pane
            self.others.discard(start_ms)
        else:
            self.outdated = True

    @property
    def fits(self) -> bool:
        """Whether the last mark counts what we count."""
        return self.mark is not None and self.mark.fingerprint == self.fingerprint

    def take(self) -> dict[int, PaneCounts]:
        """Give the panes that the mark closes, whole; they wait no longer."""
        if self.mark is None or not self.fits:
            return {}
        closed = [s for s, pane in self.waiting.items() if pane.next <= self.mark.next]
        return dict(self._read(closed))

    def take_ahead(self) -> dict[int, AheadPane]:
        """Give the panes that no mark closes."""
        nexts = {start: pane.next for start, pane in self.waiting.items()}
        return {
            start: AheadPane(nexts[start], counts) for start, counts in self._read(list(nexts))
        }

    def _read(self, starts: Collection[int]) -> Iterator[tuple[int, PaneCounts]]:
        for start in starts:
            try:
                yield start, decode_counts(self.waiting.pop(start), self.size)
            except ValueError:
                self._break(start)

    def _break(self, start_ms: int | None) -> None:
        self.broken.add(start_ms)
        if start_ms is not None:
            self.others.add(start_ms)
