"""The quickstart page does what it says: its own blocks, in order, on the embedded broker.

In the page a comment before a block says what it is: `<!-- file: NAME -->` is written to that
file, `<!-- run -->` is run, `<!-- output -->` is what the block before it prints. There `...`
stands for anything, at the end of a line for the rest of it and alone for any lines.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.brokers.kafka import free_port

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
# The scripts of the page wait a few seconds for a topic to fall silent.
LIMIT_S = 150
BLOCK = re.compile(
    r"^<!-- (?P<role>file|run|output)(?:: (?P<name>\S+))? -->\n```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
BETWEEN = "===== block "


class Block(NamedTuple):
    """A marked block of the page."""

    role: str
    name: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(m["role"], m["name"] or "", m["text"]) for m in BLOCK.finditer(page)]


def script(page: list[Block]) -> Iterator[str]:
    """One script for all blocks, so that variables and jobs of one are there in the next."""
    for number, block in enumerate(page):
        if block.role == "file":
            yield f"cat > {block.name} <<'END_OF_FILE'\n{block.text}END_OF_FILE\n"
        elif block.role == "run":
            yield f"echo '{BETWEEN}{number}'\n{block.text}"


def pattern(output: str) -> str:
    lines = [re.escape(line).replace(re.escape("..."), ".*") for line in output.splitlines()]
    return "".join(r"(?:.*\n)*" if line == ".*" else f"{line}\n" for line in lines)


def run(text: str, folder: Path, environ: dict[str, str]) -> str:
    """Run a script and give what it prints; none of its jobs outlives it."""
    printed = folder / "printed.txt"
    with printed.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            ["bash", "-c", text],
            cwd=folder,
            env=environ,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(LIMIT_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return printed.read_text(encoding="utf-8")


PAGE = blocks((ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8"))
SHOWN = [
    pytest.param(number, block.text, id=f"block-{number}")
    for number, block in enumerate(PAGE)
    if block.role == "output"
]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What each block printed that was run, by its number."""
    folder = tmp_path_factory.mktemp("quickstart")
    shutil.copy(DATA / "tables" / "shop.csv", folder / "orders.csv")
    shutil.copy(DATA / "models" / "shop_named.onnx", folder / "model.onnx")
    text = "".join(script(PAGE))
    for port in ("9464", "9465"):
        text = text.replace(port, str(free_port()))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    output = run(text, folder, {**os.environ, "PATH": path})
    parts = output.split(BETWEEN)[1:]
    return {int(number): rest for number, _, rest in (part.partition("\n") for part in parts)}


@pytest.mark.mock_kafka
@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 30)
@pytest.mark.parametrize(("number", "shown"), SHOWN)
def test_a_block_prints_what_the_page_shows(
    number: int, shown: str, printed: dict[int, str]
) -> None:
    output = printed[number - 1].rstrip("\n") + "\n"  # the answers of curl end without one

    assert re.fullmatch(pattern(shown), output), output


def test_three_dots_stand_for_anything_and_nothing_else_does() -> None:
    expected = pattern("one ... three\n...\nend.\n")

    assert re.fullmatch(expected, "one two three\nwhatever\nelse\nend.\n")
    assert not re.fullmatch(expected, "one two three\nend!\n")
