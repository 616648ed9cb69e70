"""Snapshots for viewers: how many, when, and for whom."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sidecar.adapters import live as module
from sidecar.adapters.live import EventStream, FullError, Live, frames


class Camera:
    def __init__(self) -> None:
        self.taken = 0

    def __call__(self) -> int:
        self.taken += 1
        return self.taken


async def two(viewer: AsyncIterator[int | None]) -> list[int | None]:
    return [await anext(viewer), await anext(viewer)]


async def test_one_snapshot_is_taken_for_all_viewers() -> None:
    camera = Camera()
    live = Live(camera, interval_s=0.02, places=5)
    for _ in range(5):
        live.enter()

    seen = await asyncio.gather(*(two(live.follow()) for _ in range(5)))

    assert seen == [[1, 2]] * 5
    assert camera.taken == 2
    live.close()


async def test_nothing_is_taken_while_nobody_looks() -> None:
    camera = Camera()
    live = Live(camera, interval_s=0.01, places=5)
    await asyncio.sleep(0.05)
    assert camera.taken == 0

    live.enter()
    await anext(live.follow())
    live.leave()
    before = camera.taken
    await asyncio.sleep(0.05)

    assert camera.taken == before


async def test_a_slow_viewer_skips_what_it_missed() -> None:
    live = Live(Camera(), interval_s=0.01, places=1)
    live.enter()
    viewer = live.follow()
    first = await anext(viewer)
    await asyncio.sleep(0.1)

    second = await anext(viewer)

    assert first == 1
    assert second is not None
    assert second > 3
    live.close()


async def test_there_are_no_more_places_than_are_set() -> None:
    live = Live(Camera(), interval_s=1.0, places=2)
    live.enter()
    live.enter()

    with pytest.raises(FullError):
        live.enter()
    live.leave()
    live.enter()

    assert live.viewers == 2
    live.close()


async def test_a_snapshot_that_fails_costs_one_turn() -> None:
    camera = Camera()

    def moody() -> int:
        if camera() == 2:
            raise RuntimeError("canary")
        return camera.taken

    live = Live(moody, interval_s=0.01, places=1)
    live.enter()

    assert await two(live.follow()) == [1, 3]
    live.close()


async def test_silence_is_broken_by_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HEARTBEAT_S", 0.01)
    live = Live(Camera(), interval_s=60.0, places=1)
    live.enter()

    found = frames(live.follow(), lambda number: b"%d" % number, None)

    assert [await anext(found) for _ in range(3)] == [
        b"retry: 3000\n\n",
        b"1",
        b": nothing new\n\n",
    ]
    live.close()


async def test_followers_go_home_at_the_end() -> None:
    live = Live(Camera(), interval_s=60.0, places=1)
    live.enter()
    viewer = live.follow()
    await anext(viewer)
    waiting = asyncio.ensure_future(anext(viewer, "over"))
    await asyncio.sleep(0)

    live.close()

    assert await waiting == "over"
    with pytest.raises(FullError):
        live.enter()


async def test_who_takes_nothing_loses_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STALLED_S", 0.02)
    live = Live(Camera(), interval_s=0.01, places=1)
    live.enter()
    stream = EventStream(frames(live.follow(), lambda _: b"x", None), live.leave)

    async def stalled(_message: object) -> None:
        await asyncio.sleep(60)

    await stream.stream_response(stalled)

    assert live.viewers == 0
