"""What counts as flat memory, and how a run is shown."""

import math
import xml.etree.ElementTree as ET

import pytest
from msgspec.structs import replace

from loadtests.faults.memory import Memory, Sample, growth, not_flat, picture, rows

EVENTS = 1_000


def samples(*mib: float) -> list[Sample]:
    """Give so many samples, over all of the events."""
    last = len(mib) - 1
    return [Sample(at, round(EVENTS * at / last), each) for at, each in enumerate(mib)]


def memory(*mib: float) -> Memory:
    counts = {"committed": EVENTS, "decided": EVENTS, "in the longest window": EVENTS}
    return Memory(
        "2026-03-01",
        "abc",
        "Linux",
        "at_least_once",
        EVENTS,
        (3.0, 6.0),
        counts,
        [],
        samples(*mib),
    )


def wave(at: int) -> float:
    return 100.0 + 8.0 * math.sin(at)


FLAT = [wave(at) for at in range(100)]


def test_memory_that_goes_up_and_down_is_flat() -> None:
    assert list(not_flat(samples(*FLAT), EVENTS)) == []


def test_what_grows_in_the_warm_up_does_not_count() -> None:
    assert list(not_flat(samples(*([20.0] * 20), *FLAT[20:]), EVENTS)) == []


def test_a_hump_in_the_middle_that_goes_away_is_flat() -> None:
    hump = [mib + (60.0 if 50 <= at < 65 else 0.0) for at, mib in enumerate(FLAT)]

    assert list(not_flat(samples(*hump), EVENTS)) == []
    found = growth(samples(*hump), EVENTS)
    assert found is not None
    assert found.most > 150


@pytest.mark.parametrize(
    "leak",
    [
        [mib + at * 0.3 for at, mib in enumerate(FLAT)],
        [mib + (30.0 if at > 50 else 0.0) for at, mib in enumerate(FLAT)],
    ],
    ids=["little by little", "at once, for good"],
)
def test_memory_that_grows_and_stays_is_not_flat(leak: list[float]) -> None:
    assert len(list(not_flat(samples(*leak), EVENTS))) == 2


def test_a_few_samples_say_nothing() -> None:
    assert list(not_flat(samples(*FLAT[:10]), EVENTS)) == [
        "fewer than 10 samples after the warm-up say nothing of memory"
    ]


def test_a_run_that_ended_at_once_has_a_row() -> None:
    assert list(rows([replace(memory(*FLAT), samples=[])]))[-1].count("| - ") == 4


def test_the_picture_has_every_sample_and_the_stall() -> None:
    svg = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(picture(memory(*FLAT)))  # noqa: S314 - made here

    line = root.find(f"{svg}polyline")
    stall = root.find(f"{svg}rect")
    assert line is not None
    assert stall is not None
    assert len(line.attrib["points"].split()) == len(FLAT)
    assert float(stall.attrib["width"]) > 0


def test_a_run_is_a_row_with_what_does_not_hold() -> None:
    good = memory(*FLAT)
    bad = replace(good, failures=["lost"])

    shown = list(rows([good, bad]))[2:]

    assert all("| 1,000 | 99 s | 1,000 | 1,000 |" in row for row in shown)
    assert [row.endswith("| **lost** |") for row in shown] == [False, True]
