"""Which partitions hand out records at the moment.

A partition is paused while somebody holds the whole flow (the sink is away, too many dead
letters, the end is near), while it alone has too much in flight, while its state is restored,
or while it is about to leave.
"""

from collections.abc import Collection

from sidecar.ports import Source
from sidecar.runtime.offsets import OffsetTracker


class Flow:
    """Keeps the source's paused partitions equal to what the holds ask for."""

    def __init__(self, source: Source, tracker: OffsetTracker, limit: int) -> None:
        """Bound each partition to `limit` records in flight."""
        self._source = source
        self._tracker = tracker
        self._limit = limit
        self._holds: set[str] = set()
        self._full: set[int] = set()
        self._leaving: set[int] = set()
        self._restoring: set[int] = set()
        self._paused: set[int] = set()

    @property
    def holds(self) -> frozenset[str]:
        """Why the whole flow stands still; empty when it does not."""
        return frozenset(self._holds)

    @property
    def paused(self) -> frozenset[int]:
        """The partitions that hand out nothing."""
        return frozenset(self._paused)

    def hold(self, reason: str) -> None:
        """Stop every partition until `release`."""
        self._holds.add(reason)
        self.update()

    def release(self, reason: str) -> None:
        """Undo `hold`; the last one to let go starts the flow."""
        self._holds.discard(reason)
        self.update()

    def leave(self, partitions: Collection[int]) -> None:
        """Stop these partitions for good; no `release` starts them, the next share does."""
        self._leaving |= set(partitions)
        self.update()

    @property
    def restoring(self) -> frozenset[int]:
        """The partitions that wait for `restored`."""
        return frozenset(self._restoring)

    def restored(self, partitions: Collection[int]) -> None:
        """Let partitions go that `assigned` has kept back."""
        self._restoring -= set(partitions)
        self.update()

    def assigned(self, restoring: Collection[int] = ()) -> None:
        """Take note that partitions came or went; new ones come paused.

        Args:
            restoring: Those that wait for `restored`.
        """
        self._leaving.clear()
        self._restoring = set(restoring)
        self._paused |= self._tracker.partitions
        self._source.pause(self._tracker.partitions)
        self.update()

    def update(self) -> None:
        """Pause what is too full, resume what has drained to half."""
        partitions = self._tracker.partitions
        self._full = {p for p in partitions if self._tracker.in_flight((p,)) >= self._bound(p)}
        kept_back = self._full | self._leaving | self._restoring
        wanted = set(partitions) if self._holds else kept_back
        if stop := wanted - self._paused:
            self._source.pause(stop)
        if go := (self._paused - wanted) & partitions:
            self._source.resume(go)
        self._paused = wanted & partitions

    def _bound(self, partition: int) -> int:
        """Give the count that pauses; once paused, half of it, so that it does not flutter."""
        return max(1, self._limit // 2) if partition in self._full else self._limit
