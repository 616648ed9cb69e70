"""How many panes pass between a shift of one of twenty features and the first word of it."""

import statistics
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np

from loadtests.drift.simulation.level import FIXED
from loadtests.drift.simulation.stream import DAY_PANES, FEATURES, SETTINGS, Feed, Heard, Stream
from sidecar.bundle.manifest import ReferenceProfile
from sidecar.monitors.episodes import SEVERITIES
from sidecar.stats.cells import Counts

_WINDOWS = tuple(str(length) for length in SETTINGS.windows)


class Delay(msgspec.Struct, frozen=True):
    """How soon a shift is found."""

    shift: float
    """In standard deviations."""
    true_psi: float
    """Population stability index of the shifted feature without any chance."""
    panes: dict[str, list[int | None]]
    """By rule: panes with the shift that were over when it was found, one for each run; None
    where it was not found."""
    others: int
    """Episodes of features that had not shifted, over all runs."""
    horizon: int
    """Panes that were waited for."""

    def median(self, rule: str) -> float | None:
        """Give the median delay; None when at least half of the runs found nothing."""
        found = [self.horizon + 1 if pane is None else pane for pane in self.panes[rule]]
        middle = statistics.median(found)
        return None if middle > self.horizon else middle

    def share(self, rule: str) -> float:
        """Give the share of runs that found the shift."""
        found = self.panes[rule]
        return sum(pane is not None for pane in found) / len(found)


def rules() -> tuple[str, ...]:
    """Give the names of what is compared, in order."""
    return (
        *(f"PSI > {limit} over {window}" for window in _WINDOWS for limit in FIXED),
        *(f"{severity} over {window}" for severity in SEVERITIES for window in _WINDOWS),
        *SEVERITIES,
    )


def measure(
    feed: Feed,
    reference: ReferenceProfile,
    rng: np.random.Generator,
    shifts: Sequence[float],
    *,
    runs: int,
    horizon: int,
    progress: Callable[[str], None],
) -> list[Delay]:
    """Shift the first feature after a quiet day, once for each size of shift and run.

    The runs of different shifts have the same quiet day and the same other features.

    Args:
        feed: Gives the panes.
        reference: Of the same feed.
        rng: Of all chance.
        shifts: In standard deviations.
        runs: Of each.
        horizon: Panes that are waited for.
        progress: Told of each run.
    """
    found: dict[float, dict[str, list[int | None]]] = {
        shift: {rule: [] for rule in rules()} for shift in shifts
    }
    others = dict.fromkeys(shifts, 0)
    for run in range(1, runs + 1):
        before, after = feed.draw(rng, DAY_PANES), feed.draw(rng, horizon + 1)
        for shift in shifts:
            first, wrong = _run(reference, before, feed.shifted(rng, after, shift))
            others[shift] += wrong
            for rule in rules():
                found[shift][rule].append(first.get(rule))
        progress(f"shifts, run {run} of {runs}")
    return [
        Delay(shift, feed.true_index(shift), found[shift], others[shift], horizon)
        for shift in shifts
    ]


def _run(
    reference: ReferenceProfile, before: Counts, after: Counts
) -> tuple[dict[str, int], int]:
    """Give the pane with which each rule found the shift, and the episodes of others."""
    stream = Stream(reference)
    stream.begin(before)
    first: dict[str, int] = {}
    others: set[tuple[str, str, str]] = set()
    for pane in stream.feed(after):
        for rule in _found(stream.alerts):
            first.setdefault(rule, pane)
        others |= {
            (one.window, one.name, one.severity)
            for one in stream.alerts.episodes()
            if one.subject != "dataset" and one.name != FEATURES[0]
        }
        if len(first) == len(rules()):
            break
    return first, len(others)


def _found(alerts: Heard) -> Iterator[str]:
    """Give the rules that speak of the first feature."""
    for window, index in zip(_WINDOWS, alerts.comparison.psi[:, 0].tolist(), strict=True):
        for limit in FIXED:
            if index > limit:
                yield f"PSI > {limit} over {window}"
    for episode in alerts.episodes():
        if episode.name == FEATURES[0]:
            yield episode.severity
            yield f"{episode.severity} over {episode.window}"
