"""News for viewers, as server-sent events: one snapshot each turn, whoever looks.

A viewer holds a place and no queue. It is sent the newest snapshot when it has taken the one
before, so a slow one skips some; one that takes nothing for too long loses its place.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Send

T = TypeVar("T")

_HEARTBEAT = b": nothing new\n\n"
_HEARTBEAT_S = 15.0
# A viewer that takes nothing for this long holds a place that another could have.
_STALLED_S = 20.0


class FullError(Exception):
    """All places are taken."""


class Live(Generic[T]):
    """Takes snapshots while somebody looks, and none while nobody does."""

    def __init__(self, take: Callable[[], T], *, interval_s: float, places: int) -> None:
        """Wait for the first viewer.

        Args:
            take: Takes a snapshot.
            interval_s: Time between two.
            places: Most viewers at a time.
        """
        self._take = take
        self._interval_s = interval_s
        self._places = places
        self._viewers = 0
        self._closed = False
        self._newest: T | None = None
        self._turn = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None

    @property
    def viewers(self) -> int:
        """How many look."""
        return self._viewers

    def enter(self) -> None:
        """Take a place; `follow` gives it back when it ends.

        Raises:
            FullError: There is none.
        """
        if self._closed or self._viewers >= self._places:
            raise FullError
        self._viewers += 1
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())

    def leave(self) -> None:
        """Give a place back; the last one stops the snapshots."""
        self._viewers -= 1
        if not self._viewers and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
            self._newest = None

    async def follow(self) -> AsyncIterator[T | None]:
        """Give each snapshot that is new when the last one was taken; None as a heartbeat."""
        seen: T | None = None
        while not self._closed:
            turn, newest = self._turn, self._newest
            if newest is not None and newest is not seen:
                seen = newest
                yield newest
                continue
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await turn.wait()
            except TimeoutError:
                yield None

    def close(self) -> None:
        """Send everybody home."""
        self._closed = True
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        self._turn.set()

    async def _tick(self) -> None:
        while True:
            try:
                self._newest = self._take()
            except Exception as error:  # noqa: BLE001  a view that fails costs one turn
                structlog.get_logger().error("snapshot_failed", error=repr(error))
            turn, self._turn = self._turn, asyncio.Event()
            turn.set()
            await asyncio.sleep(self._interval_s)


class EventStream(StreamingResponse):
    """A response of server-sent events that gives up on who does not take them."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncIterator[bytes], leave: Callable[[], None]) -> None:
        """Send these frames.

        Args:
            frames: Each a whole event or comment.
            leave: Called once at the end, however it comes.
        """
        super().__init__(frames)
        self._leave = leave

    async def stream_response(self, send: Send) -> None:
        """Send until the frames end, the viewer goes, or it stalls."""
        try:
            async with asyncio.timeout(None) as patience:

                async def within_patience(message: dict[str, object]) -> None:
                    patience.reschedule(asyncio.get_running_loop().time() + _STALLED_S)
                    await send(message)
                    patience.reschedule(None)

                await super().stream_response(within_patience)  # type: ignore[arg-type]
        except TimeoutError:
            structlog.get_logger().info("viewer_stalled", seconds=_STALLED_S)
        finally:
            self._leave()


def event(name: str, data: bytes) -> bytes:
    r"""Frame an event. The data is JSON, which has no line breaks.

    Example:
        >>> event("status", b"{}")
        b'event: status\ndata: {}\n\n'
    """
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


async def frames(
    following: AsyncIterator[T | None], write: Callable[[T], bytes], most: int | None
) -> AsyncIterator[bytes]:
    """Frame what is followed.

    Args:
        following: Snapshots, and None for a heartbeat.
        write: Makes an event of a snapshot.
        most: Ends after so many events; None goes on.
    """
    # Said at once, so that a client knows that it is connected and when to come back.
    yield b"retry: 3000\n\n"
    sent = 0
    async for snapshot in following:
        if snapshot is None:
            yield _HEARTBEAT
            continue
        yield write(snapshot)
        sent += 1
        if sent == most:
            return
