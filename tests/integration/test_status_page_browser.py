"""The status page in a real browser that reaches nothing but the loopback."""

import asyncio
import re
from collections.abc import Mapping

import pytest

from sidecar.adapters.http import HttpServer
from sidecar.config.settings import HttpSettings
from sidecar.config.values import Address
from tests.browser import Shown, show
from tests.telemetry_samples import StaticSurface

pytestmark = pytest.mark.browser

FREE = HttpSettings(metrics=Address("127.0.0.1", 0), admin=Address("127.0.0.1", 0))
# As a user switches script off for all pages; the browser's own `--dump-dom` goes on working.
NO_SCRIPT = {"profile": {"default_content_setting_values": {"javascript": 2}}}


def shown(preferences: Mapping[str, object]) -> Shown:
    """The page as a fresh browser builds it, and what the browser complains about."""

    async def steps() -> Shown:
        server = HttpServer(FREE, StaticSurface())
        await server.start()
        url = f"http://{server.addresses.admin}/?refresh=off"
        try:
            return await asyncio.to_thread(show, url, preferences=preferences)
        finally:
            await server.close(5)

    return asyncio.run(steps())


@pytest.mark.parametrize("preferences", [{}, NO_SCRIPT], ids=["as it comes", "without script"])
def test_the_feature_table_is_there_and_nothing_is_refused(
    preferences: Mapping[str, object],
) -> None:
    page = shown(preferences)

    rows = re.findall(
        r'<th scope="row"><a[^>]*>([^<]+)</a></th><td class="verdict (\w+)"', page.html
    )
    assert rows[:3] == [("amount", "drifting"), ("country", "drifting"), ("age", "steady")]
    assert page.html.count('<rect class="cur"') > 20
    # The browser says here what the content security policy kept from the page.
    assert page.console == ""
