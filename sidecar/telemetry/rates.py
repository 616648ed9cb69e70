"""Counts of the last minute, for people who look now and have no Prometheus at hand."""

from collections import Counter, deque
from collections.abc import Mapping

_SPAN_S = 60
_SHORT_S = 10


class MinuteTally:
    """Counts by name over the last 60 seconds, in slots of one second.

    Holds at most 61 slots with one number per name, whatever the load.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._slots: deque[tuple[int, Counter[str]]] = deque()

    def add(self, now_s: float, counts: Mapping[str, int]) -> None:
        """Count what happened at a moment; moments never go backwards."""
        second = int(now_s)
        if not self._slots or self._slots[-1][0] != second:
            self._slots.append((second, Counter()))
        self._slots[-1][1].update(counts)
        self._forget(second)

    def minute(self, now_s: float) -> dict[str, int]:
        """Give the counts of the last 60 seconds."""
        self._forget(int(now_s))
        total: Counter[str] = Counter()
        for _, counts in self._slots:
            total.update(counts)
        return dict(total)

    def per_second(self, now_s: float, name: str) -> float:
        """Give the mean rate of the last ten full seconds."""
        end = int(now_s)
        recent = (counts[name] for at, counts in self._slots if end - _SHORT_S <= at < end)
        return sum(recent) / _SHORT_S

    def _forget(self, second: int) -> None:
        while self._slots and self._slots[0][0] <= second - _SPAN_S:
            self._slots.popleft()


def ratio(part: float, whole: float) -> float | None:
    """Give a share, or None of nothing.

    Example:
        >>> ratio(1, 4), ratio(0, 0)
        (0.25, None)
    """
    return part / whole if whole else None
