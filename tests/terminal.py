"""A command on a terminal: what is shown only there, bars and questions."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sidecar.clock import SystemClock

_END_S = 50.0
_SOON_S = 20.0
_STEERING = re.compile(r"\x1b(?:\[[0-9;?<>=$]*[a-zA-Z]|[^\[])")


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


class Terminal:
    """A command on a terminal of its own, somebody before it who reads and types."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        size: tuple[int, int] = (80, 24),
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Start it.

        Args:
            command: The program and its arguments.
            size: Columns and rows.
            environ: The environment of the program.
        """
        self._ours, self._theirs = pty.openpty()
        columns, rows = size
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = self.modes()
        self.written = ""
        self._process = subprocess.Popen(
            list(map(str, command)),
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env={**environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def modes(self) -> list[Any]:
        """How the terminal treats what is typed and written."""
        return termios.tcgetattr(self._theirs)

    def types(self, keys: str) -> None:
        """Press keys; what was written before them is forgotten."""
        self.written = ""
        os.write(self._ours, keys.encode())

    def told(self, number: signal.Signals) -> None:
        """Send it a signal; what was written before is forgotten."""
        self.written = ""
        self._process.send_signal(number)

    def shows(self, text: str) -> None:
        """Wait until a text was written, whatever its looks."""
        until = SystemClock().monotonic() + _SOON_S
        while text not in _STEERING.sub("", self.written):
            seen = _STEERING.sub("", self.written)[-4_000:]
            assert SystemClock().monotonic() < until, f"not {text!r} but {seen!r}"
            self._look()

    def ends(self) -> int:
        """Wait for its end, and give the exit code."""
        until = SystemClock().monotonic() + _SOON_S
        while self._process.poll() is None:
            assert SystemClock().monotonic() < until, "it goes on"
            self._look()
        self._look()
        return self._process.returncode

    def _look(self) -> None:
        """Take what is written in the next moment."""
        while select.select([self._ours], [], [], 0.1)[0]:
            self.written += os.read(self._ours, 65_536).decode(errors="replace")
            if len(self.written) > 1_000_000:
                return
