"""What viewers of the status page cost a running sidecar: run it with its URL and PID.

Measures the processor time of that process while nobody, one and five follow its page, and the
bytes that each is sent.
"""

import os
import sys
import time
from pathlib import Path
from socket import create_connection
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import urlopen

_SPAN_S = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")
_FILES = (
    "",
    "status.css",
    "static/status.js",
    "static/uPlot.min.css",
    "static/uPlot.iife.min.js",
    "api/v1/history",
)


def cpu_s(pid: int) -> float:
    """Give the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def follow(url: str, seconds: float, taken: list[int]) -> None:
    """Follow the page for a while, and note the bytes."""
    parts = urlsplit(url)
    with create_connection((parts.hostname or "", parts.port or 80), timeout=5) as viewer:
        viewer.sendall(f"GET /live HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        clock = time.perf_counter
        ends, read = clock() + seconds, 0
        while clock() < ends:
            read += len(viewer.recv(1 << 20))
    taken.append(read)


def main(url: str, pid: int) -> None:
    """Print one line for each number of viewers."""
    for name in _FILES:
        with urlopen(url + name, timeout=5) as answer:  # noqa: S310
            print(f"{name or 'page'}: {len(answer.read()):,} bytes")
    for viewers in (0, 1, 5):
        taken: list[int] = []
        threads = [Thread(target=follow, args=(url, _SPAN_S, taken)) for _ in range(viewers)]
        before = cpu_s(pid)
        for thread in threads:
            thread.start()
        time.sleep(_SPAN_S)
        spent = cpu_s(pid) - before
        for thread in threads:
            thread.join()
        sent = f", {sum(taken) / viewers / _SPAN_S / 1024:.0f} KiB/s each" if viewers else ""
        print(f"{viewers} viewers: {1000 * spent / _SPAN_S:.0f} ms of CPU per second{sent}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
