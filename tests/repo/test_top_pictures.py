"""The pictures of `sidecar top` need nothing but themselves."""

import re
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[2] / "docs/images"
ELSEWHERE = re.compile(r"url\((?!#)|@import|href|<script|<image")


@pytest.mark.parametrize("name", ["top.svg", "top-drift.svg"])
def test_a_picture_loads_nothing(name: str) -> None:
    assert ELSEWHERE.findall((IMAGES / name).read_text(encoding="utf-8")) == []
