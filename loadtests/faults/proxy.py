"""A TCP proxy that behaves as badly as it is told: one before each broker.

It has a thread and an event loop of its own. Only the sidecars go through it: the advertised
address of the brokers' listener `CLIENT` is the proxy's, while brokers and the campaign's own
clients talk to each other directly.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_CHUNK = 65_536
_START_S = 10.0
_IDLE_S = 0.05
# A linger of zero makes `close` send a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)
_HEAD = struct.Struct(">ih")
_LENGTH_BYTES = 4
_ANSWER = -1


@dataclass
class Weather:
    """What the network is like; may be changed at any time."""

    latency_s: float = 0.0
    """Added to each direction."""
    bytes_per_s: float = 0.0
    """Of one direction of one connection; 0 is no limit."""
    silent: bool = False
    """Half-open: connections stay, new ones are taken, and no byte passes."""
    cut: bool = False
    """Nothing listens, and connections are closed."""
    held: frozenset[int] = frozenset()
    """Kinds of request that do not pass, nor what comes behind one on its connection; the
    other connections go on."""


class Requests:
    """Cuts what a client sends into requests: four bytes of length, two that say the kind."""

    def __init__(self) -> None:
        """Begin with a request."""
        self._bytes = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Take bytes, and give kind and bytes of each request that is whole."""
        self._bytes += chunk
        while len(self._bytes) >= _HEAD.size:
            length, kind = _HEAD.unpack_from(self._bytes)
            end = _LENGTH_BYTES + length
            if len(self._bytes) < end:
                return
            yield kind, bytes(self._bytes[:end])
            del self._bytes[:end]


@dataclass(eq=False)
class _Link:
    """One connection of a client, and the one to the broker that belongs to it."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    left: int | None = None
    """Bytes until it is reset; None: it is not."""

    def close(self, *, reset: bool) -> None:
        for end in (self.near, self.far):
            if reset:
                sock = end.get_extra_info("socket")
                with suppress(OSError):  # it is closed already
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.transport.abort()
            else:
                end.close()


class Proxy:
    """Passes bytes between `port` and `target`, both on loopback."""

    def __init__(self, port: int, target: int) -> None:
        """Say where; `start` listens."""
        self.port = port
        self.weather = Weather()
        self.target = target
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._do(self._listen())

    def stop(self) -> None:
        """Close everything; it cannot be started again."""
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)
        self._loop.close()

    # --- what goes wrong ---------------------------------------------------------------------

    def cut(self) -> None:
        """Close all connections and refuse new ones, until `clear`."""
        self.weather.cut = True
        self._do(self._shut())

    def clear(self) -> None:
        """Be a good network again."""
        reopen = self.weather.cut
        self.weather = Weather()
        if reopen:
            self._do(self._listen())

    def drop_silent(self) -> None:
        """Close what was half-open, as a network does that has forgotten a connection."""
        self._do(self._each(lambda link: link.close(reset=True)))

    def reset_all(self, rng: random.Random, within_bytes: int) -> None:
        """Reset every connection, each after a random number of further bytes."""

        def doom(link: _Link) -> None:
            link.left = rng.randrange(within_bytes)

        self._do(self._each(doom))

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._links)

    # --- the loop's side ---------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_S)

    async def _each(self, act: Callable[[_Link], None]) -> None:
        for link in list(self._links):
            act(link)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in list(self._links):
            link.close(reset=False)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        await self._until_heard()
        try:
            answers, far = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            near.close()
            return
        link = _Link(near, far)
        self._links.add(link)
        pumps = [
            self._loop.create_task(self._pump(link, reader, far, Requests().feed)),
            self._loop.create_task(self._pump(link, answers, near, _as_it_comes)),
        ]
        self._tasks.update(pumps)
        try:
            # One end that is gone takes the other with it.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            self._tasks.difference_update(pumps)
            self._links.discard(link)
            link.close(reset=link.left is not None)

    async def _pump(
        self,
        link: _Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        cut: Callable[[bytes], Iterable[tuple[int, bytes]]],
    ) -> None:
        """Pass one direction on: a reader and a writer, with a queue of due times between."""
        queue: asyncio.Queue[tuple[float, int, bytes]] = asyncio.Queue(256)
        delivery = self._loop.create_task(self._deliver(link, queue, writer))
        try:
            while chunk := await reader.read(_CHUNK):
                for kind, part in cut(chunk):
                    await queue.put((self._loop.time() + self.weather.latency_s, kind, part))
                if delivery.done():
                    return
            await queue.put((self._loop.time() + self.weather.latency_s, _ANSWER, b""))
            await delivery
        except OSError:
            return
        finally:
            delivery.cancel()
            await asyncio.wait((delivery,))

    async def _deliver(
        self,
        link: _Link,
        queue: asyncio.Queue[tuple[float, int, bytes]],
        writer: asyncio.StreamWriter,
    ) -> None:
        while True:
            due, kind, chunk = await queue.get()
            await asyncio.sleep(due - self._loop.time())
            await self._until_heard(kind)
            if not chunk:
                return
            if link.left is not None and len(chunk) >= link.left:
                writer.write(chunk[: link.left])
                link.close(reset=True)
                return
            if link.left is not None:
                link.left -= len(chunk)
            try:
                await self._write(writer, chunk)
            except OSError:
                return

    async def _until_heard(self, kind: int = _ANSWER) -> None:
        # The weather is changed from another thread, which may not set an event of this loop.
        while self.weather.silent or kind in self.weather.held:  # noqa: ASYNC110
            await asyncio.sleep(_IDLE_S)

    async def _write(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        rate = self.weather.bytes_per_s
        step = max(1, int(rate * _IDLE_S)) if rate else len(chunk)
        for at in range(0, len(chunk), step):
            writer.write(chunk[at : at + step])
            await writer.drain()
            if rate:
                await asyncio.sleep(step / rate)


def _as_it_comes(chunk: bytes) -> Iterable[tuple[int, bytes]]:
    return ((_ANSWER, chunk),)
