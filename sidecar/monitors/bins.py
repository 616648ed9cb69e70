"""Names for people of the bins that pictures show."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MISSING = "missing"
UNSEEN = "unseen"
OUT_OF_RANGE = "out of range"
OTHER = "other"
MOST_CATEGORIES = 20


def numeric_bins(edges: tuple[float, ...], low: float, high: float) -> tuple[str, ...]:
    """Name the bins of a number: those between the edges, out of range, missing.

    Args:
        edges: Inner edges, ascending.
        low: Smallest value of the reference; names the only bin where there is no edge.
        high: Largest value of the reference.

    Example:
        >>> numeric_bins((18.0, 23.5), 0.0, 99.0)
        ('< 18', '18 to 23.5', '>= 23.5', 'out of range', 'missing')
    """
    texts = _distinct(edges)
    if not texts:
        return (f"{low:.6g} to {high:.6g}", OUT_OF_RANGE, MISSING)
    between = (f"{at} to {next_at}" for at, next_at in pairwise(texts))
    return (f"< {texts[0]}", *between, f">= {texts[-1]}", OUT_OF_RANGE, MISSING)


def category_bins(
    categories: tuple[str | int | bool, ...], counts: tuple[int, ...]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Name the bins of a category: the most frequent of them, the others, unseen, missing.

    Args:
        categories: What the reference has.
        counts: How often it has each, then unseen, then missing.

    Returns:
        The names, and for each of `counts` the position of its name.

    Example:
        >>> category_bins(("red", True), (5, 3, 0, 0))
        (('red', 'true', 'unseen', 'missing'), array([0, 1, 2, 3]))
    """
    by_count = np.argsort(-np.array(counts[: len(categories)], np.int64), kind="stable")
    shown = np.sort(by_count[:MOST_CATEGORIES])
    other = (OTHER,) if len(categories) > MOST_CATEGORIES else ()
    names = (*(_text(categories[at]) for at in shown), *other, UNSEEN, MISSING)
    bins = np.full(len(counts), len(shown), np.int64)
    bins[shown] = np.arange(len(shown))
    bins[-2:] = len(names) - 2, len(names) - 1
    return names, bins


def _distinct(edges: tuple[float, ...]) -> list[str]:
    """Write numbers with as few digits as tell them apart, but at least six."""
    written = ([f"{edge:.{digits}g}" for edge in edges] for digits in range(6, 18))
    # Seventeen digits tell any two floats apart.
    return next(texts for texts in written if len(set(texts)) == len(texts))


def _text(category: str | int | bool) -> str:
    """Write a category as the wire does, set apart from the names of the other bins."""
    text = str(category).lower() if isinstance(category, bool) else str(category)
    return repr(text) if text in {"", OTHER, UNSEEN, MISSING} else text
