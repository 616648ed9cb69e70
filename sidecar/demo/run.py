"""The demo from start to exit code: picks the parts and joins them."""

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from sidecar.app.service import Service
from sidecar.clock import SystemClock
from sidecar.config.load import load_settings
from sidecar.config.settings import SidecarSettings
from sidecar.demo.broker import EmbeddedBroker
from sidecar.demo.feed import Feed
from sidecar.demo.hosting import HostedService
from sidecar.demo.incidents import FailingScorer
from sidecar.demo.readback import Readback
from sidecar.demo.show import Show
from sidecar.demo.stream import make_stream
from sidecar.demo.table import DATA
from sidecar.demo.view import say
from sidecar.errors import SidecarError
from sidecar.telemetry.logs import configure_logs

CONFIG = "sidecar.yaml"
BUNDLE = "employment"
LOG = "sidecar.log"
BROKER_VARIABLE = "DEMO_KAFKA"
_PARTITIONS = 4
_LOG_LINES = 20


class DemoOptions(NamedTuple):
    """What the command line says."""

    seconds: float
    """How long the three years take."""
    serve: bool
    """Whether the sidecar stays up after the summary."""
    keep: Path | None
    """Folder for config, bundle and log; a temporary one when None."""


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
        SidecarError: The sidecar did not start, or ended before its time.
        KeyboardInterrupt: Ctrl-C before the summary.
    """
    with workplace(options.keep) as folder, EmbeddedBroker() as broker, ExitStack() as stack:
        [bootstrap] = broker.bootstrap_servers
        settings = load_settings(folder / CONFIG, {**environ, BROKER_VARIABLE: bootstrap})
        stream = make_stream(DATA / "stream.parquet")
        service, readback = _parts(settings, broker)
        log = stack.enter_context((folder / LOG).open("w", encoding="utf-8"))
        configure_logs(settings.log, stream=log, count=service.metrics.log_message)
        stack.enter_context(readback)
        host = stack.enter_context(HostedService(service))
        clock, topic = SystemClock(), settings.topics.events
        feed = stack.enter_context(
            Feed(bootstrap, topic, stream, seconds=options.seconds, clock=clock)
        )
        show = Show(service, feed, readback, console=console, clock=clock)
        show.introduce(folder / CONFIG, bootstrap)
        try:
            show.stream()
        except OSError as error:
            raise _silent(error, folder / LOG) from error
        faults = show.summarise()
        if options.serve:
            _serve(console, folder / CONFIG)
        host.stop()
    if host.exit_code != 0:
        say(console, f"  The sidecar ended with exit code {host.exit_code}.")
    return 0 if host.exit_code == 0 and not faults else 1


def _parts(settings: SidecarSettings, broker: EmbeddedBroker) -> tuple[Service, Readback]:
    """Give the product, with a model that will fail, and what reads its output."""
    # The model fails by the time of the decisions, not of the feed, which is ahead of them.
    service = Service(
        settings,
        wrap_scorer=lambda scorer: FailingScorer(scorer, lambda: readback.event_time_ms),
    )
    topics = service.settings.topics
    outputs = (topics.decisions, topics.dead_letters, topics.signals)
    for name in (topics.events, *outputs, topics.state):
        broker.create_topic(name, _PARTITIONS)
    readback = Readback(
        ",".join(broker.bootstrap_servers),
        decisions=topics.decisions,
        dead_letters=topics.dead_letters,
        signals=topics.signals,
        partitions=_PARTITIONS,
    )
    return service, readback


def _silent(error: OSError, log: Path) -> SidecarError:
    """Say that the sidecar is gone, with the end of its log: the folder may disappear."""
    lines = log.read_text(encoding="utf-8").splitlines()[-_LOG_LINES:]
    return SidecarError("\n".join([f"the sidecar does not answer: {error}", *lines]))


def _serve(console: Console, config: Path) -> None:
    """Stay up until Ctrl-C; nothing more is streamed."""
    say(console, "\nThe stream is over; metrics and status page stay up until Ctrl-C.")
    say(console, f"The config is {config}.")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextmanager
def workplace(keep: Path | None) -> Iterator[Path]:
    """Give a folder with config and bundle; a temporary one disappears with the block.

    Args:
        keep: The folder to use; it is made where it is missing, and stays.
    """
    with ExitStack() as stack:
        folder = keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="sidecar-"))
        )
        shutil.copytree(DATA / BUNDLE, folder / BUNDLE, dirs_exist_ok=True)
        shutil.copy(DATA / CONFIG, folder / CONFIG)
        yield folder
