"""The live status page in a real browser that reaches nothing but the loopback."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Thread

import pytest
from msgspec.structs import replace

from sidecar.adapters.http import HttpServer
from sidecar.config.settings import HttpSettings
from sidecar.config.values import Address, Duration
from sidecar.telemetry.history import Totals
from sidecar.telemetry.status import StatusView
from tests.devtools import Page, browser
from tests.telemetry_samples import NOW_MS, StaticSurface

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

QUICK = HttpSettings(
    metrics=Address("127.0.0.1", 0),
    admin=Address("127.0.0.1", 0),
    stream_interval=Duration(200),
)


@dataclass(slots=True)
class Moving(StaticSurface):
    """Each look finds one record more."""

    looks: int = 0

    def status(self) -> StatusView:
        self.looks += 1
        rates = replace(self.view.rates, records_per_second=1_000.0 + self.looks)
        return replace(self.view, now_ms=NOW_MS + self.looks * 200, rates=rates)


@dataclass
class Site:
    url: str
    surface: Moving
    call: Callable[[Callable[[], None]], object]


@pytest.fixture
def site() -> Iterator[Site]:
    """A server on a thread of its own, for the browser is asked from this one."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    surface = Moving()
    server = HttpServer(QUICK, surface)
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield Site(f"http://{server.addresses.admin}/", surface, loop.call_soon_threadsafe)
    finally:
        asyncio.run_coroutine_threadsafe(server.close(5), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as opened:
        yield opened


THROUGHPUT = "document.querySelector('.tile .value').textContent"
INK = """[...document.querySelectorAll('[data-chart] canvas')].map((canvas) => {
  const dots = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let at = 0; at < dots.length; at += 4) {
    if (dots[at + 3] > 200) seen.add(`${dots[at]},${dots[at + 1]},${dots[at + 2]}`);
  }
  return seen.size;
})"""


def test_the_page_brings_itself_up_to_date_without_loading_anew(site: Site, page: Page) -> None:
    page.complaints.clear()
    page.open(site.url)
    page.value("window.canary = 'still here'")
    before = page.value(THROUGHPUT)

    page.wait(f"{THROUGHPUT} !== {before!r}")

    assert page.value("window.canary") == "still here"
    assert page.value("document.getElementById('news').textContent") == "Live."
    assert page.complaints == []


def test_charts_show_the_hour_before_the_page_was_opened(site: Site, page: Page) -> None:
    page.open(site.url)

    page.wait("document.querySelectorAll('[data-chart] canvas').length === 5")

    assert page.value("[...document.querySelectorAll('.uplot')].length") == 5
    # Axes, grid, text and at least one line in a colour of its own.
    page.wait(f"({INK}).every((colours) => colours > 3)")


def test_the_legend_of_a_chart_says_the_newest_values(site: Site, page: Page) -> None:
    page.open(site.url)

    lag = "document.querySelector('[data-chart=lag] .u-legend')?.innerText ?? ''"
    # 720 samples, of which the last is 290 steps of 3 records after the lowest.
    page.wait(f"({lag}).includes('1,070')")


def test_a_chart_takes_a_new_sample_in(site: Site, page: Page) -> None:
    site.surface.past._step_s = 0.2
    page.open(site.url)
    page.wait("document.querySelectorAll('[data-chart] canvas').length === 5")

    def add() -> None:
        totals = Totals({"model": 9_999_999}, 0, (1, 2, 3, 4), (0.1, 0.5, 1.0), 0.9)
        site.surface.past.add(9_000.0, NOW_MS + 60_000, totals, 7_654_321, 5.0)

    site.call(add)

    lag = "document.querySelector('[data-chart=lag] .u-legend').innerText"
    page.wait(f"{lag}.includes('7,654,321')")


def test_features_are_walked_through_with_the_keyboard(site: Site, page: Page) -> None:
    page.open(site.url)
    page.wait("document.getElementById('news').textContent === 'Live.'")
    page.value("document.querySelector('.subjects a[data-choice]').focus()")

    page.press("ArrowDown")
    assert page.value("document.activeElement.textContent") == "country"
    page.press("Enter")

    page.wait("document.querySelector('#subject h2').textContent.startsWith('country:')")
    assert "feature=country" in page.value("location.search")
    # News go on coming in, and the focus stays where it was put.
    seen = page.value(THROUGHPUT)
    page.wait(f"{THROUGHPUT} !== {seen!r}")
    assert page.value("document.activeElement.textContent") == "country"
    outline = page.value("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_windows_are_chosen_with_the_keyboard(site: Site, page: Page) -> None:
    page.open(site.url)
    page.wait("document.getElementById('news').textContent === 'Live.'")
    page.value("document.querySelector('nav a').focus()")

    page.press("ArrowRight")
    page.press("Enter")

    page.wait(
        "document.querySelector('nav a[aria-current]').getAttribute('href').includes('1h')"
    )


def test_an_open_decision_stays_open_while_news_come(site: Site, page: Page) -> None:
    page.open(site.url)
    page.wait("document.getElementById('news').textContent === 'Live.'")
    page.value("document.querySelectorAll('.decisions summary')[1].focus()")

    page.press("Enter")
    page.wait("document.querySelector('.decisions details[open]') !== null")
    seen = page.value(THROUGHPUT)
    page.wait(f"{THROUGHPUT} !== {seen!r}")

    text = page.value("document.querySelector('.decisions details[open]').innerText")
    assert "confidence 0.61, below 0.8" in text


def test_dark_is_dark_and_charts_are_drawn_anew(site: Site, page: Page) -> None:
    page.open(site.url)
    page.wait("document.querySelectorAll('[data-chart] canvas').length === 5")
    light = page.picture()

    page.ask(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    page.wait("getComputedStyle(document.body).backgroundColor === 'rgb(14, 18, 23)'")
    page.wait("document.querySelectorAll('[data-chart] canvas').length === 5")

    assert page.picture() != light


def test_a_narrow_screen_is_not_scrolled_sideways(site: Site, page: Page) -> None:
    page.open(site.url, width=360)
    page.wait("document.querySelectorAll('[data-chart] canvas').length === 5")

    assert page.value("document.documentElement.scrollWidth") <= 360


def test_a_page_that_stands_still_takes_no_place(site: Site, page: Page) -> None:
    page.open(f"{site.url}?refresh=off")
    page.wait("document.querySelectorAll('[data-chart] canvas').length === 5")
    before = site.surface.looks

    page.value("new Promise((done) => setTimeout(done, 700))")

    assert site.surface.looks == before


def test_the_page_says_when_the_process_is_away(site: Site, page: Page) -> None:
    page.open(site.url)
    page.wait("document.getElementById('news').textContent === 'Live.'")

    page.ask(
        "Network.emulateNetworkConditions",
        offline=True,
        latency=0,
        downloadThroughput=-1,
        uploadThroughput=-1,
    )
    page.value("document.dispatchEvent(new Event('visibilitychange'))")

    page.wait("/lost|Not live/.test(document.getElementById('news').textContent)")


def test_nothing_was_refused_or_went_wrong(site: Site, page: Page) -> None:
    page.open(site.url)
    page.wait("document.getElementById('news').textContent === 'Live.'")
    page.complaints.clear()
    page.open(f"{site.url}?window=1h&feature=country")
    page.wait("document.querySelectorAll('[data-chart] canvas').length === 5")

    assert page.complaints == []
    asked = "performance.getEntriesByType('resource').map((each) => new URL(each.name).origin)"
    assert set(page.value(asked)) == {site.url.rstrip("/")}
