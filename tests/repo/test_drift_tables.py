"""The tables of drift figures on the pages are those of the committed reports."""

from pathlib import Path

from loadtests.drift.tables import filled

PAGE = Path(__file__).parent.parent.parent / "docs" / "performance.md"


def test_the_page_has_the_newest_figures() -> None:
    text = PAGE.read_text()

    assert filled(text) == text, "run `make docs`"
    assert text.count("<!-- drift: ") == text.count("`loadtests/results/drift-") == 4
