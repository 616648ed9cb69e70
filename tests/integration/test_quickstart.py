"""The quickstart page does what it says: its own blocks, in order, on the embedded broker.

`tools/pages.py` says what the blocks are.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.brokers.kafka import free_port
from tests.integration.page import announced, by_block, run
from tools.pages import blocks, pattern, script

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
# The scripts of the page wait a few seconds for a topic to fall silent.
LIMIT_S = 150

PAGE = blocks((ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8"))
SHOWN = [
    pytest.param(number, block.text, id=f"block-{number}")
    for number, block in enumerate(PAGE)
    if block.role == "output"
]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What each block printed that was run, by its number."""
    folder = tmp_path_factory.mktemp("quickstart")
    shutil.copy(DATA / "tables" / "shop.csv", folder / "orders.csv")
    shutil.copy(DATA / "models" / "shop_named.onnx", folder / "model.onnx")
    text = script(PAGE, announced)
    for port in ("9464", "9465"):
        text = text.replace(port, str(free_port()))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return by_block(run(text, folder, {**os.environ, "PATH": path}, LIMIT_S))


@pytest.mark.mock_kafka
@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 30)
@pytest.mark.parametrize(("number", "shown"), SHOWN)
def test_a_block_prints_what_the_page_shows(
    number: int, shown: str, printed: dict[int, str]
) -> None:
    output = printed[number - 1].rstrip("\n") + "\n"  # the answers of curl end without one

    assert re.fullmatch(pattern(shown), output), output
