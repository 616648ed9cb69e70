"""How many cores so many events need: a line through what was measured, and room above it.

    cores = events/s x (base + each x features + model) / 10^6 / USE

`base` and `each` are the line that fits the runs by number of features best, in microseconds
of CPU. Their model, a logistic regression, costs next to nothing; what one's own model costs
for an event is `model`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

USE = 0.7
"""Share of its cores that a process is planned to use: the rest is for peaks and for catching
up after a restart."""
FEATURES = (16, 64, 256)
MODELS_US = {"a linear model": 0.0, "3 µs": 3.0, "20 µs": 20.0, "100 µs": 100.0}
"""What a model may cost for an event, in microseconds."""
RATE = 10_000


class Costs(NamedTuple):
    """Microseconds of CPU for an event, without the model."""

    base: float
    each: float
    """For each feature."""

    def of(self, features: int, model_us: float = 0.0) -> float:
        """Give the microseconds of an event."""
        return self.base + self.each * features + model_us


def fit(points: Sequence[tuple[int, float]]) -> Costs | None:
    """Put a line through numbers of features and microseconds; None for fewer than two.

    Errors count by their share of the cost: 256 features cost many times what 16 do, and the
    line must be right for both.
    """
    if len(points) < 2:
        return None
    features, costs = np.array(points, np.float64).T
    each, base = np.polyfit(features, costs, 1, w=1 / costs)
    return Costs(float(base), float(each))


def cores(rate: float, event_us: float, use: float = USE) -> float:
    """Give how many cores are needed.

    Args:
        rate: Events per second.
        event_us: CPU microseconds of an event.
        use: Share of the cores that is planned with.
    """
    return rate * event_us / 1e6 / use


def table(costs: Costs) -> list[str]:
    """Give cores for `RATE` events a second, by features and by what the model costs."""
    lines = [
        "| features | " + " | ".join(MODELS_US) + " |",
        "| ---: |" + " ---: |" * len(MODELS_US),
    ]
    for features in FEATURES:
        cells = [f"{cores(RATE, costs.of(features, us)):.2f}" for us in MODELS_US.values()]
        lines.append(f"| {features} | " + " | ".join(cells) + " |")
    return [
        *lines,
        "",
        f"base = {costs.base:.1f} µs, each = {costs.each:.3f} µs, "
        f"{USE:.0%} of each core planned with.",
    ]
