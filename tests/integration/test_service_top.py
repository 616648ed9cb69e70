"""`sidecar top` beside a running sidecar: what goes through it, and its end."""

import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import Launch
from tests.integration.service import Input, Topics, good_events
from tests.terminal import Terminal

SIDECAR = Path(sys.executable).with_name("sidecar")


def test_what_a_sidecar_does_is_seen_and_that_it_is_gone(
    topics: Topics, launch: Launch
) -> None:
    sidecar = launch(topics).working()
    url = sidecar.said("sidecar_started")["status_url"]

    with Terminal([SIDECAR, "top", url, "--interval", "0.2"]) as terminal:
        terminal.shows(f"ready   {topics.name} at")
        terminal.shows("none in the last minute")
        topics.send([*good_events(40), Input(b"{", partition=1)])
        terminal.shows("model 40 (100.0 %)")
        terminal.shows("malformed_json 1 (100.0 %)")
        terminal.types("4")
        terminal.shows(f"4 partitions of {topics.events}, group {topics.group}")
        terminal.types("5")
        terminal.shows(f"of the last minute refused, to {topics.letters}")
        assert sidecar.stop() == 0
        terminal.shows("Connection refused")
        terminal.types("q")
        assert terminal.ends() == 0
        assert terminal.modes() == terminal.before

    once = subprocess.run([SIDECAR, "top", url], capture_output=True, text=True, check=False)
    assert (once.returncode, once.stderr) == (1, "")
    assert "Connection refused" in once.stdout
