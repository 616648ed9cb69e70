"""Unit: `sidecar run` ends when its time is up, whatever hangs."""

import signal
import subprocess
import sys
import time

import pytest

from sidecar.clock import SystemClock

# A service that is asked to stop, and then holds the event loop as a hung call would.
HUNG = """
import asyncio, time
from types import SimpleNamespace
import sidecar.cli.run as command
from sidecar.config.settings import LogSettings
from sidecar.config.values import Duration

class Hung:
    def __init__(self, settings):
        self.stopping = False
        self.metrics = SimpleNamespace(log_message=lambda level: None)

    def stop(self):
        self.stopping = True

    async def run(self):
        print("up", flush=True)
        while not self.stopping:
            await asyncio.sleep(0.01)
        {then}

command.Service = Hung
command._GRACE_S = 0.2
limits = SimpleNamespace(shutdown=Duration(300))
settings = SimpleNamespace(limits=limits, log=LogSettings(format="json"))
command.load_settings = lambda path, environ: settings
command.run(["unused.yaml"])
"""


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ("return 0", 0),
        ("return 1", 1),
        ("time.sleep(60)", 1),
        ("await asyncio.to_thread(time.sleep, 60)", 1),
    ],
)
def test_a_signal_ends_the_process_in_time(then: str, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HUNG.replace("{then}", then)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        began = SystemClock().monotonic()
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == code
        assert SystemClock().monotonic() - began < 5


def test_a_second_signal_ends_it_at_once() -> None:
    script = HUNG.replace("{then}", "await asyncio.sleep(60)").replace("300", "50_000")
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 1
