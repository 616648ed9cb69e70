"""Whatever stands in a config, it loads or is refused with findings; nothing else is raised."""

import json
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from sidecar.config.kinds import is_section, members, unwrap
from sidecar.config.load import load_settings
from sidecar.config.settings import SidecarSettings
from sidecar.errors import ConfigError, Finding
from tests.unit.config.conftest import MINIMAL, overlay

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["5m", "1MiB", "a:1", "auto", "${X}", "${Y:-1}", "${", "$$"])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def trees_like(kind: Any) -> st.SearchStrategy[Any]:
    """Build trees with the shape of a type, and anything at its leaves."""
    likely = [TREES]
    for bare, _ in map(unwrap, members(kind)):
        if is_section(bare):
            keys = {field.encode_name: trees_like(field.type) for field in fields(bare)}
            likely.append(st.fixed_dictionaries({}, optional=keys))
        if get_origin(bare) is list:
            likely.append(st.lists(trees_like(get_args(bare)[0]), max_size=3))
    return st.one_of(likely[1:] or likely) | TREES


CONFIGS = trees_like(SidecarSettings).filter(lambda tree: isinstance(tree, dict))


def faults_of(path: Path) -> list[Finding]:
    """Give the findings of a config; any other exception is the test's failure."""
    try:
        load_settings(path, {"X": "1"})
    except ConfigError as error:
        return list(error.findings)
    return []


def all_say_how_to_mend(found: list[Finding]) -> bool:
    return all(finding.path and finding.message and finding.mend for finding in found)


@settings(deadline=None)
@given(tree=CONFIGS)
def test_any_tree_over_a_good_config_loads_or_is_refused(
    tree: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "tree.json"
    path.write_text(json.dumps(overlay(MINIMAL, tree)))

    assert all_say_how_to_mend(faults_of(path))


PIECES = st.lists(
    st.sampled_from([*"{}[]:,-?&*!|>#%@`'\"\\ \n\t~0", "&a", "*a", "!!int", "kafka"])
)


@pytest.mark.parametrize("suffix", ["yaml", "toml", "json"])
@settings(deadline=None)
@given(text=st.text() | PIECES.map("".join))
def test_any_text_is_refused(
    suffix: str, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"text.{suffix}"
    path.write_text(text, encoding="utf-8")

    found = faults_of(path)

    assert found
    assert all_say_how_to_mend(found)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        pytest.param("yaml", '"\\UFFFFFFFF"', id="no such character"),
        pytest.param("yaml", "&a [*a]", id="list in itself"),
        pytest.param("yaml", "[" * 2_000, id="deep YAML list"),
        pytest.param("yaml", "a: " + "9" * 5_000, id="long YAML number"),
        pytest.param("yaml", "a: !!int x", id="tag"),
        pytest.param("json", '{"a":' * 20_000, id="deep JSON map"),
        pytest.param("json", '{"a":' * 600 + "1" + "}" * 600, id="deep but valid JSON map"),
        pytest.param("json", '{"a": ' + "9" * 5_000 + "}", id="long JSON number"),
        pytest.param("json", '{"model": "\\ud800"}', id="half a character"),
        pytest.param("json", '{"model": {"bundle": "a\\u0000b"}}', id="NUL in a path"),
        pytest.param("toml", ".".join(["a"] * 5_000) + " = 1", id="deep TOML key"),
        pytest.param("toml", "a = " + "9" * 5_000, id="long TOML number"),
        pytest.param("toml", "model.bundle = 1979-05-27", id="TOML date"),
        pytest.param("toml", "breaker.failures = nan", id="TOML not a number"),
    ],
)
def test_a_hostile_text_is_refused(suffix: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"hostile.{suffix}"
    path.write_text(text, encoding="utf-8")

    found = faults_of(path)

    assert found
    assert all_say_how_to_mend(found)
