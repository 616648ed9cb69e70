"""How often a clean window passes a critical value that chance passes in 1 % of windows."""

import msgspec
import numpy as np

from loadtests.drift.simulation.worlds import Normal, World
from sidecar.bundle.manifest import NumericProfile, ReferenceProfile
from sidecar.config.settings import MonitorSettings
from sidecar.monitors.calibration import Calibration
from sidecar.monitors.compare import Comparison, compare
from sidecar.monitors.reference import Reference, watched_subjects
from sidecar.monitors.windows import Window
from sidecar.stats.cells import Counts, NumericCells
from sidecar.stats.overdispersion import overdispersion

HOUR_MS = 3_600_000
FIXED = (0.1, 0.25)
"""The customary limits of the population stability index."""

_SETTINGS = MonitorSettings(min_records=1)


class Level(msgspec.Struct, frozen=True):
    """Shares of clean windows that pass a limit, for one kind of events and size of window."""

    world: str
    records: int
    """Of each window."""
    windows: int
    """Clean windows that were compared, over all features."""
    overdispersion: float
    """Measured on the reference windows; the median of the features."""
    independent: float
    """Share past the critical value of independent events."""
    calibrated: float
    """Share past the calibrated critical value."""
    error: float
    """Standard error of `calibrated` between features: chance of the windows, and of the
    calibration that all windows of a feature share."""
    tolerated: float
    """Share that shows, at the same rate, a true index above `drift.warning_delta`."""
    fixed: tuple[float, ...]
    """Share past each limit of `FIXED`."""


def measure(
    name: str,
    normal: Normal,
    world: World,
    rng: np.random.Generator,
    *,
    records: int,
    windows: int,
    features: int,
) -> Level:
    """Calibrate on clean windows of one hour, then compare as many others.

    Args:
        name: Of the world.
        normal: Its feature.
        world: Gives the windows.
        rng: Of all chance.
        records: Of each window.
        windows: Of the reference, and again to compare: whole days.
        features: Independent of each other.
    """
    known = _drawn(world, rng, windows, records, features)
    reference = reference_of(normal, known.sum(axis=0))
    found = overdispersion([with_rest(reference, known)], reference.stack().groups)
    fresh = _drawn(world, rng, windows, records, features)
    plain = _compared(reference, Calibration.uncalibrated(features), fresh)
    calibrated = _compared(
        reference, Calibration("learned", found.windows, found.factors), fresh
    )
    rates = (calibrated.psi > calibrated.psi_critical).mean(axis=0)
    return Level(
        world=name,
        records=records,
        windows=windows * features,
        overdispersion=float(np.median(found.factors)),
        independent=float((plain.psi > plain.psi_critical).mean()),
        calibrated=float(rates.mean()),
        error=float(rates.std(ddof=1) / np.sqrt(features)),
        tolerated=float((calibrated.p_warning < calibrated.rate).mean()),
        fixed=tuple(float((plain.psi > limit).mean()) for limit in FIXED),
    )


def reference_of(normal: Normal, counts: Counts) -> Reference:
    """Give what windows of some features are compared with.

    Args:
        normal: Each of the features.
        counts: Of the reference, one row per feature.
    """
    names = [f"feature_{at}" for at in range(len(counts))]
    profile = ReferenceProfile(
        records=int(counts[0].sum()),
        features={
            name: numeric_profile(normal.layout, own)
            for name, own in zip(names, counts, strict=True)
        },
        score=numeric_profile(normal.layout, counts[0]),
        confidence={},
        label=None,
    )
    watched = watched_subjects(profile, names, "max_probability")
    return Reference([each for each in watched if each.subject == "feature"])


def numeric_profile(cells: NumericCells, counts: Counts) -> NumericProfile:
    """Give the profile of a column from its counts by cell."""
    return NumericProfile(
        centre=cells.centre,
        edges=cells.edges,
        minimum=cells.minimum,
        maximum=cells.maximum,
        counts=tuple(counts.tolist()),
        # The Wasserstein distance needs these, which is not looked at here.
        mean=cells.centre,
        sd=1.0,
        low=cells.minimum,
        high=cells.maximum,
    )


def _drawn(
    world: World, rng: np.random.Generator, windows: int, records: int, features: int
) -> Counts:
    """Give counts by window, feature and cell."""
    drawn = [world(rng, windows, records) for _ in range(features)]
    counts: Counts = np.stack(drawn, axis=1)
    return counts


def with_rest(reference: Reference, windows: Counts) -> tuple[Counts, Counts]:
    """Give the rest of the reference beside each of its windows, and the windows, by group."""
    groups = reference.stack(len(windows)).to_groups(windows.ravel())
    by_window = groups.reshape(len(windows), -1)
    return by_window.sum(axis=0) - by_window, by_window


def _compared(reference: Reference, calibration: Calibration, counts: Counts) -> Comparison:
    windows = [
        Window(HOUR_MS, at * HOUR_MS, (at + 1) * HOUR_MS, each.ravel())
        for at, each in enumerate(counts)
    ]
    return compare(reference, windows, [calibration] * len(windows), _SETTINGS)
