"""A contestant's processes, seen from outside through `/proc`."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Positions in /proc/<pid>/stat behind the name: utime, stime and those of ended children.
_CPU_FIELDS = slice(11, 15)


class Usage(NamedTuple):
    """What a process tree has used so far."""

    cpu_s: float
    """User and system time."""
    peak_rss_bytes: int
    """Largest resident set; of several processes, the sum of each one's largest."""


class ProcessTree:
    """A started command and all its descendants."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        """Start the command; what it prints goes to `log`."""
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.log = log

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def usage(self) -> Usage:
        """Give what all of its processes have used."""
        parts = [part for pid in _tree(self._process.pid) if (part := _usage(pid))]
        return Usage(sum(part.cpu_s for part in parts), sum(p.peak_rss_bytes for p in parts))

    def wait(self, within_s: float) -> int:
        """Let it end by itself, force it when time is up, and give its exit code."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def end(self, within_s: float) -> int:
        """Ask it to end, force it when time is up, and give its exit code."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait(within_s)


def _tree(root: int) -> Iterator[int]:
    yield root
    for task in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in children:
            yield from _tree(int(child))


def _usage(pid: int) -> Usage | None:
    proc = Path(f"/proc/{pid}")
    try:
        stat = (proc / "stat").read_text().rpartition(")")[2].split()
        status = (proc / "status").read_text()
    except OSError:  # it has ended
        return None
    cpu_s = sum(map(int, stat[_CPU_FIELDS])) * _TICK_S
    peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return Usage(cpu_s, int(peak[0]) * 1024 if peak else 0)
