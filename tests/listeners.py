"""Listeners of the product for tests that ask them, with what they say in the test's hands."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvloop

from sidecar.adapters.http import HttpServer
from sidecar.config.settings import HttpSettings
from sidecar.config.values import Address, Secret
from tests.telemetry_samples import StaticSurface

FREE = HttpSettings(metrics=Address("127.0.0.1", 0), admin=Address("127.0.0.1", 0))
TOKEN = "s3cret"
GUARDED = HttpSettings(metrics=FREE.metrics, admin=FREE.admin, admin_token=Secret(env="TOKEN"))
CLOSE_S = 5.0


@contextmanager
def listening(surface: StaticSurface, settings: HttpSettings = FREE) -> Iterator[str]:
    """Give the address of an admin listener."""
    with serving(surface, settings) as server:
        yield str(server.addresses.admin)


@contextmanager
def serving(surface: StaticSurface, settings: HttpSettings) -> Iterator[HttpServer]:
    """Give both listeners, on a thread of their own."""
    loop = uvloop.new_event_loop()  # as in service
    thread = Thread(target=loop.run_forever)
    thread.start()
    server = HttpServer(settings, surface, {"TOKEN": TOKEN})
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.close(CLOSE_S), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
