"""Stops a bad schema roll-out from becoming a million dead letters unnoticed."""

from collections import deque

_SPAN_S = 60.0
_MIN_RECORDS = 100


class RejectGate:
    """The share of refused records over the last minute, and whether it is too large."""

    def __init__(self, limit: float) -> None:
        """Set the share that trips it; 1 never does."""
        self._limit = limit
        self._counts: deque[tuple[float, int, int]] = deque()
        self._records = 0
        self._rejected = 0

    def count(self, now_s: float, records: int, rejected: int) -> bool:
        """Add a settled batch.

        Returns:
            Whether the share is past the limit; counting then begins anew.
        """
        self._counts.append((now_s, records, rejected))
        self._records += records
        self._rejected += rejected
        while self._counts[0][0] < now_s - _SPAN_S:
            _, old_records, old_rejected = self._counts.popleft()
            self._records -= old_records
            self._rejected -= old_rejected
        if self._records < _MIN_RECORDS or self._rejected <= self._limit * self._records:
            return False
        self.reset()
        return True

    def reset(self) -> None:
        """Forget the past."""
        self._counts.clear()
        self._records = self._rejected = 0
