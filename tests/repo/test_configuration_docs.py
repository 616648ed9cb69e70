"""The configuration page is the one that the settings make, and its examples load."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import Struct
from msgspec.structs import fields

from sidecar.config.describe import describe
from sidecar.config.kinds import is_section, members, unwrap
from sidecar.config.load import load_settings
from sidecar.config.reference import EXAMPLE, reference
from sidecar.config.settings import SidecarSettings

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


LEAST = """\
kafka: {bootstrap_servers: ["broker-1:9092"]}
topics: {events: credit.events}
model: {bundle: models/credit/7}
"""


def configs_of_the_docs() -> Iterator[Any]:
    """Give each config; one that shows only some sections is completed with what must be."""
    sections = {field.encode_name for field in fields(SidecarSettings)}
    for page in sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"]):
        for number, block in enumerate(FENCE.findall(page.read_text(encoding="utf-8")), 1):
            tree = yaml.safe_load(block)
            if isinstance(tree, dict) and not sections.isdisjoint(tree):
                config = block if "kafka" in tree else LEAST + block
                yield pytest.param(config, id=f"{page.name}-{number}")


def inner_sections(kind: Any) -> Iterator[type[Struct]]:
    return (bare for bare, _ in map(unwrap, members(kind)) if is_section(bare))


def sections(section: type[Struct]) -> Iterator[type[Struct]]:
    yield section
    for field in fields(section):
        for inner in inner_sections(field.type):
            yield from sections(inner)


def keys(section: type[Struct], path: str = "") -> Iterator[str]:
    """Give the path of every setting."""
    for field in fields(section):
        here = f"{path}.{field.encode_name}".removeprefix(".")
        yield here
        for inner in inner_sections(field.type):
            yield from keys(inner, here)


def written_keys(tree: object, path: str = "") -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            here = f"{path}.{key}".removeprefix(".")
            yield here
            yield from written_keys(value, here)


def test_the_page_is_up_to_date() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")

    assert page == reference(), "run `make docs`"


@pytest.mark.parametrize("text", list(configs_of_the_docs()))
def test_a_config_in_the_docs_loads(text: str, tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text(text, encoding="utf-8")

    assert load_settings(path, {}).model.bundle.is_relative_to(tmp_path)


def test_the_example_has_every_setting() -> None:
    example = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))

    assert set(keys(SidecarSettings)) - set(written_keys(example)) == set()


def test_every_setting_says_what_it_means() -> None:
    bare = [
        f"{section.__name__}.{field.name}"
        for section in sections(SidecarSettings)
        for field in fields(section)
        if field.name not in describe(section)
    ]

    assert bare == []
