"""The screen of `sidecar top` before real listeners: figures, keys, sizes, absences."""

import asyncio
import html
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

import pytest
from msgspec.structs import replace
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import OptionList

from sidecar.clock import SystemClock
from sidecar.config.values import Address
from sidecar.top.screen import TopApp
from sidecar.top.target import parse_target
from sidecar.top.watch import Watch
from tests.listeners import FREE, GUARDED, listening
from tests.telemetry_samples import StaticSurface, partitions, status

_SOON_S = 10.0


class Viewer:
    """Somebody who reads the screen and presses keys."""

    def __init__(self, pilot: Pilot[int]) -> None:
        self.pilot = pilot

    @property
    def text(self) -> str:
        """All that stands on the screen, line by line."""
        drawn = re.findall(
            r'<text [^>]*y="([\d.]+)"[^>]*>([^<]*)</text>', self.pilot.app.export_screenshot()
        )
        lines: dict[float, str] = {}
        for y, text in drawn[1:]:  # the first is the title of the picture
            lines[float(y)] = lines.get(float(y), "") + html.unescape(text).strip("\n")
        return "\n".join(lines[y].replace("\xa0", " ") for y in sorted(lines))

    def turned_round(self) -> list[int]:
        """Give the rows that are drawn in reverse."""
        rows = self.pilot.app.query_one(OptionList).options
        return [
            at
            for at, row in enumerate(rows)
            if isinstance(row.prompt, Content) and "reverse" in str(row.prompt.spans)
        ]

    async def presses(self, *keys: str, then: str) -> str:
        """Press keys, wait until a text stands there, and give all that does."""
        await self.pilot.press(*keys)
        return await self.reads(then)

    async def reads(self, text: str) -> str:
        """Wait until a text stands there, and give all that does."""
        return await self.sees(lambda shown: text in shown)

    async def sees(self, sought: Callable[[str], bool]) -> str:
        """Wait until the screen is as sought, and give what stands there."""
        clock = SystemClock()
        until = clock.monotonic() + _SOON_S
        while not sought(shown := self.text):
            assert clock.monotonic() < until, shown
            await self.pilot.pause(0.05)
        return shown


@asynccontextmanager
async def viewing(
    *addresses: str, size: tuple[int, int] = (80, 24), timeout_s: float = 2.0
) -> AsyncIterator[Viewer]:
    clock = SystemClock()
    targets = [parse_target(address) for address in addresses]
    watch = Watch(targets, clock=clock, interval_s=0.05, timeout_s=timeout_s)
    async with TopApp(watch, clock).run_test(size=size) as pilot:
        yield Viewer(pilot)


def lagging(lag: int, name: str = "credit") -> StaticSurface:
    first, second = partitions()
    return StaticSurface(
        status(name=name, partitions=(replace(first, lag_records=lag), second))
    )


def free_address() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Address(*listener.getsockname())


async def test_figures_come_and_move() -> None:
    surface = lagging(1_200)
    with listening(surface) as address:
        async with viewing(address) as viewer:
            await viewer.reads("1,200 records")
            surface.view = lagging(7_777).view
            await viewer.reads("7,777 records")


async def test_number_keys_and_tab_lead_to_each_view() -> None:
    with listening(StaticSurface()) as address:
        async with viewing(address) as viewer:
            await viewer.reads("model 60,000 (85.7 %), rule 9,000 (12.9 %)")
            await viewer.presses("1", then="[1 sidecars]")
            await viewer.presses("3", then="2 of 5 features drift")
            await viewer.presses("tab", then="2 partitions of credit.events")
            await viewer.presses("5", then="missing_field")
            await viewer.presses("tab", then="[1 sidecars]")
            await viewer.presses("shift+tab", then="[5 dead letters]")
            await viewer.presses("escape", then="[1 sidecars]")


async def test_arrows_and_enter_open_one_of_several() -> None:
    with listening(StaticSurface()) as first, listening(lagging(5, "fraud")) as second:
        async with viewing(first, second) as viewer:
            await viewer.reads("2 of 2 answer")
            assert f"credit at {first}" in viewer.text
            await viewer.presses("down", then=f"fraud at {second}")
            opened = await viewer.presses("enter", then="[2 overview]")
            assert f"fraud at {second}" in opened
            await viewer.presses("right", then=f"credit at {first}")
            await viewer.presses("left", then=f"fraud at {second}")


@pytest.mark.parametrize("key", "12345")
async def test_the_row_under_the_cursor_is_turned_round(key: str) -> None:
    with listening(StaticSurface()) as first, listening(lagging(5, "fraud")) as second:
        async with viewing(first, second) as viewer:
            await viewer.reads("2 of 2 answer")
            await viewer.presses(key, then=f"[{key}")
            await viewer.pilot.press("down")
            await viewer.sees(lambda _: viewer.turned_round() == [1])


async def test_the_cursor_stays_on_its_sidecar_when_the_order_changes() -> None:
    with listening(lagging(5, "slow")) as first, listening(lagging(900, "fast")) as second:
        async with viewing(first, second) as viewer:
            await viewer.reads("2 of 2 answer")
            await viewer.sees(lambda shown: 0 < shown.find("slow ") < shown.find("fast "))
            await viewer.presses("s", "s", "s", then="order: lag")
            after = await viewer.sees(
                lambda shown: 0 < shown.find("fast ") < shown.find("slow ")
            )

    assert f"slow at {first}" in after


async def test_the_window_and_the_feature_of_the_drift_view_are_chosen_by_keys() -> None:
    with listening(StaticSurface()) as address:
        async with viewing(address, size=(120, 30)) as viewer:
            await viewer.reads("60,000")
            await viewer.presses("3", then="amount  reference")
            await viewer.presses("down", then="country  reference")
            await viewer.presses("w", then="window 1h (2 of 2): too few records")


async def test_a_pause_stands_still_and_goes_on() -> None:
    surface = lagging(1_200)
    with listening(surface) as address:
        async with viewing(address) as viewer:
            await viewer.reads("1,200 records")
            await viewer.presses("p", then="PAUSED at")
            await viewer.pilot.pause(0.2)
            still = viewer.text
            surface.view = lagging(7_777).view
            await viewer.pilot.pause(1.2)
            assert viewer.text == still
            await viewer.presses("4", then="[4 partitions]")
            await viewer.presses("p", then="7,777")


async def test_help_is_closed_by_any_key_and_scrolled_by_arrows() -> None:
    with listening(StaticSurface()) as address:
        async with viewing(address, size=(80, 12)) as viewer:
            await viewer.reads("60,000")
            shown = await viewer.presses("question_mark", then="Shift-Tab goes back")
            assert "Any key closes this" not in shown
            await viewer.presses("end", then="Any key closes this")
            await viewer.presses("tab", then="[2 overview]")
            await viewer.presses("tab", then="[3 drift]")


async def test_one_that_goes_is_away_with_its_last_values_and_comes_back_by_itself() -> None:
    settings = replace(FREE, admin=free_address())
    with ExitStack() as stack:
        address = stack.enter_context(listening(lagging(1_200), settings))
        async with viewing(address) as viewer:
            await viewer.reads("1,200 records")
            stack.close()
            gone = await viewer.reads("Connection refused")
            assert "away" in gone
            assert "1,200 records" in gone
            await viewer.reads("seen  ")
            await viewer.reads("s ago, with these values")
            with listening(lagging(3), settings):
                back = await viewer.reads("3 records")
                assert "away" not in back


async def test_one_that_hangs_holds_up_neither_keys_nor_others() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,  # takes the call and says nothing
        listening(StaticSurface()) as address,
    ):
        hung = "{}:{}".format(*silent.getsockname())
        async with viewing(hung, address, timeout_s=4.0) as viewer:
            await viewer.reads("1 of 2 answer")
            async with asyncio.timeout(3.5):  # less than its time-out
                await viewer.presses("right", "4", then="[4 partitions]")
            await viewer.presses("1", then="away")
            await viewer.presses("left", then="no answer within 4 s")


async def test_a_token_that_is_missing_is_said_with_the_mend() -> None:
    with listening(StaticSurface(), GUARDED) as address:
        async with viewing(address, size=(120, 24)) as viewer:
            await viewer.reads("answers 401 Unauthorized: give the token of")


@pytest.mark.parametrize("size", [(20, 8), (40, 12), (80, 24), (200, 60)], ids=str)
async def test_every_view_fits_every_screen(size: tuple[int, int]) -> None:
    with listening(StaticSurface()) as address:
        async with viewing(address, "127.0.0.1:1", size=size) as viewer:
            await viewer.reads("1 of 2 answer")
            for key, then in zip("12345", ("[1", "[2", "[3", "[4", "[5"), strict=True):
                shown = await viewer.presses(key, then=then)
                assert max(len(line.rstrip()) for line in shown.splitlines()) <= size[0]
                assert len(shown.splitlines()) <= size[1]


@pytest.mark.parametrize("width", range(30, 81, 10))
async def test_rows_beside_a_scroll_bar_take_one_line_each(width: int) -> None:
    with listening(StaticSurface()) as address:
        async with viewing(address, size=(width, 12)) as viewer:
            await viewer.reads("decisions")
            lines = (await viewer.presses("3", then="amount")).splitlines()

    first = next(at for at, line in enumerate(lines) if line.startswith("amount"))
    assert lines[first + 1].startswith("country")


async def test_a_screen_that_becomes_wider_shows_more() -> None:
    with listening(StaticSurface()) as address:
        async with viewing(address, "127.0.0.1:1", size=(50, 20)) as viewer:
            assert "worst drift" not in await viewer.reads("1 of 2 answer")
            await viewer.pilot.resize_terminal(160, 20)
            await viewer.reads("worst drift")


async def test_it_ends_while_it_paints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.top.screen._PAINT_S", 0.001)
    with listening(StaticSurface()) as address:
        for _ in range(5):
            async with viewing(address) as viewer:  # raises what raised in the screen
                await viewer.reads("decisions")
