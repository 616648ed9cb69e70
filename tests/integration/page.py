"""Runs the script of a page and cuts what it printed into its blocks."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tools.pages import Block

_BETWEEN = "===== block "


def announced(number: int, _block: Block) -> str:
    """The line by which the output of a block is found again."""
    return f"{_BETWEEN}{number}"


def by_block(printed: str) -> dict[int, str]:
    """What each block printed that was run, by its number."""
    parts = (part.partition("\n") for part in printed.split(_BETWEEN)[1:])
    return {int(number): rest for number, _, rest in parts}


def run(text: str, folder: Path, environ: Mapping[str, str], limit_s: float) -> str:
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
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            so_far = printed.read_text(encoding="utf-8")
            message = f"not done after {limit_s:g} s, so far:\n{so_far}"
            raise AssertionError(message) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return printed.read_text(encoding="utf-8")
