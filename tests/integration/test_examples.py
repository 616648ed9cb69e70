"""The pages of the examples do what they say: their own blocks, in order, in a copy.

The environment of the examples trains the models; `make examples` sets it up. `tools/pages.py`
says what the blocks are.
"""

import os
import re
import shutil
from functools import cache
from pathlib import Path

import pytest

from tests.integration.page import announced, by_block, run
from tools.pages import Block, blocks, pattern, script

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
ENVIRONMENT = ROOT / ".venv-examples" / "bin"
NAMES = ("churn", "fraud", "regressor")
# Ten seconds on a quiet machine, most of them for imports.
LIMIT_S = 150

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\([^)]+\)")
FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")
NUMBERED = re.compile(r"^\d+\. ", re.MULTILINE)


def text(name: str) -> str:
    return (EXAMPLES / name / "README.md").read_text(encoding="utf-8")


def page(name: str) -> list[Block]:
    return blocks(text(name))


def blocks_of(role: str) -> list[object]:
    return [
        pytest.param(name, number, id=f"{name}-{number}")
        for name in NAMES
        for number, block in enumerate(page(name))
        if block.role == role
    ]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples where they may write, and an environment that can train."""
    if not (ENVIRONMENT.parent / "done").exists():
        pytest.skip("the environment of the examples is not there: make examples")
    return Path(shutil.copytree(EXAMPLES, tmp_path_factory.mktemp("examples") / "examples"))


@pytest.fixture(scope="module")
def printed(copy: Path) -> "Printed":
    return Printed(copy)


class Printed:
    """Runs each page once, when it is first asked for."""

    def __init__(self, copy: Path) -> None:
        self._copy = copy
        self.of = cache(self._run)

    def _run(self, name: str) -> dict[int, str]:
        path = f"{ENVIRONMENT}{os.pathsep}{os.environ['PATH']}"
        commands = "set -euo pipefail\n" + script(page(name), announced)
        # On a busy machine the threads of a training wait for each other most of the time.
        environ = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
        return by_block(run(commands, self._copy / name, environ, LIMIT_S))


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 30)
@pytest.mark.parametrize(("name", "number"), blocks_of("output"))
def test_a_block_prints_what_the_page_shows(name: str, number: int, printed: Printed) -> None:
    found = printed.of(name)
    output = found.get(number - 1, f"not run, a block before it failed: {found}")

    assert re.fullmatch(pattern(page(name)[number].text), output), output


@pytest.mark.parametrize(("name", "number"), blocks_of("part"))
def test_a_part_stands_in_its_file(name: str, number: int) -> None:
    part = page(name)[number]

    assert part.text in (EXAMPLES / name / part.name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_run_and_every_output_shown(name: str) -> None:
    roles = [block.role for block in page(name)]
    commands = [block for language, block in FENCED.findall(text(name)) if language == "sh"]

    assert commands == [block.text for block in page(name) if block.role == "run"]
    assert len(FENCED.findall(text(name))) == len(roles)
    assert all(roles[at + 1] == "output" for at, role in enumerate(roles) if role == "run")


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_in_the_text_is_in_a_block_or_a_file(name: str) -> None:
    prose = NUMBERED.sub("", LINK.sub("]", FENCED.sub("", text(name))))
    files = [path for path in (EXAMPLES / name).iterdir() if path.suffix in (".py", ".yaml")]
    shown = "\n".join(
        [block.text for block in page(name)] + [path.read_text("utf-8") for path in files]
    )
    known = set(FIGURE.findall(shown))

    assert [figure for figure in FIGURE.findall(prose) if figure not in known] == []
