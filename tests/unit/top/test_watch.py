"""Several sidecars at the same time: who hangs holds up nobody, who comes back is seen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Barrier, Event

from sidecar.clock import Clock, SystemClock
from sidecar.telemetry.status import StatusView
from sidecar.top.fetch import NoStatusError
from sidecar.top.target import Target, parse_target
from sidecar.top.watch import Ask, Sighting, Watch
from tests.fakes import FakeClock
from tests.telemetry_samples import status

TARGETS = [parse_target(f"10.0.0.{number}:9465") for number in range(1, 4)]
_SOON_S = 10.0


@contextmanager
def watching(ask: Ask, clock: Clock) -> Iterator[Watch]:
    watch = Watch(TARGETS, clock=clock, interval_s=0.01, timeout_s=2.0, ask=ask)
    try:
        yield watch
    finally:
        watch.stop()


def until(watch: Watch, sought: Callable[[Sighting], bool]) -> Sighting:
    """Give the first sidecar as soon as it is as sought."""
    pause, clock = Event(), SystemClock()
    end_s = clock.monotonic() + _SOON_S
    while not sought(watch.sightings()[0]):
        assert clock.monotonic() < end_s
        pause.wait(0.01)
    return watch.sightings()[0]


def test_all_are_asked_at_the_same_time() -> None:
    meeting = Barrier(len(TARGETS))

    def ask(target: Target, timeout_s: float, clock: Clock) -> StatusView:
        meeting.wait(_SOON_S)  # nobody passes before all are here
        return status(name=target.name)

    with watching(ask, SystemClock()) as watch:
        seen = watch.once()

    assert [each.view.name for each in seen if each.view] == [t.name for t in TARGETS]


def test_one_that_hangs_is_away_and_the_others_are_not() -> None:
    clock, hanging, over = FakeClock(), Event(), Event()

    def ask(target: Target, timeout_s: float, clock: Clock) -> StatusView:
        if target is TARGETS[0]:
            hanging.set()
            over.wait(_SOON_S)
        return status()

    with watching(ask, clock) as watch:
        watch.start()
        assert hanging.wait(_SOON_S)
        assert watch.sightings()[0].fault is None
        clock.advance(2.6)
        late, *_ = watch.sightings()
        over.set()

    assert late.fault == "no answer within 2 s"
    assert late.fault_ms == FakeClock().now_ms()


def test_one_that_was_away_comes_back_by_itself_and_its_last_values_stay_meanwhile() -> None:
    gone = Event()

    def ask(target: Target, timeout_s: float, clock: Clock) -> StatusView:
        if gone.is_set():
            raise NoStatusError("Connection refused")
        return status()

    with watching(ask, SystemClock()) as watch:
        watch.once()
        gone.set()
        watch.start()
        down = until(watch, lambda first: first.fault is not None)
        gone.clear()
        up = until(watch, lambda first: first.fault is None)

    assert (down.fault, down.view, down.fresh) == ("Connection refused", status(), None)
    assert (up.fresh, up.fault_ms) == (status(), None)
