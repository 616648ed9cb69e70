"""When a model that keeps failing is left alone."""

from collections import deque

from sidecar.config.settings import BreakerSettings


class CircuitBreaker:
    """Opens when too many calls of the last while failed, and probes until one succeeds.

    Time is monotonic seconds and is passed in.
    """

    def __init__(self, settings: BreakerSettings) -> None:
        """Start closed.

        Args:
            settings: Share of failures, over which span, and how often to probe.
        """
        self._settings = settings
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._next_probe_s: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether only probes are let through."""
        return self._next_probe_s is not None

    def allow(self, now_s: float) -> bool:
        """Say whether the model may be asked; an open circuit grants a probe when it is due."""
        if self._next_probe_s is None:
            return True
        if now_s < self._next_probe_s:
            return False
        self._next_probe_s = now_s + self._settings.probe_every.seconds
        return True

    def succeeded(self, now_s: float) -> None:
        """Note a call that was answered; a probe's answer closes the circuit."""
        if self._next_probe_s is not None:
            self._next_probe_s = None
            self._calls.clear()
            self._failures = 0
        self._note(now_s, failed=False)

    def failed(self, now_s: float) -> None:
        """Note a call that failed; opens the circuit when the share is reached."""
        self._note(now_s, failed=True)
        calls = len(self._calls)
        if (
            self._next_probe_s is None
            and calls >= self._settings.min_calls
            and self._failures / calls >= self._settings.failures
        ):
            self._next_probe_s = now_s + self._settings.probe_every.seconds

    def _note(self, now_s: float, *, failed: bool) -> None:
        self._calls.append((now_s, failed))
        self._failures += failed
        oldest_s = now_s - self._settings.window.seconds
        while self._calls[0][0] < oldest_s:
            self._failures -= self._calls.popleft()[1]
