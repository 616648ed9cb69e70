"""How many episodes of drift begin in days in which nothing drifts."""

from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np

from loadtests.drift.simulation.stream import DAY_PANES, Feed, Stream
from sidecar.bundle.manifest import ReferenceProfile


class Quiet(msgspec.Struct, frozen=True):
    """Episodes of days in which nothing drifts, for one kind of events."""

    world: str
    days: int
    overdispersion: dict[str, float]
    """By window; the median of the features."""
    episodes: dict[str, int]
    """Those that began, of features and the score, by window and severity: `5m warning`."""

    significant: int
    """Times that, over any window, the index of any subject passed its critical value."""

    @property
    def a_day(self) -> float:
        """Episodes a day, of all windows and severities."""
        return sum(self.episodes.values()) / self.days


def measure(
    name: str,
    feed: Feed,
    reference: ReferenceProfile,
    rng: np.random.Generator,
    days: int,
    progress: Callable[[str], None],
) -> Quiet:
    """Let days pass, with an evaluation at each of their 1,440 panes.

    Args:
        name: Of the world.
        feed: Gives its panes.
        reference: Of the same feed.
        rng: Of all chance.
        days: Evaluated; a day before them fills the windows.
        progress: Told of each day.
    """
    stream = Stream(reference)
    significant, was_past = 0, False
    stream.begin(feed.draw(rng, DAY_PANES))
    for day in range(1, days + 1):
        for _ in stream.feed(feed.draw(rng, DAY_PANES)):
            found = stream.alerts.comparison
            past = bool((found.psi > found.psi_critical).any())
            significant += past and not was_past
            was_past = past
        progress(f"quiet days, {name}, {day} of {days}")
    counts: Counter[str] = Counter()
    for each in stream.alerts.counts():
        if each.subject != "dataset":
            counts[f"{each.window} {each.severity}"] += each.count
    snapshot = stream.monitor.snapshot()
    return Quiet(
        world=name,
        days=days,
        overdispersion={
            window.window: float(np.median([one.overdispersion for one in window.subjects]))
            for window in snapshot.windows
        },
        episodes=dict(counts),
        significant=significant,
    )
