"""`sidecar run CONFIG`: the service."""

import asyncio
import gc
import os
import signal
import sys
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
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, service)
    return await service.run()


def calm_collector() -> None:
    """Keep the garbage collector off what lives as long as the process, and off each batch."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 100)


def _on_signal(service: Service) -> None:
    if service.stopping:
        structlog.get_logger().error("forced_to_end")
        os._exit(1)
    service.stop()
