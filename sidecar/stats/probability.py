"""From raw scores to probabilities, and from probabilities to one confidence per row."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]
"""One row per event, one column per class; each row adds up to one."""

Measure = Literal["max_probability", "margin", "entropy"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map log-odds to probabilities.

    The exponential is only taken of negative numbers, so nothing overflows and small
    probabilities keep their digits.

    Example:
        >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def softmax(logits: NDArray[np.float64]) -> Probabilities:
    """Map each row of scores to probabilities.

    A row with an infinite or missing score gives NaN.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0]])).tolist()
        [[0.5, 0.5]]
    """
    with np.errstate(invalid="ignore"):
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def confidence(
    probabilities: Probabilities, chosen: NDArray[np.int32], measure: Measure
) -> NDArray[np.float64]:
    """Say how sure a model is of the class it chose.

    Args:
        probabilities: At least two classes.
        chosen: Index of the class that the model answers, usually the most probable one.
        measure: `max_probability`: of the chosen class. `margin`: how far that lies above the
            next best class, 0 when another one is more probable. `entropy`: one minus the
            entropy of the row over that of a uniform one.

    Returns:
        One number in [0, 1] per row, more is surer; NaN where a probability is.

    Example:
        >>> row = np.array([[0.75, 0.25]])
        >>> confidence(row, np.array([0], np.int32), "margin").tolist()
        [0.5]
    """
    rows = np.arange(len(probabilities))
    sure: NDArray[np.float64] = probabilities[rows, chosen]
    if measure == "entropy":
        sure = 1.0 - _entropy(probabilities) / np.log(probabilities.shape[1])
    elif measure == "margin":
        others = probabilities.copy()
        others[rows, chosen] = -np.inf
        sure = sure - others.max(axis=1)
    np.clip(sure, 0.0, 1.0, out=sure)
    return sure


def _entropy(probabilities: Probabilities) -> NDArray[np.float64]:
    # 0 · ln 0 is 0, the limit; a NaN stays one.
    logs = np.log(np.where(probabilities == 0, 1.0, probabilities))
    entropy: NDArray[np.float64] = -(probabilities * logs).sum(axis=1)
    return entropy
