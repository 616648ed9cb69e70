"""The report of a replay of real data, opened from disk in a real browser."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from tests.browser import corner, show

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

START = datetime(2016, 1, 1, tzinfo=UTC)
DAYS = 300
BUILD = (
    *("--name", "employment", "--version", "1", "--label", "employed", "--time", "time"),
    *("--labels", "not_employed,employed", "--windows", "7d,30d", "--out", "employment/1"),
)
REPLAY = ("--id", "id", "--report", "report.html")
NO_SCRIPT = {"profile": {"default_content_setting_values": {"javascript": 2}}}
# Asks the page, in a copy that allows it, what only a browser knows.
PROBE = """
const charts = [...document.querySelectorAll("svg.chart")].filter(e => e.checkVisibility());
const wide = document.documentElement.scrollWidth > window.innerWidth;
const drawn = charts.every(e => e.getBoundingClientRect().height > 40);
for (const each of document.querySelectorAll("th[data-sort] button"))
  if (each.checkVisibility() && each.textContent === "Missing") each.click();
const table = [...document.querySelectorAll("table.sortable")].find(e => e.checkVisibility());
const names = [...table.tBodies[0].rows].map(row => row.cells[0].dataset.value);
document.title = JSON.stringify([charts.length, wide, drawn, names[0]]);
"""


# Follows each link to a subject from whichever window it is not in; tells whether it is seen.
LINKS = """
const seen = [];
for (const link of document.querySelectorAll('a[href^="#w"]')) {
  const target = document.querySelector(link.hash);
  for (const choice of document.querySelectorAll("input[name=window]"))
    choice.checked = !target.closest("." + choice.id);
  const before = target.checkVisibility();
  link.click();
  seen.push([before, target.checkVisibility()]);
}
document.title = JSON.stringify(seen);
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Census rows at one per 18 minutes; on the last 100 days a third has no education."""
    folder = tmp_path_factory.mktemp("report")
    data = files("sidecar.demo").joinpath("data")
    config = data.joinpath("sidecar.yaml").read_text().replace("[7d, 30d, 90d]", "[7d, 30d]")
    (folder / "sidecar.yaml").write_text(config)
    reference = pq.read_table(str(data.joinpath("reference.parquet")))
    # The rows have no time and stand in an order of their own: windows need both.
    reference = reference.take(np.random.default_rng(7).permutation(len(reference)))
    pq.write_table(timed(reference.drop_columns(["year", "id"]), 365), folder / "ref.parquet")
    model = str(data.joinpath("employment", "1", "model.onnx"))
    run(folder, "bundle", "build", "--model", model, "--reference", "ref.parquet", *BUILD)
    table = pq.read_table(str(data.joinpath("stream.parquet"))).slice(0, 24_000)
    education = table["SCHL"].to_pylist()
    for at in range(2 * len(table) // 3, len(table), 3):
        education[at] = None
    table = table.set_column(table.schema.get_field_index("SCHL"), "SCHL", pa.array(education))
    pq.write_table(timed(table, DAYS), folder / "people.parquet")
    run(folder, "replay", "sidecar.yaml", "people.parquet", "--time", "time", *REPLAY)
    return folder / "report.html"


def timed(table: Any, days: int) -> Any:
    """Spread rows over days, in their order."""
    step = timedelta(days=days) / len(table)
    times = pa.array([START + step * at for at in range(len(table))])
    return table.append_column("time", times)


def run(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "sidecar", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("preferences", [{}, NO_SCRIPT], ids=["as it comes", "without script"])
def test_it_names_what_drifts_asks_for_nothing_and_nothing_is_refused(
    report: Path, preferences: dict[str, object]
) -> None:
    page = show(report.as_uri(), preferences=preferences)

    (headline,) = re.findall(r"</span> \d+ of 19 drifts?: (SCHL.+?)</h2>", page.html)
    since = re.findall(r"since ([-\d]+)", headline)[0]
    began = datetime.fromisoformat(since).replace(tzinfo=UTC)
    assert START + timedelta(days=200) <= began < START + timedelta(days=230)
    assert page.html.count('class="mark critical"') > 0
    assert page.html.count('<svg class="chart"') > 2 * 19
    assert (page.console, page.asked) == ("", set())


@pytest.mark.parametrize("width", [1280, 400])
def test_pictures_have_room_and_the_table_can_be_sorted(
    report: Path, tmp_path: Path, width: int
) -> None:
    page = show(probed(report, tmp_path, PROBE), f"--window-size={width},900")

    (charts, wide, drawn, first) = re.findall(
        r"<title>\[(\d+),(\w+),(\w+),&?\w*;?\"?(\w+)", page.html
    )[0]
    assert page.console == ""
    assert int(charts) >= 4
    assert (wide, drawn, first) == ("false", "true", "SCHL")


def test_a_link_leads_to_a_subject_of_any_window(report: Path, tmp_path: Path) -> None:
    page = show(probed(report, tmp_path, LINKS))

    found = json.loads(re.findall(r"<title>(.+)</title>", page.html)[0])
    assert len(found) >= 19
    assert {tuple(each) for each in found} == {(False, True)}


def probed(report: Path, folder: Path, probe: str) -> str:
    """Give the address of a copy that allows and has a script that asks."""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text())
    copy = folder / "copy.html"
    copy.write_text(html.replace("</body>", f"<script>{probe}</script></body>"))
    return copy.as_uri()


def test_what_a_page_asks_for_is_seen(tmp_path: Path) -> None:
    """Guards the test above: a picture from elsewhere would show."""
    page = tmp_path / "page.html"
    page.write_text('<img src="http://127.0.0.1:9/x.png">')

    assert show(page.as_uri()).asked == {"http://127.0.0.1:9/x.png"}


@pytest.mark.parametrize(
    ("flag", "colour"),
    [
        ("--blink-settings=preferredColorScheme=1", (0xF6, 0xF7, 0xF9)),
        ("--blink-settings=preferredColorScheme=0", (0x0E, 0x12, 0x17)),
    ],
    ids=["light", "dark"],
)
def test_it_is_light_or_dark_as_the_reader_likes(
    report: Path, flag: str, colour: tuple[int, ...]
) -> None:
    assert corner(report.as_uri(), flag) == colour
