"""Pictures of the status page for the docs: `python -m tests.pictures docs/images`."""

import asyncio
import sys
from pathlib import Path
from threading import Thread

from sidecar.adapters.http import HttpServer
from sidecar.config.settings import HttpSettings
from sidecar.config.values import Address
from tests.devtools import Page, browser
from tests.telemetry_samples import StaticSurface

FREE = HttpSettings(metrics=Address("127.0.0.1", 0), admin=Address("127.0.0.1", 0))


def main(folder: Path) -> None:
    """Take them of a busy sidecar whose circuit is open."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, daemon=True).start()
    server = HttpServer(FREE, StaticSurface())
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    url = f"http://{server.addresses.admin}/?refresh=off"
    try:
        with browser() as page:
            for name, dark in (("status", False), ("status-dark", True)):
                page.open(url, width=1100, height=760, dark=dark)
                page.wait("document.querySelectorAll('[data-chart] canvas').length === 5")
                (folder / f"{name}.png").write_bytes(page.picture())
            opened(page, url)
            (folder / "status-decision.png").write_bytes(page.picture())
    finally:
        asyncio.run_coroutine_threadsafe(server.close(5), loop).result(10)


def opened(page: Page, url: str) -> None:
    """Show the decision of a rule, with the way that its event took."""
    page.open(url, width=1100, height=600)
    page.value("document.querySelectorAll('.decisions details')[1].open = true")
    page.value("document.querySelector('.decisions').scrollIntoView()")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
