"""Twenty numeric columns of five shapes. Every contestant imports it: it needs numpy only."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

NAMES: tuple[str, ...] = tuple(
    f"{shape}_{number}"
    for number in range(4)
    for shape in ("normal", "lognormal", "uniform", "gamma", "bimodal")
)
"""The columns, in order."""
REFERENCE_ROWS = 50_000
WINDOW_ROWS = (10_000, 100_000)

_SEED = 20_261_125


def reference() -> Rows:
    """Give the rows that windows are compared with: one column per name."""
    return _rows(np.random.default_rng([_SEED, 0]), REFERENCE_ROWS)


def window(rows: int, number: int) -> Rows:
    """Give rows from the same distributions: nothing drifts.

    Args:
        rows: How many.
        number: Another number gives other rows, so that no processor learns them by heart.
    """
    return _rows(np.random.default_rng([_SEED, rows, number + 1]), rows)


def _rows(rng: np.random.Generator, count: int) -> Rows:
    return np.column_stack([_column(rng, name.partition("_")[0], count) for name in NAMES])


def _column(rng: np.random.Generator, shape: str, count: int) -> NDArray[np.float64]:
    if shape == "normal":
        return rng.normal(40.0, 12.0, count)
    if shape == "lognormal":
        return rng.lognormal(6.5, 1.1, count)
    if shape == "uniform":
        return rng.uniform(0.0, 1.0, count)
    if shape == "gamma":
        return rng.gamma(2.0, 30.0, count)
    side = rng.random(count) < 0.4
    return np.where(side, rng.normal(-2.0, 1.0, count), rng.normal(3.0, 1.5, count))
