"""Streams in which nothing drifts, and whose events depend on each other or on the hour."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sidecar.bundle.manifest import Feature, FeatureType, ReferenceProfile, Task
from sidecar.bundle.profile import build_profile, reference_cells
from sidecar.bundle.seasonal import SlotCounts
from sidecar.bundle.timed import add_time
from sidecar.events import Features, Float64Column
from sidecar.monitors.calibration import Calibration
from sidecar.monitors.reference import Reference, Watched, watched_subjects
from sidecar.monitors.windows import Window
from sidecar.stats.cells import CountingTable

HOUR_MS = 3_600_000
WEEK = 168
MONDAY_MS = 1_767_571_200_000
"""2026-01-05T00:00:00Z."""
NAMES = ("a", "b", "c", "d")
FEATURES = tuple(Feature(name=name, type=FeatureType.FLOAT) for name in NAMES)

Process = Callable[[Generator, NDArray[np.int64]], Float64Column]
"""Gives one feature of the events of each hour, from the hours of the events."""


def independent(rng: Generator, hours: NDArray[np.int64]) -> Float64Column:
    return rng.normal(size=len(hours))


def twenty_of_each_user(rng: Generator, hours: NDArray[np.int64]) -> Float64Column:
    users = np.repeat(rng.normal(size=len(hours) // 20), 20)
    return users + 0.01 * rng.normal(size=len(hours))


def daily_wave(rng: Generator, hours: NDArray[np.int64]) -> Float64Column:
    """The mean goes up and down by 0.2 standard deviations in a day."""
    return rng.normal(size=len(hours)) + 0.2 * np.sin(2 * np.pi * hours / 24)


def weekly_wave(rng: Generator, hours: NDArray[np.int64]) -> Float64Column:
    """Half a standard deviation by the hour of the day, one more at the weekend."""
    weekend = hours % WEEK >= 120
    return rng.normal(size=len(hours)) + 0.5 * np.sin(2 * np.pi * hours / 24) + weekend


class Stream:
    """Rows of four such features, so many in each hour."""

    def __init__(self, process: Process, seed: int, weeks: int, rows_per_hour: int) -> None:
        rng = np.random.default_rng(seed)
        self.hours = np.repeat(np.arange(weeks * WEEK), rows_per_hour)
        self.matrix = np.column_stack([process(rng, self.hours) for _ in NAMES])
        within = np.tile(np.arange(rows_per_hour) * HOUR_MS // rows_per_hour, weeks * WEEK)
        self.times_ms = MONDAY_MS + self.hours * HOUR_MS + within

    def reference(
        self, *, seasonal: bool = False, lengths_ms: tuple[int, ...] = (HOUR_MS,)
    ) -> tuple[ReferenceProfile, SlotCounts | None]:
        """Count the rows as a bundle does."""
        columns, score = Features(self.matrix, {}), np.zeros(len(self.matrix))
        profile = build_profile(FEATURES, columns, score, {}, None, (), Task.REGRESSION)
        cells = reference_cells(profile, columns, score, {}, None)
        times = self.times_ms.astype(np.float64)
        return add_time(profile, cells, times, lengths_ms, seasonal=seasonal)

    def windows(self, subjects: tuple[Watched, ...], shift: float = 0.0) -> list[Window]:
        """Count each hour as a window, as the monitor does."""
        table = CountingTable([one.layout for one in subjects])
        per_hour = np.split(self.matrix + shift, np.flatnonzero(np.diff(self.hours)) + 1)
        return [
            Window(
                HOUR_MS,
                MONDAY_MS + hour * HOUR_MS,
                MONDAY_MS + (hour + 1) * HOUR_MS,
                table.count(rows),
                len(rows),
            )
            for hour, rows in enumerate(per_hour)
        ]


def watched(profile: ReferenceProfile) -> tuple[Watched, ...]:
    """The four features and nothing else."""
    return watched_subjects(profile, NAMES, "max_probability")[: len(NAMES)]


def hourly(profile: ReferenceProfile, reference: Reference) -> Calibration:
    """What the bundle knows of windows of an hour."""
    return Calibration.of_bundle(
        profile, reference.kind, HOUR_MS, reference.subjects, "max_probability"
    )
