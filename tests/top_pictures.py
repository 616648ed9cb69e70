"""Pictures of `sidecar top` for the docs: `python -m tests.top_pictures FOLDER ADDRESS...`."""

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sidecar.clock import SystemClock
from sidecar.top.screen import TopApp
from sidecar.top.target import parse_target
from sidecar.top.watch import Watch

_SIZE = (100, 24)
# The picture would ask a host on the network for it; any font of one width does.
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


async def main(folder: Path, addresses: Sequence[str]) -> None:
    """Take them of sidecars that run: all of them, and the drift of the last."""
    clock = SystemClock()
    watch = Watch(
        [parse_target(address) for address in addresses],
        clock=clock,
        interval_s=0.5,
        timeout_s=3.0,
    )
    app = TopApp(watch, clock)
    async with app.run_test(size=_SIZE) as pilot:
        await pilot.pause(2)
        (folder / "top.svg").write_text(picture(app))
        await pilot.press("left", "3")
        await pilot.pause(0.5)
        (folder / "top-drift.svg").write_text(picture(app))


def picture(app: TopApp) -> str:
    """Give the screen as a picture that needs nothing but itself."""
    return _FONT_FACE.sub("", app.export_screenshot(simplify=True))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
