"""One order for the records of several partitions, whatever order they arrive in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sidecar.events import Int64Column

Merged = list[tuple[int, Any]]
"""Partitions and their records, in order."""


@dataclass(slots=True)
class _Waiting:
    """Records of one partition that are read and not in order yet."""

    keys: list[Int64Column] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    size: int = 0
    last: int = -(2**63)
    """Greatest timestamp so far."""
    ended: bool = False


class TimeMerge:
    """Orders records by timestamp, then by partition; within a partition by offset.

    A record that is older than one before it in its partition counts as old as that one, so
    that no partition is reordered. The outcome depends on the records alone and not on how
    they arrived: a record is given out once every partition has one that comes later, or has
    ended.
    """

    def __init__(self, partitions: Iterable[int]) -> None:
        """Begin with these partitions, all of them without a record."""
        self._waiting = {partition: _Waiting() for partition in sorted(partitions)}

    def bytes_waiting(self, partition: int) -> int:
        """Give the size of what is held back of a partition."""
        return self._waiting[partition].size

    def add(self, partition: int, rows: Sequence[Any]) -> None:
        """Take records of a partition: anything with `timestamp` and `value`.

        Args:
            partition: One that has not ended.
            rows: In the order of their offsets, behind those that were added before.
        """
        if not rows:
            return
        part = self._waiting[partition]
        times = np.fromiter((row.timestamp for row in rows), np.int64, len(rows))
        keys = np.maximum(np.maximum.accumulate(times), part.last)
        part.last = int(keys[-1])
        part.keys.append(keys)
        part.rows += rows
        part.size += sum(len(row.value or b"") for row in rows)

    def end(self, partition: int) -> None:
        """Say that a partition has no more records."""
        self._waiting[partition].ended = True

    def take(self) -> Merged:
        """Give the records whose place is certain, and forget them."""
        open_ends = [(part.last, p) for p, part in self._waiting.items() if not part.ended]
        limit = min(open_ends, default=None)
        taken: Merged = []
        keys: list[Int64Column] = []
        for partition, part in self._waiting.items():
            own = np.concatenate(part.keys) if part.keys else np.empty(0, np.int64)
            count = len(own) if limit is None else _before(own, partition, limit)
            taken += [(partition, row) for row in part.rows[:count]]
            keys.append(own[:count])
            part.keys, part.rows = [own[count:]], part.rows[count:]
            part.size = sum(len(row.value or b"") for row in part.rows)
        # The sort is stable, and partitions were taken in their order.
        order = np.argsort(np.concatenate(keys), kind="stable") if keys else ()
        return [taken[at] for at in order]


def _before(keys: Int64Column, partition: int, limit: tuple[int, int]) -> int:
    """Count the records that nothing which is still to come can precede.

    What comes next is at least as old as the limit, and of its partition or a later one.
    """
    side: Any = "right" if partition <= limit[1] else "left"
    return int(np.searchsorted(keys, limit[0], side=side))
