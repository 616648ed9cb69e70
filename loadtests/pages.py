"""`python -m loadtests.pages PAGE...`: the newest committed load figures into pages.

A block stands between two lines, `<!-- load: NAME -->` and `<!-- end -->`. Its pictures are
written into the folder `images` beside the page. Where a run has not been made, it says so.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from loadtests import peers, report, sizing
from loadtests.latency import report as open_load
from loadtests.latency.report import LatencyReport
from loadtests.peers import PeersReport
from loadtests.report import RESULTS, Conditions, Report
from loadtests.scenarios import report as scenarios
from loadtests.scenarios.lines import lines
from loadtests.scenarios.report import ScenarioReport

_PLACE = re.compile(r"(<!-- load: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

T = TypeVar("T")


class Block(NamedTuple):
    """What stands in a place of a page."""

    lines: Sequence[str]
    pictures: Mapping[str, str]
    """SVG by the name of its file."""


def main(pages: list[str]) -> int:
    """Write blocks and pictures."""
    for page in map(Path, pages):
        text, pictures = filled(page.read_text())
        page.write_text(text)
        for name, svg in pictures.items():
            (page.parent / "images" / name).write_text(svg)
    return 0


def filled(text: str, folder: Path = RESULTS) -> tuple[str, Mapping[str, str]]:
    """Give a page with its blocks anew, and the pictures that they show.

    Args:
        text: The page.
        folder: Where the reports are.

    Raises:
        KeyError: It asks for a block that there is not.
    """
    pictures: dict[str, str] = {}

    def block(found: re.Match[str]) -> str:
        made = _BLOCKS[found[2]](folder)
        pictures.update(made.pictures)
        return "\n".join([found[1].rstrip("\n"), *made.lines, found[3]])

    return _PLACE.sub(block, text), pictures


def _race(folder: Path) -> Block:
    found = _newest(folder, "2", Report)
    if not found:
        return _not_yet("make bench")
    name, race = found
    pictures = {"race-cpu": report.picture(race.rounds)}
    return _shown(pictures, report.table(race.rounds), name, race.conditions)


def _latency(folder: Path) -> Block:
    found = _newest(folder, "latency-", LatencyReport)
    if not found:
        return _not_yet("make bench-latency")
    name, load = found
    pictures = {f"load-{at}": svg for at, svg in open_load.pictures(load.rounds).items()}
    return _shown(pictures, open_load.table(load.rounds), name, load.conditions)


def _scenarios(folder: Path) -> Block:
    found = _newest(folder, "scenarios-", ScenarioReport)
    if not found:
        return _not_yet("make bench-scenarios")
    name, runs = found
    pictures = {
        f"scenarios-{at}": svg for at, svg in scenarios.pictures(runs.rounds, lines()).items()
    }
    return _shown(pictures, scenarios.table(runs.rounds, lines()), name, runs.conditions)


def _peers(folder: Path) -> Block:
    found = _newest(folder, "peers-", PeersReport)
    if not found:
        return _not_yet("make bench-peers")
    name, race = found
    pictures = {"peers-cpu": peers.picture(race.rounds)}
    return _shown(pictures, peers.table(race.rounds), name, race.conditions)


def _sizing(folder: Path) -> Block:
    found = _newest(folder, "scenarios-", ScenarioReport)
    costs = sizing.fit(scenarios.by_features(found[1].rounds)) if found else None
    if not found or not costs:
        return _not_yet("make bench-scenarios")
    return _shown({}, sizing.table(costs), found[0], found[1].conditions)


_BLOCKS: Mapping[str, Callable[[Path], Block]] = {
    "race": _race,
    "latency": _latency,
    "scenarios": _scenarios,
    "peers": _peers,
    "sizing": _sizing,
}


def _newest(folder: Path, begin: str, kind: type[T]) -> tuple[str, T] | None:
    """Give the report of the latest day, and its name."""
    paths = sorted(folder.glob(f"{begin}*.json"))
    if not paths:
        return None
    return paths[-1].stem, msgspec.json.decode(paths[-1].read_bytes(), type=kind)


def _not_yet(command: str) -> Block:
    return Block([f"No run is committed yet; `{command}` makes one."], {})


def _shown(
    pictures: Mapping[str, str], table: Sequence[str], name: str, where: Conditions
) -> Block:
    shown = [line for at, svg in pictures.items() for line in (_image(at, svg), "")]
    settings = ", ".join(f"{key} {value}" for key, value in where.settings.items())
    source = f"`loadtests/results/{name}.md`: {where.cpu}, {where.cores} cores; {settings}."
    files = {f"{at}.svg": svg for at, svg in pictures.items()}
    return Block([*shown, *table, *([""] if table else []), source], files)


def _image(name: str, svg: str) -> str:
    title = svg.partition("<title>")[2].partition("</title>")[0]
    return f"![{title}](images/{name}.svg)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
