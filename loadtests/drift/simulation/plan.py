"""How much is simulated, and the run of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from loadtests.drift.simulation import delay, level, quiet
from loadtests.drift.simulation.delay import Delay
from loadtests.drift.simulation.level import Level
from loadtests.drift.simulation.quiet import Quiet
from loadtests.drift.simulation.stream import DAY_PANES, Feed
from loadtests.drift.simulation.worlds import (
    Normal,
    World,
    clustered,
    independent,
    seasonal,
)

Progress = Callable[[str], None]

_HOURS = 24


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate."""

    records: tuple[int, ...]
    """Events of a window, where levels are measured."""
    windows: int
    """Of the reference, and as many to compare: whole days of hours."""
    features: int
    """Independent of each other, where levels are measured."""
    days: Mapping[str, int]
    """Quiet days, by world."""
    shifts: tuple[float, ...]
    """In standard deviations."""
    runs: int
    """Of each shift."""
    horizon: int
    """Panes that are waited for a shift to be found."""
    reference_days: int
    """Of the reference of quiet days and shifts; at least 10, for the window of a day."""


LONG = Plan(
    records=(100, 300, 1_000, 3_000, 10_000, 30_000, 100_000),
    windows=168,
    features=60,
    days={"independent": 60, "clustered": 20, "seasonal": 20},
    shifts=(0.15, 0.3, 0.5, 1.0),
    runs=60,
    horizon=300,
    reference_days=14,
)
SHORT = Plan(
    records=(1_000, 10_000),
    windows=168,
    features=20,
    days={"independent": 1},
    shifts=(0.5, 1.0),
    runs=5,
    horizon=60,
    reference_days=11,
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of a plan."""

    levels: list[Level]
    quiet: list[Quiet]
    delays: list[Delay]


def run(plan: Plan, seed: int, progress: Progress = lambda done: None) -> Findings:
    """Simulate a plan; the same seed gives the same findings.

    Args:
        plan: What to simulate.
        seed: Of all chance.
        progress: Told of each part that is done.
    """
    normal = Normal()
    findings = Findings([], [], [])
    for number, (name, world) in enumerate(worlds(normal, _HOURS).items()):
        for records in plan.records:
            findings.levels.append(
                level.measure(
                    name,
                    normal,
                    world,
                    np.random.default_rng([seed, 0, number, records]),
                    records=records,
                    windows=plan.windows,
                    features=plan.features,
                )
            )
            progress(f"level, {name}, {records:,} events a window")
    for number, (name, days) in enumerate(plan.days.items()):
        feed = Feed(normal, worlds(normal, DAY_PANES)[name])
        rng = np.random.default_rng([seed, 1, number])
        reference = feed.reference(rng, plan.reference_days)
        findings.quiet.append(quiet.measure(name, feed, reference, rng, days, progress))
    feed = Feed(normal, independent(normal))
    rng = np.random.default_rng([seed, 2])
    reference = feed.reference(rng, plan.reference_days)
    findings.delays.extend(
        delay.measure(
            feed,
            reference,
            rng,
            plan.shifts,
            runs=plan.runs,
            horizon=plan.horizon,
            progress=progress,
        )
    )
    return findings


def worlds(normal: Normal, a_day: int) -> dict[str, World]:
    """Give all kinds of events.

    Args:
        normal: The feature.
        a_day: Windows, or panes, of a day.
    """
    return {
        "independent": independent(normal),
        "clustered": clustered(normal),
        "seasonal": seasonal(normal, a_day),
    }
