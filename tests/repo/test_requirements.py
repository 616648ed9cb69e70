"""Repo: what is installed is what was tested, and stays small."""

import re
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADTESTS = ROOT / "loadtests"
PEERS = {
    **{name: LOADTESTS / "drift" / f"{name}.txt" for name in ("evidently", "nannyml", "river")},
    **{path.stem: path for path in (LOADTESTS / "contestants" / "requirements").glob("*.txt")},
    "kubernetes": ROOT / "tests" / "kube" / "validate.txt",
}
IMAGE = [*(ROOT / "deploy" / "image").glob("*.txt"), *(ROOT / "tests" / "image").glob("*.txt")]
LOCKS = [*sorted((ROOT / "requirements").glob("*.txt")), *PEERS.values(), *sorted(IMAGE)]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {normal(line.split("==")[0]) for line in lines if "==" in line}


def versions(path: Path) -> set[tuple[str, str]]:
    """Give name and the rest, version and marker, of every distribution."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = (line.removesuffix(" \\").split("==", 1) for line in lines if "==" in line)
    return {(normal(name), rest) for name, rest in found}


def named(requirements: Iterable[str]) -> set[str]:
    return {normal(re.split(r"[<>=!~\[; ]", one)[0]) for one in requirements}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_a_runtime_has_at_most_25_distributions() -> None:
    assert len(locked(ROOT / "requirements" / "runtime.txt")) <= 25


def test_every_direct_dependency_is_locked() -> None:
    runtime = named(PROJECT["project"]["dependencies"])
    extras = named(chain(*PROJECT["project"]["optional-dependencies"].values()))
    groups = dict(PROJECT["dependency-groups"])
    examples = named(groups.pop("examples"))
    peers = {name: named(groups.pop(name)) for name in PEERS}
    others = named(chain(*groups.values()))

    assert runtime <= locked(ROOT / "requirements" / "runtime.txt")
    assert runtime | extras | others <= locked(ROOT / "requirements" / "dev.txt")
    assert runtime | examples <= locked(ROOT / "requirements" / "examples.txt")
    for name, wanted in peers.items():
        assert wanted <= locked(PEERS[name])


@pytest.mark.parametrize("name", ["demo", "dev", "examples"])
def test_every_environment_runs_the_versions_of_the_runtime(name: str) -> None:
    missing = versions(ROOT / "requirements" / "runtime.txt") - versions(
        ROOT / "requirements" / f"{name}.txt"
    )

    # The converters of the examples need an older one; the sidecar never loads it.
    assert {name for name, _ in missing} <= ({"protobuf"} if name == "examples" else set())


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_file_has_hashes_and_names_no_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert "://" not in text
    assert text.count("==") <= text.count("--hash=sha256:")
