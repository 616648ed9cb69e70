"""Runs what a page shows, so that the page cannot say what is not so.

A comment before a block says what the block is:

    <!-- file: NAME -->   written to that file
    <!-- part: NAME -->   stands in that file as it is
    <!-- run -->          run
    <!-- output -->       what the block before it prints

In an output `...` stands for anything, at the end of a line for the rest of it and alone for
any lines.

    python tools/pages.py docs/examples build/examples fraud churn

copies the first folder to the second one and runs, in the copies of the folders that are named,
the blocks of their `README.md`. It ends with the first command that fails.
"""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(
    r"^<!-- (?P<role>file|part|run|output)(?:: (?P<name>\S+))? -->\n"
    r"```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A marked block of a page."""

    role: str
    name: str
    """Of the file, for those that have one."""
    text: str


def blocks(page: str) -> list[Block]:
    """Give the marked blocks of a page, in order.

    Args:
        page: Its Markdown.
    """
    return [Block(m["role"], m["name"] or "", m["text"]) for m in _BLOCK.finditer(page)]


def script(page: Sequence[Block], announce: Callable[[int, Block], str]) -> str:
    """Put one script together, so that variables and jobs of one block are there in the next.

    Args:
        page: The blocks of the page.
        announce: Gives what is printed before a block that is run, from its number and itself.
    """
    return "".join(_commands(page, announce))


def _commands(page: Sequence[Block], announce: Callable[[int, Block], str]) -> Iterator[str]:
    for number, block in enumerate(page):
        if block.role == "file":
            yield f"cat > {block.name} <<'END_OF_FILE'\n{block.text}END_OF_FILE\n"
        elif block.role == "run":
            yield f"printf '%s\\n' {shlex.quote(announce(number, block))}\n{block.text}"


def pattern(output: str) -> str:
    """Give the regular expression that what is printed must match as a whole.

    Args:
        output: The text of an output block.
    """
    lines = [re.escape(line).replace(re.escape("..."), ".*") for line in output.splitlines()]
    return "".join(r"(?:.*\n)*" if line == ".*" else f"{line}\n" for line in lines)


def main(source: str, work: str, *names: str) -> int:
    """Run pages for people to watch.

    Args:
        source: Folder whose folders have pages.
        work: Where it is copied to; what was there before goes.
        names: The folders to run.

    Returns:
        Exit code of the first command that failed, or 0.
    """
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source, work)
    for name in names:
        began = time.perf_counter()
        print(f"\n=== {name}", flush=True)
        page = blocks((Path(work) / name / "README.md").read_text(encoding="utf-8"))
        text = "set -euo pipefail\n" + script(page, _with_prompt)
        code = subprocess.run(
            ["bash", "-c", text], cwd=Path(work) / name, check=False
        ).returncode
        if code:
            print(f"=== {name} failed, exit code {code}", file=sys.stderr)
            return code
        print(f"=== {name} done in {time.perf_counter() - began:.0f} s", flush=True)
    return 0


def _with_prompt(_number: int, block: Block) -> str:
    return "\n$ " + block.text.rstrip("\n").replace("\n", "\n  ")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
