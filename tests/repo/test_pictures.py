"""The pictures of the docs need nothing but themselves."""

import re
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[2] / "docs/images"
ELSEWHERE = re.compile(r"url\((?!#)|@import|href|<script|<image")


@pytest.mark.parametrize("picture", sorted(IMAGES.glob("*.svg")), ids=lambda path: path.stem)
def test_a_picture_loads_nothing(picture: Path) -> None:
    assert ELSEWHERE.findall(picture.read_text(encoding="utf-8")) == []
