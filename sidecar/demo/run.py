"""The demo from start to exit code: broker, sidecar, stream, view, summary."""

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from sidecar.app.service import Service
from sidecar.clock import Clock, SystemClock
from sidecar.config.load import load_settings
from sidecar.demo.broker import EmbeddedBroker
from sidecar.demo.feed import Feed
from sidecar.demo.hosting import HostedService
from sidecar.demo.incidents import FailingScorer
from sidecar.demo.probe import Probe
from sidecar.demo.readback import Readback
from sidecar.demo.stream import make_stream
from sidecar.demo.summary import Books, Summary
from sidecar.demo.table import DATA
from sidecar.demo.view import LineView, LiveView, Moment, View
from sidecar.demo.watch import Watch
from sidecar.telemetry.logs import configure_logs

CONFIG = "sidecar.yaml"
BUNDLE = "employment"
LOG = "sidecar.log"
BROKER_VARIABLE = "DEMO_KAFKA"
_PARTITIONS = 4
_LOOK_EVERY_S = 0.25
_DRAIN_S = 15.0


class DemoOptions(NamedTuple):
    """What the command line says."""

    seconds: float
    """How long the three years take."""
    serve: bool
    """Whether the sidecar stays up after the summary."""
    keep: Path | None
    """Folder for config and bundle; a temporary one when None."""


def run_demo(options: DemoOptions, console: Console, environ: Mapping[str, str]) -> int:
    """Show the product, and say at the end what was shown.

    Args:
        options: What the command line says.
        console: Where it is shown: a live page on a terminal, plain lines elsewhere.
        environ: Variables that the config may name, normally `os.environ`.

    Returns:
        0 when all incidents were seen and every record is accounted for, else 1.

    Raises:
        UserError: A package of the demo extra is missing.
        KeyboardInterrupt: Ctrl-C before the summary.
    """
    clock = SystemClock()
    with ExitStack() as stack:
        folder = stack.enter_context(workplace(options.keep))
        broker = stack.enter_context(EmbeddedBroker())
        [bootstrap] = broker.bootstrap_servers
        settings = load_settings(folder / CONFIG, {**environ, BROKER_VARIABLE: bootstrap})
        stream = make_stream(DATA / "stream.parquet")
        # The model fails by the time of the decisions, not of the feed, which is ahead.
        service = Service(
            settings,
            wrap_scorer=lambda scorer: FailingScorer(scorer, lambda: readback.event_time_ms),
        )
        topics = service.settings.topics
        for name in (topics.events, topics.decisions, topics.dead_letters):
            broker.create_topic(name, _PARTITIONS)
        readback = Readback(
            bootstrap,
            decisions=topics.decisions,
            dead_letters=topics.dead_letters,
            partitions=_PARTITIONS,
        )
        feed = Feed(bootstrap, topics.events, stream, seconds=options.seconds, clock=clock)
        log = stack.enter_context((folder / LOG).open("w", encoding="utf-8"))
        configure_logs(settings.log, stream=log, count=service.metrics.log_message)
        stack.enter_context(readback)
        host = stack.enter_context(HostedService(service))
        stack.enter_context(feed)
        show = Show(service, feed, readback, console=console, clock=clock)
        show.introduce(folder, bootstrap)
        show.stream()
        faults = show.summarise()
        if options.serve:
            _serve(console, folder)
        host.stop()
    return 0 if host.exit_code == 0 and not faults else 1


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

    def introduce(self, folder: Path, bootstrap: str) -> None:
        """Say what runs where."""
        for line in (
            "sidecar demo: Massachusetts, 2016 to 2018; the model was trained on 2015",
            f"  broker       {bootstrap} (embedded)",
            f"  metrics      {self._service.metrics_url}",
            f"  status page  {self._service.status_url}",
            f"  config       {folder / CONFIG}",
            "",
        ):
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)

    def stream(self) -> None:
        """Send everything, look at the sidecar meanwhile, and wait until it is done."""
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
        )
        self._console.print(summary.text(), soft_wrap=True, markup=False, highlight=False)
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


def _serve(console: Console, folder: Path) -> None:
    """Stay up until Ctrl-C; nothing more is streamed."""
    console.print(
        f"\nThe stream is over. Metrics and status page stay up until Ctrl-C; the config is "
        f"{folder / CONFIG}.",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextmanager
def workplace(keep: Path | None) -> Iterator[Path]:
    """Give a folder with config and bundle; a temporary one disappears with the block."""
    with ExitStack() as stack:
        folder = keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="sidecar-"))
        )
        shutil.copytree(DATA / BUNDLE, folder / BUNDLE, dirs_exist_ok=True)
        shutil.copy(DATA / CONFIG, folder / CONFIG)
        yield folder
