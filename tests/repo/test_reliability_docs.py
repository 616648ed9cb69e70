"""docs/reliability.md and its pictures are made from the committed reports."""

from pathlib import Path

from loadtests.faults.memory import picture
from loadtests.faults.report import IMAGES, committed, page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_reports_say() -> None:
    reports, memories = committed()

    assert reports, "no campaign is committed"
    text = (DOCS / "reliability.md").read_text(encoding="utf-8")
    assert text == page(reports, memories), "run: make docs"


def test_the_pictures_are_what_the_samples_say() -> None:
    _, memories = committed()

    assert memories, "no run of memory is committed"
    for memory in memories:
        shown = (DOCS / IMAGES.format(mode=memory.mode)).read_text(encoding="utf-8")
        assert shown == picture(memory), "run: make docs"


def test_no_committed_report_comes_from_changed_files() -> None:
    reports, memories = committed()

    commits = [report.commit for report in reports] + [one.commit for one in memories]
    assert [commit for commit in commits if commit.endswith("+")] == []
