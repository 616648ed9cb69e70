"""Keeps observers from harming the path: what raises is switched off and counted."""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import structlog

from sidecar.events import DecisionBatch, Rejection
from sidecar.ports import Observer
from sidecar.telemetry.metrics import Metrics

T = TypeVar("T")


class Observers:
    """Calls each observer, and drops one that raises for the rest of the process's life."""

    def __init__(self, observers: Sequence[Observer], metrics: Metrics) -> None:
        """Guard these observers."""
        self._active = list(observers)
        self._metrics = metrics
        self._log = structlog.get_logger()

    def settled(self, decisions: DecisionBatch, rejections: Sequence[Rejection]) -> None:
        """Show a settled batch to all."""
        for observer in tuple(self._active):
            with self._guard(observer):
                observer.observe(decisions, rejections)

    def revoked(self, partitions: Collection[int]) -> None:
        """Tell all that partitions are gone."""
        for observer in tuple(self._active):
            with self._guard(observer):
                observer.revoked(partitions)

    def released(self, partitions: Collection[int]) -> None:
        """Tell all that partitions belong to another process, whose counts are followed."""
        for observer in tuple(self._active):
            with self._guard(observer):
                observer.released(partitions)

    def read(self, observer: Observer, ask: Callable[[], T]) -> T | None:
        """Give what an observer answers; None when it is off, or when asking switches it off.

        What one that raised has counted is not shown: it stands still and looks alive.
        """
        if observer not in self._active:
            return None
        with self._guard(observer):
            return ask()
        return None

    def _guard(self, observer: Observer) -> "_Guard":
        return _Guard(self, observer)

    def switch_off(self, observer: Observer, error: Exception) -> None:
        """Drop an observer that raised, and say so."""
        self._active.remove(observer)
        self._metrics.observer_failed(observer.name)
        self._log.error("observer_switched_off", observer=observer.name, exc_info=error)


class _Guard:
    """A `with` block that switches an observer off instead of letting its error out."""

    def __init__(self, observers: Observers, observer: Observer) -> None:
        self._observers = observers
        self._observer = observer

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._observers.switch_off(self._observer, error)
        return True
