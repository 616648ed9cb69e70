"""Two HTTP listeners in the event loop: probes and metrics for machines, a page for people.

Nothing changes anything on this surface: every route answers GET and HEAD alone. The page and
the API may ask for a bearer token.
"""

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from sidecar.adapters.answers import PROBLEMS, guard
from sidecar.adapters.live import Live
from sidecar.adapters.routes import (
    Snapshot,
    api_routes,
    file_routes,
    metrics_route,
    page_routes,
    probe_routes,
)
from sidecar.config.settings import HttpSettings
from sidecar.config.values import Address
from sidecar.errors import Finding, UserError
from sidecar.telemetry.status import Surface

# Everything is forbidden but our own files and answers: no other script can run, whatever a
# label says, and nothing leaves the browser.
_HEADERS = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
]
# Bounds the memory that clients can hold; a scraper and the probes need three or four.
_MAX_CONNECTIONS = 256
_BACKLOG = 128
_TICK_S = 1.0  # answers say the time in seconds
# By then uvicorn has asked all connections to close that it knew of when it began to.
_LAST_MOMENT_S = 0.3


class Addresses(NamedTuple):
    """Where the listeners really are, with the ports that were taken for 0."""

    metrics: Address
    admin: Address


class HttpServer:
    """Both listeners."""

    def __init__(
        self,
        settings: HttpSettings,
        surface: Surface,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Prepare; nothing listens before `start`.

        Args:
            settings: Addresses, and the token.
            surface: Gives the answers.
            environ: Where secrets are looked up.
        """
        self._settings = settings
        self._surface = surface
        self._environ = environ
        self._servers: list[_Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._addresses: Addresses | None = None
        self._live = Live(
            lambda: Snapshot.of(surface),
            interval_s=settings.stream_interval.seconds,
            places=settings.stream_clients,
        )

    @property
    def addresses(self) -> Addresses:
        """Where it listens.

        Raises:
            RuntimeError: It was not started.
        """
        if self._addresses is None:
            raise RuntimeError("the listeners were not started")
        return self._addresses

    async def start(self) -> None:
        """Listen on both addresses.

        Raises:
            UserError: An address cannot be listened on, or the token cannot be read.
        """
        token = await asyncio.to_thread(self._token)
        metrics = _bind("$.http.metrics", self._settings.metrics)
        try:
            admin = _bind("$.http.admin", self._settings.admin)
        except UserError:
            metrics.close()
            raise
        self._addresses = Addresses(_address(metrics), _address(admin))
        surface, probes = self._surface, probe_routes(self._surface)
        await self._serve(metrics, [*probes, metrics_route(surface)])
        guarded = (*api_routes(surface, self._live), *page_routes(surface, self._live))
        await self._serve(admin, [*probes, *guard(guarded, token), *file_routes()])

    def _token(self) -> bytes | None:
        """Read the token once; a listener that could not check it must not open."""
        secret = self._settings.admin_token
        if secret is None:
            return None
        try:
            token = secret.reveal(self._environ).encode()
        except (OSError, KeyError) as error:
            raise _token_fault(f"cannot be read: {type(error).__name__}") from error
        if not token:
            raise _token_fault("is empty")
        return token

    async def _serve(self, listener: socket.socket, routes: Sequence[Route]) -> None:
        app = Starlette(routes=routes, exception_handlers=PROBLEMS)
        # `/metrics/` is a mistake worth a 404, not a redirect that hides it.
        app.router.redirect_slashes = False
        server = _Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=_HEADERS,
                limit_concurrency=_MAX_CONNECTIONS,
                backlog=_BACKLOG,
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        self._servers.append(server)
        self._tasks.append(task)
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait((task, up), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if task.done():
            task.result()

    async def close(self, timeout_s: float) -> None:
        """Answer what was asked, then stop. Ends within `timeout_s`."""
        self._live.close()
        for server in self._servers:
            server.end()
        if self._tasks:
            moment_s = min(timeout_s, _LAST_MOMENT_S)
            await asyncio.wait(self._tasks, timeout=moment_s)
            for server in self._servers:
                server.hang_up()
            _, late = await asyncio.wait(self._tasks, timeout=timeout_s - moment_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._servers.clear()
        self._tasks.clear()


class _Server(uvicorn.Server):
    """A uvicorn that leaves the process's signals alone and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Answer what was asked, then stop."""
        self.should_exit = True
        self._ending.set()

    def hang_up(self) -> None:
        """Close idle connections again: uvicorn waits for those that came while it closed."""
        for connection in list(self.server_state.connections):
            connection.shutdown()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        """Bring the date of answers up to date; uvicorn's own looks ten times a second."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._ending.wait()


def _token_fault(message: str) -> UserError:
    mend = "mount or set it where the sidecar runs, or remove the setting"
    finding = Finding("$.http.admin_token", message, mend)
    return UserError("the HTTP listeners cannot start", [finding])


def _bind(path: str, address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(
            (address.host, address.port), family=family, backlog=_BACKLOG
        )
    except OSError as error:
        finding = Finding(
            path,
            f"cannot listen on {address}: {_words(error)}",
            "stop what listens there, or name another address; port 0 takes a free one",
        )
        raise UserError("the HTTP listeners cannot start", [finding]) from error


def _words(error: OSError) -> str:
    # `socket` appends the address to its message; a failed look-up of a name has a code that is
    # no errno.
    code = error.errno or 0
    return os.strerror(code) if code > 0 else str(error.strerror or error)


def _address(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    return Address(str(host), int(port))
