"""Several sidecars asked again and again, each in a thread of its own.

One that hangs holds up nobody: threads are daemons, and what is known of each can be read at
any time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event, Thread

from sidecar.clock import Clock
from sidecar.telemetry.status import StatusView
from sidecar.top.fetch import NoStatusError, fetch, no_answer
from sidecar.top.target import Target

# A look that takes longer than its time-out by this much is given up on by who reads it: the
# name of a host can take as long as the resolver likes.
_GRACE_S = 0.5

Ask = Callable[[Target, float, Clock], StatusView]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of one sidecar."""

    target: Target
    view: StatusView | None = None
    """The last status; None before the first."""
    seen_s: float | None = None
    """When that was, by the monotonic clock."""
    fault: str | None = None
    """Why there is none newer; None when the last question was answered."""
    fault_ms: int | None = None
    """Since when that is so: Unix milliseconds."""

    @property
    def fresh(self) -> StatusView | None:
        """The status, if the last question was answered."""
        return None if self.fault else self.view


class Watch:
    """What is known of all of them, brought up to date until it is stopped."""

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        clock: Clock,
        interval_s: float,
        timeout_s: float,
        ask: Ask = fetch,
    ) -> None:
        """Prepare; nobody is asked before `start` or `once`."""
        self._clock = clock
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._ask = ask
        self._stop = Event()
        self._known = [Sighting(target) for target in targets]
        self._asked_s: list[float | None] = [None] * len(targets)

    def start(self) -> None:
        """Ask each of them every `interval_s`."""
        for index in range(len(self._known)):
            Thread(target=self._follow, args=(index,), daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def once(self) -> list[Sighting]:
        """Ask each of them once, all at the same time, and give what came of it."""
        threads = [
            Thread(target=self._look, args=(index,), daemon=True)
            for index in range(len(self._known))
        ]
        for thread in threads:
            thread.start()
        end_s = self._clock.monotonic() + self._timeout_s + 2 * _GRACE_S
        for thread in threads:
            thread.join(max(0.0, end_s - self._clock.monotonic()))
        return self.sightings()

    def sightings(self) -> list[Sighting]:
        """Give what is known, in the order of the targets."""
        now_s, now_ms = self._clock.monotonic(), self._clock.now_ms()
        late_s = self._timeout_s + _GRACE_S
        return [
            _failed(known, no_answer(self._timeout_s), now_ms - round(1000 * (now_s - asked_s)))
            if asked_s is not None and now_s - asked_s > late_s
            else known
            for known, asked_s in zip(self._known, self._asked_s, strict=True)
        ]

    def _follow(self, index: int) -> None:
        while not self._stop.is_set():
            self._look(index)
            self._stop.wait(self._interval_s)

    def _look(self, index: int) -> None:
        known = self._known[index]
        self._asked_s[index] = self._clock.monotonic()
        try:
            view = self._ask(known.target, self._timeout_s, self._clock)
        except NoStatusError as error:
            self._known[index] = _failed(known, str(error), self._clock.now_ms())
        else:
            self._known[index] = Sighting(known.target, view, self._clock.monotonic())
        self._asked_s[index] = None


def _failed(known: Sighting, fault: str, now_ms: int) -> Sighting:
    since_ms = now_ms if known.fault_ms is None else known.fault_ms
    return replace(known, fault=fault, fault_ms=since_ms)
