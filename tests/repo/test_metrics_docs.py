"""The reference of the metrics is what the catalogue says."""

from pathlib import Path

from sidecar.telemetry.catalogue import CATALOGUE
from sidecar.telemetry.reference import reference
from sidecar.telemetry.spec import Kind

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "write it anew: python -m sidecar.telemetry.reference > docs/metrics.md"
    )


def test_every_metric_stands_in_it_once() -> None:
    headings = [
        line.removeprefix("### ").strip("`")
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("### ")
    ]

    assert sorted(headings) == sorted(spec.name for spec in CATALOGUE)


def test_names_carry_the_prefix_and_the_ending_of_their_kind() -> None:
    endings = {Kind.COUNTER: "_total", Kind.INFO: "_info"}

    wrong = [
        spec.name
        for spec in CATALOGUE
        if not spec.name.startswith("sidecar_")
        or not spec.name.endswith(endings.get(spec.kind, ""))
        or (spec.unit in ("seconds", "ratio") and f"_{spec.unit}" not in spec.name)
    ]

    assert wrong == []
