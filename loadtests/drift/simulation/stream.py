"""A drift monitor that follows drawn panes, as it follows those of other processes."""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from scipy.special import betaincinv

from loadtests.drift.simulation.level import numeric_profile, reference_of
from loadtests.drift.simulation.worlds import Chances, Normal, World
from sidecar.bundle.manifest import (
    Feature,
    FeatureType,
    Manifest,
    ModelSpec,
    ReferenceProfile,
    Task,
)
from sidecar.bundle.windows import TimedCells, calibrate_windows
from sidecar.config.settings import MonitorSettings
from sidecar.events import SOURCE_NAMES, DriftKind, Source
from sidecar.monitors.alerts import Compared, DriftAlerts
from sidecar.monitors.compare import Comparison
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.windows import PaneCounts
from sidecar.stats.cells import CountingTable, Counts, uniform_cells
from sidecar.stats.distances import population_stability_index

PANE_MS = 60_000
DAY_PANES = 1_440
RECORDS = 200
"""Events of a pane."""
FEATURES = tuple(f"feature_{at}" for at in range(20))
SETTINGS = MonitorSettings()

_SCORE: tuple[DriftKind, str] = ("score", "score")
_GRID = 100_000
_BEGIN_MS = 20_000 * DAY_PANES * PANE_MS
"""Event time of the first pane of a reference, a midnight."""
_LIVE_MS = 2 * _BEGIN_MS
"""Event time of the first live pane, a midnight."""


class Feed:
    """Panes of twenty features and a score, all independent of each other."""

    def __init__(self, normal: Normal, world: World) -> None:
        """Choose where the events come from.

        Args:
            normal: Each of the features.
            world: Gives the panes of one of them.
        """
        self._normal = normal
        self._world = world
        grid = betaincinv(2.0, 4.0, (np.arange(_GRID) + 0.5) / _GRID)
        self._score = CountingTable([uniform_cells()]).count(grid[:, None]) / _GRID

    def draw(self, rng: np.random.Generator, panes: int) -> Counts:
        """Give the counts of panes one after another, all cells behind one another."""
        return np.concatenate(
            (
                *(self._world(rng, panes, RECORDS) for _ in FEATURES),
                rng.multinomial(RECORDS, self._score, size=panes),
            ),
            axis=1,
        )

    def shifted(self, rng: np.random.Generator, panes: Counts, shift: float) -> Counts:
        """Give panes in which the mean of the first feature has moved by some deviations."""
        moved = panes.copy()
        chances = self._normal.shifted(shift)
        moved[:, : len(chances)] = rng.multinomial(RECORDS, chances, size=len(panes))
        return moved

    def true_index(self, shift: float) -> float:
        """Give the population stability index of a shift when there is no chance in it."""
        still, moved = (self._normal.shifted(by) for by in (0.0, shift))
        stack = reference_of(self._normal, _many(still)[None]).stack()
        groups = stack.to_groups(_many(still)), stack.to_groups(_many(moved))
        return float(population_stability_index(*groups, stack.groups)[0])

    def reference(self, rng: np.random.Generator, days: int) -> ReferenceProfile:
        """Draw a reference and calibrate it, as `sidecar bundle build` does with its rows.

        Args:
            rng: Of all chance.
            days: Its length; a window length needs ten times itself to be calibrated.
        """
        panes = self.draw(rng, days * DAY_PANES)
        totals = panes.sum(axis=0)
        size = self._normal.layout.size
        own = [totals[at * size :][:size] for at in range(len(FEATURES))]
        score = uniform_cells()
        profile = ReferenceProfile(
            records=len(panes) * RECORDS,
            features={
                name: numeric_profile(self._normal.layout, counts)
                for name, counts in zip(FEATURES, own, strict=True)
            },
            score=numeric_profile(score, totals[len(FEATURES) * size :]),
            confidence={},
            label=None,
        )
        ends = [*(np.arange(1, len(FEATURES) + 1) * size).tolist(), len(totals)]
        lengths = [length.ms for length in SETTINGS.windows]
        found = calibrate_windows(profile, _as_rows(panes, ends), lengths, None)
        return msgspec.structs.replace(profile, calibration=found)


class Heard(DriftAlerts):
    """The alert rule, and what it was last given."""

    comparison: Comparison

    def take(self, end_ms: int, compared: Compared) -> None:
        """Take an evaluation."""
        self.comparison = compared.comparison
        super().take(end_ms, compared)


class Stream:
    """A monitor that follows the panes of another process, one after another."""

    def __init__(self, reference: ReferenceProfile) -> None:
        """Begin without events.

        Args:
            reference: What windows are compared with.
        """
        self.monitor = DriftMonitor(_manifest(), reference, SETTINGS)
        self.alerts = Heard(SETTINGS, [*(("feature", name) for name in FEATURES), _SCORE])
        self.monitor.alerts = self.alerts
        rest = np.zeros(self.monitor.windows.size, np.int64)
        # Behind the subjects: the events by source, then what is left out.
        rest[Source.MODEL - len(SOURCE_NAMES) - 3] = RECORDS
        self._rest = rest
        self._fed = 0

    def begin(self, panes: Counts) -> None:
        """Fill the windows; nothing is evaluated."""
        self.alerts.speaks = lambda: False
        self._follow(panes)
        self.alerts.speaks = lambda: True

    def feed(self, panes: Counts) -> Iterator[int]:
        """Let panes pass, and give the number of those that are over after each evaluation.

        The first evaluation is that of the panes before.
        """
        for over, pane in enumerate(panes):
            self._follow(pane[None])
            yield over

    def _follow(self, panes: Counts) -> None:
        start_ms = _LIVE_MS + self._fed * PANE_MS
        self._fed += len(panes)
        counted = {start_ms + at * PANE_MS: self._whole(pane) for at, pane in enumerate(panes)}
        newest_ms = max(counted)
        self.monitor.windows.follow(0, newest_ms, self._fed * RECORDS, counted)

    def _whole(self, pane: Counts) -> PaneCounts:
        whole = self._rest.copy()
        whole[: len(pane)] = pane
        return whole.astype(np.uint16)


def _as_rows(panes: Counts, ends: Sequence[int]) -> TimedCells:
    """Give events that are counted so: a row each, columns independent of each other."""
    starts = [0, *ends[:-1]]
    columns = [
        np.repeat(
            np.tile(np.arange(start, end, dtype=np.uint16), len(panes)),
            panes[:, start:end].ravel(),
        )
        for start, end in zip(starts, ends, strict=True)
    ]
    times = _BEGIN_MS + PANE_MS * np.repeat(np.arange(len(panes)), RECORDS)
    return TimedCells(times, np.column_stack(columns))


def _many(chances: Chances) -> Counts:
    return np.rint(chances * 1e12).astype(np.int64)


def _manifest() -> Manifest:
    return Manifest(
        format=1,
        name="drawn",
        version="1",
        created="2026-01-01T00:00:00Z",
        model=ModelSpec(task=Task.REGRESSION, inputs=(), scores=()),
        features=tuple(Feature(name=name, type=FeatureType.FLOAT) for name in FEATURES),
        files={},
    )
