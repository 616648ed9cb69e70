"""A real browser that reaches nothing but the loopback, and what it says of a page."""

import json
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    # Every name and address but the loopback's is one that does not exist.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--enable-logging=stderr",
)
_LIMIT_S = 45


class Shown(NamedTuple):
    """A page as the browser built it."""

    html: str
    console: str
    """What the browser complains about, a refusal of the content security policy too."""
    asked: set[str]
    """Addresses that the page asked for, itself left out; the browser's own do not count."""


def chromium() -> str:
    """Find the browser."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("Chromium is not installed: Debian's package is `chromium`")
    return found


def show(url: str, *flags: str, preferences: Mapping[str, object] | None = None) -> Shown:
    """Open a page in a fresh browser.

    Args:
        url: Of the page.
        flags: More of the command line.
        preferences: Settings of the user.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profile, log = Path(folder), Path(folder) / "net.json"
        settings = profile / "Default" / "Preferences"
        settings.parent.mkdir()
        settings.write_text(json.dumps(preferences or {}))
        done = _run(profile, f"--log-net-log={log}", "--dump-dom", *flags, url)
        events = json.loads(log.read_text())["events"]
    asked = {
        event["params"]["url"]
        for event in events
        # What the browser asks for itself has "not an origin".
        if event.get("params", {}).get("initiator", "not an origin") != "not an origin"
    }
    return Shown(
        done.stdout.decode(),
        "\n".join(re.findall(r".*CONSOLE.*", done.stderr.decode())),
        asked - {url},
    )


def corner(url: str, *flags: str) -> tuple[int, ...]:
    """Give red, green and blue of the page's first dot.

    Args:
        url: Of the page.
        flags: More of the command line.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        picture = Path(folder) / "shot.png"
        _run(Path(folder), f"--screenshot={picture}", *flags, url)
        png = picture.read_bytes()
    at, packed = 8, b""
    while at < len(png):
        size, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        packed += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    # The first dot has no neighbours, so each filter of a PNG leaves it as it is.
    return tuple(zlib.decompress(packed)[1:4])


def _run(profile: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = (chromium(), *FLAGS, f"--user-data-dir={profile}", *arguments)
    return subprocess.run(command, capture_output=True, check=True, timeout=_LIMIT_S)
