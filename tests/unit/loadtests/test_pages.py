from pathlib import Path

import pytest

from loadtests.pages import filled

PAGE = "before\n<!-- load: sizing -->\nold\n<!-- end -->\nafter\n"


def test_a_block_without_a_run_says_how_to_make_one(tmp_path: Path) -> None:
    text, pictures = filled(PAGE, tmp_path)

    assert text == (
        "before\n<!-- load: sizing -->\n"
        "No run is committed yet; `make bench-scenarios` makes one.\n"
        "<!-- end -->\nafter\n"
    )
    assert pictures == {}


def test_a_block_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="other"):
        filled(PAGE.replace("sizing", "other"), tmp_path)
