"""Repo: the vendored charts are the files that their note names, with their licence."""

import re
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "sidecar" / "adapters" / "static" / "uplot"


def test_the_files_are_those_of_the_note() -> None:
    note = (FOLDER / "README.md").read_text()
    named = dict(re.findall(r"^\| `(\S+)` \| `([0-9a-f]{64})` \|$", note, re.MULTILINE))

    assert {path.name for path in FOLDER.iterdir()} == {*named, "LICENSE", "README.md"}
    for name, digest in named.items():
        assert sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_the_version_of_the_note_is_that_of_the_file() -> None:
    version = (FOLDER / "README.md").read_text().split()[2]

    assert re.search(
        rf"\bv?{re.escape(version)}\b", (FOLDER / "uPlot.iife.min.js").read_text()[:300]
    )


def test_the_licence_is_with_them() -> None:
    assert "MIT License" in (FOLDER / "LICENSE").read_text()
