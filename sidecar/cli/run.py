"""`sidecar run CONFIG`: the service."""

import asyncio
import gc
import os
import signal
import sys
import threading
from pathlib import Path

import click
import structlog
import uvloop

from sidecar.app.service import Service
from sidecar.config.load import load_settings
from sidecar.config.settings import SidecarSettings
from sidecar.telemetry.logs import configure_logs

# Net new objects that make the collector look for cycles. A batch of 4,096 records is some
# 10,000 objects and three batches are under way, all of which die by reference count: with
# Python's 700 the collector ran 250 times a second under full load, at 2 µs per event.
_COLLECT_AFTER = 50_000
# Past limits.shutdown; what the service needs to close its listeners is in it.
_GRACE_S = 2.0


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
def run(config: Path) -> None:
    """Read events from Kafka, answer them, watch them.

    Ends on SIGTERM or Ctrl-C once what is in flight is written and committed (exit code 0), or
    when limits.shutdown is over (exit code 1). A second signal ends it at once; nothing is lost
    by that, what has no committed outcome is read again.

    Example: sidecar run sidecar.yaml
    """
    code = uvloop.run(_serve(load_settings(config, os.environ)))
    # A model that never returns holds its thread, and the interpreter would wait for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _serve(settings: SidecarSettings) -> int:
    service = Service(settings)
    calm_collector()
    configure_logs(settings.log, stream=sys.stderr, count=service.metrics.log_message)
    loop = asyncio.get_running_loop()
    end_s = settings.limits.shutdown.seconds + _GRACE_S
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, service, end_s)
    return await service.run()


def calm_collector() -> None:
    """Keep the garbage collector off what lives as long as the process, and off each batch."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 100)


def _on_signal(service: Service, end_s: float) -> None:
    if service.stopping:
        structlog.get_logger().error("forced_to_end")
        os._exit(1)
    service.stop()
    # The service keeps its time by itself, as long as the loop turns and threads return. This
    # is for the rest: a model that is still being loaded, an answer that never comes.
    clock = threading.Timer(end_s, _overrun)
    clock.daemon = True
    clock.start()


def _overrun() -> None:
    structlog.get_logger().error("shutdown_forced")
    os._exit(1)
