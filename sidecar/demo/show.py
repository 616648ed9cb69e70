"""The demo as the user sees it: introduction, stream, summary."""

import threading
from pathlib import Path

from rich.console import Console

from sidecar.app.service import Service
from sidecar.clock import Clock
from sidecar.demo.feed import Feed
from sidecar.demo.probe import Probe
from sidecar.demo.readback import Readback
from sidecar.demo.summary import Books, Summary
from sidecar.demo.view import LineView, LiveView, Moment, View, say
from sidecar.demo.watch import Watch

_LOOK_EVERY_S = 0.25
_DRAIN_S = 15.0


class Show:
    """What the user sees while the stream runs and at its end."""

    def __init__(
        self,
        service: Service,
        feed: Feed,
        readback: Readback,
        *,
        console: Console,
        clock: Clock,
    ) -> None:
        """Show a service that is ready and a feed that has not begun."""
        self._service = service
        self._probe = Probe(metrics_url=service.metrics_url, status_url=service.status_url)
        self._feed = feed
        self._readback = readback
        self._console = console
        self._clock = clock
        self._watch = Watch(service.settings.breaker.failures)
        self._reading = self._probe.read()

    def introduce(self, config: Path, bootstrap: str) -> None:
        """Say what runs where."""
        for line in (
            "sidecar demo: Massachusetts, 2016 to 2018; the model was trained on 2015",
            f"  broker       {bootstrap} (embedded)",
            f"  metrics      {self._service.metrics_url}",
            f"  status page  {self._service.status_url}",
            f"  config       {config}",
            "",
        ):
            say(self._console, line)

    def stream(self) -> None:
        """Send everything, look at the sidecar meanwhile, and wait until it is done.

        Raises:
            OSError: The sidecar does not answer any more.
        """
        began_s = self._clock.monotonic()
        self._feed.start()
        with self._view() as view:
            while self._feed.running:
                self._look(view, self._clock.monotonic() - began_s)
            drained_by_s = self._clock.monotonic() + _DRAIN_S
            while not self._drained() and self._clock.monotonic() < drained_by_s:
                self._look(view, self._clock.monotonic() - began_s)

    def summarise(self) -> list[str]:
        """Write the summary and give what is missing."""
        readback, counts = self._readback, self._reading.counts
        summary = Summary(
            sightings=self._watch.sightings,
            during=readback.during,
            books=Books(
                sent=self._feed.sent,
                failed=self._feed.failed,
                counts=counts,
                decisions_read=readback.decisions,
                distinct_ids=len(readback.ids),
                dead_letters_read=readback.codes,
            ),
            verdicts=self._watch.verdicts,
            alarms=self._watch.alarms,
            signals=readback.signals,
        )
        say(self._console, summary.text())
        return summary.faults()

    def _view(self) -> View:
        if not self._console.is_terminal:
            return LineView(self._console)
        service = self._service
        return LiveView(
            self._console, metrics_url=service.metrics_url, status_url=service.status_url
        )

    def _look(self, view: View, elapsed_s: float) -> None:
        self._reading = self._probe.read()
        self._watch.see(self._reading)
        view.show(
            Moment(
                elapsed_s=elapsed_s,
                progress=self._feed.progress,
                event_time_ms=self._feed.event_time_ms,
                reading=self._reading,
                sightings=self._watch.sightings,
            )
        )
        threading.Event().wait(_LOOK_EVERY_S)

    def _drained(self) -> bool:
        counts, readback = self._reading.counts, self._readback
        outcomes = counts.decided + counts.rejected
        read = readback.decisions + readback.dead_letters
        return counts.settled >= self._feed.sent - self._feed.failed and read >= outcomes
