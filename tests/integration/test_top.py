"""`sidecar top` on a terminal, and beside a running sidecar."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.listeners import listening
from tests.telemetry_samples import StaticSurface, partitions, status
from tests.terminal import Terminal

SIDECAR = Path(sys.executable).with_name("sidecar")
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


def of(lag: int) -> StaticSurface:
    """A sidecar with that lag."""
    first, second = partitions()
    return StaticSurface(status(partitions=(replace(first, lag_records=lag), second)))


def test_figures_move_keys_act_and_the_terminal_is_left_as_it_was() -> None:
    surface = of(1_200)
    with (
        listening(surface) as address,
        Terminal([SIDECAR, "top", address, "--interval", "0.2"]) as terminal,
    ):
        terminal.shows("lag           1,200 records")
        during = terminal.modes()
        surface.view = of(7_777).view
        terminal.shows("lag           7,777 records")
        terminal.types("3")
        terminal.shows("2 of 5 features drift")
        terminal.types("\t")
        terminal.shows("2 partitions of credit.events")
        terminal.types("?")
        terminal.shows("Any key closes this")
        terminal.types("xxx")
        terminal.types("5")
        terminal.shows("missing_field")
        terminal.types("q")
        code = terminal.ends()

        assert code == 0
        assert during != terminal.before
        assert terminal.modes() == terminal.before
        assert "\x1b[?1049l" in terminal.written
        assert "\x1b[?25h" in terminal.written
        assert "Traceback" not in terminal.written


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_signal_leaves_the_terminal_as_it_was(number: signal.Signals, code: int) -> None:
    with listening(of(1_200)) as address, Terminal([SIDECAR, "top", address]) as terminal:
        terminal.shows("1,200 records")

        terminal.told(number)

        assert terminal.ends() == code
        assert terminal.modes() == terminal.before
        assert "\x1b[?1049l" in terminal.written
        assert "Traceback" not in terminal.written


def test_ctrl_c_ends_it() -> None:
    with listening(of(1_200)) as address, Terminal([SIDECAR, "top", address]) as terminal:
        terminal.shows("1,200 records")

        terminal.types("\x03")

        assert terminal.ends() == 130
        assert terminal.modes() == terminal.before


@pytest.mark.parametrize("plain", [True, False], ids=["NO_COLOR", "colours"])
def test_colours_are_left_out_where_they_are_not_wanted(plain: bool) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environ |= {"NO_COLOR": "1"} if plain else {}
    with (
        listening(of(1_200)) as address,
        Terminal([SIDECAR, "top", address, "127.0.0.1:1"], environ=environ) as terminal,
    ):
        terminal.shows("away")
        terminal.shows("degraded")

        assert (COLOUR.search(terminal.written) is None) == plain
