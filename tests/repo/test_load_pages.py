"""The load figures on the pages, and their pictures, are those of the committed reports."""

from pathlib import Path

from loadtests.pages import filled

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "performance.md"


def test_the_page_has_the_newest_figures() -> None:
    text = PAGE.read_text()

    again, _ = filled(text)

    assert again == text, "run `make docs`"
    assert text.count("<!-- load: ") == 5


def test_the_pictures_are_those_of_the_figures() -> None:
    _, pictures = filled(PAGE.read_text())

    for name, svg in pictures.items():
        assert (DOCS / "images" / name).read_text() == svg, "run `make docs`"
