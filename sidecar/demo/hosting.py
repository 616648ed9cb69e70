"""Runs the service in a thread of this process, with an event loop of its own."""

import asyncio
import threading
from typing import Self

import uvloop

from sidecar.app.service import Service
from sidecar.errors import SidecarError

_TICK_S = 0.05
_START_S = 30.0


class HostedService:
    """A service that runs while the `with` block does, and is ready when it begins."""

    def __init__(self, service: Service) -> None:
        """Host a service.

        Args:
            service: One that has not run yet.
        """
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="demo-service", daemon=True)
        self._error: BaseException | None = None
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        """Start, and wait until events are taken.

        Raises:
            SidecarError: It ended, or it is not ready in time.
        """
        self._thread.start()
        for _ in range(round(_START_S / _TICK_S)):
            self._thread.join(_TICK_S)
            if not self._thread.is_alive() or self._service.ready().ok:
                break
        if self._error is not None:
            raise self._error
        if not self._service.ready().ok:
            self.stop()
            causes = "; ".join(cause.message for cause in self._service.ready().causes)
            raise SidecarError(f"the sidecar does not become ready: {causes}")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop and wait for the end."""
        self.stop()

    def stop(self) -> None:
        """Let the service finish what is in flight; `exit_code` is there afterwards."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._service.stop)
        self._thread.join()

    def _run(self) -> None:
        try:
            self.exit_code = uvloop.run(self._serve())
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            self._error = error

    async def _serve(self) -> int:
        self._loop = asyncio.get_running_loop()
        return await self._service.run()
