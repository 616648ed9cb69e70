"""Repo: what is installed is what was tested, and stays small."""

import re
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {normal(line.split("==")[0]) for line in lines if "==" in line}


def named(requirements: Iterable[str]) -> set[str]:
    return {normal(re.split(r"[<>=!~\[; ]", one)[0]) for one in requirements}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_a_runtime_has_at_most_25_distributions() -> None:
    assert len(locked(ROOT / "requirements" / "runtime.txt")) <= 25


def test_every_direct_dependency_is_locked() -> None:
    runtime = named(PROJECT["project"]["dependencies"])
    extras = named(chain(*PROJECT["project"]["optional-dependencies"].values()))
    groups = named(chain(*PROJECT["dependency-groups"].values()))

    assert runtime <= locked(ROOT / "requirements" / "runtime.txt")
    assert runtime | extras | groups <= locked(ROOT / "requirements" / "dev.txt")


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_file_has_hashes_and_names_no_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert "://" not in text
    assert text.count("==") <= text.count("--hash=sha256:")
