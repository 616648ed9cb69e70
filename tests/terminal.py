"""A command on a terminal: what is shown only there, bars and questions."""

import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path

_END_S = 50.0


def on_terminal(command: Sequence[str | Path], typed: bytes = b"") -> tuple[int, str]:
    """Run a command on a terminal of its own; give its exit code and all that was shown.

    Args:
        command: The program and its arguments.
        typed: What somebody types ahead.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        list(map(str, command)), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    os.write(ours, typed)
    shown = b""
    try:
        while part := _read(ours):
            shown += part
    finally:
        os.close(ours)
        if process.poll() is None:
            process.wait(_END_S)
    return process.returncode, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how Linux tells that nobody has the other end open
        return b""
