"""The status page in a real browser that reaches nothing but the loopback."""

import asyncio
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from sidecar.adapters.http import HttpServer
from sidecar.config.settings import HttpSettings
from sidecar.config.values import Address
from tests.telemetry_samples import StaticSurface

pytestmark = pytest.mark.browser

FREE = HttpSettings(metrics=Address("127.0.0.1", 0), admin=Address("127.0.0.1", 0))
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Every name and address but the loopback's is one that does not exist.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--enable-logging=stderr",
    "--dump-dom",
)
# As a user switches script off for all pages; the browser's own `--dump-dom` goes on working.
NO_SCRIPT = {"profile": {"default_content_setting_values": {"javascript": 2}}}


class Shown(NamedTuple):
    html: str
    console: str


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: install Debian's `chromium` package")
        pytest.skip("Chromium is not installed")
    return found


def shown(preferences: Mapping[str, object]) -> Shown:
    """The page as a fresh browser builds it, and what the browser complains about."""
    browser = chromium()

    async def steps(profile: Path) -> Shown:
        server = HttpServer(FREE, StaticSurface())
        await server.start()
        url = f"http://{server.addresses.admin}/?refresh=off"
        command = (browser, *FLAGS, f"--user-data-dir={profile}", url)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        try:
            async with asyncio.timeout(45):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await server.close(5)
        return Shown(out.decode(), "\n".join(re.findall(r".*CONSOLE.*", err.decode())))

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Path(folder) / "Default" / "Preferences"
        settings.parent.mkdir()
        settings.write_text(json.dumps(preferences))
        return asyncio.run(steps(Path(folder)))


@pytest.mark.parametrize("preferences", [{}, NO_SCRIPT], ids=["as it comes", "without script"])
def test_the_feature_table_is_there_and_nothing_is_refused(
    preferences: Mapping[str, object],
) -> None:
    page = shown(preferences)

    rows = re.findall(r'<th scope="row">([^<]+)</th><td class="verdict (\w+)"', page.html)
    assert rows[:3] == [("amount", "drifting"), ("country", "drifting"), ("age", "steady")]
    assert page.html.count('<rect class="cur"') > 20
    # The browser says here what the content security policy kept from the page.
    assert page.console == ""
