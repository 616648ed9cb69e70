"""One time budget for work that has several steps."""

from sidecar.clock import Clock


class Deadline:
    """A point in monotonic time that every step of a shutdown draws from.

    Each step asks for what it would like and gets at most what is left, so that the sum never
    passes the budget, whatever single steps need.
    """

    def __init__(self, clock: Clock, budget_s: float) -> None:
        """Start the budget now."""
        self._clock = clock
        self._end = clock.monotonic() + budget_s

    def left(self) -> float:
        """Seconds that are left, never below zero."""
        return max(0.0, self._end - self._clock.monotonic())

    def at_most(self, seconds: float) -> float:
        """Seconds that a step may take that would like `seconds`."""
        return min(seconds, self.left())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left() == 0.0
