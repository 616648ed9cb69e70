"""How good answers are: measures of probabilities and values against the truth."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Truth = NDArray[np.bool_]

# The logarithm of zero would make one sure mistake outweigh everything else.
_SMALLEST = 1e-15


def ranking_quality(score: Numbers, positive: Truth) -> float | None:
    """Give the chance that a positive row scores higher than a negative one.

    The area under the receiver operating characteristic, by ranks (Mann and Whitney 1947);
    ties count one half.

    Args:
        score: Larger means more likely positive.
        positive: The truth.

    Returns:
        0 to 1, or None when all rows are of one kind.

    Example:
        >>> ranking_quality(np.array([0.1, 0.4, 0.3]), np.array([False, False, True]))
        0.5
    """
    hits = int(positive.sum())
    misses = len(positive) - hits
    if not hits or not misses:
        return None
    _, group, sizes = np.unique(score, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(sizes) - (sizes - 1) / 2
    return float((mean_ranks[group][positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def brier_score(probabilities: Numbers, truth: NDArray[np.int32]) -> float:
    """Give the mean squared distance between probabilities and the truth (Brier 1950).

    For two classes the customary half of it, which is the squared error of either class; so
    0 is perfect, and the worst is 1 for two classes and 2 for more.

    Args:
        probabilities: One row per event, one column per class.
        truth: Index of the true class.

    Example:
        >>> brier_score(np.array([[0.5, 0.5]]), np.array([0], np.int32))
        0.25
    """
    rows = np.arange(len(truth))
    squares = (probabilities**2).sum(axis=1) - 2 * probabilities[rows, truth] + 1
    return float(squares.mean()) / (2 if probabilities.shape[1] == 2 else 1)


def log_loss(probabilities: Numbers, truth: NDArray[np.int32]) -> float:
    """Give the mean of minus the logarithm of the probability of the true class, in nats.

    A probability of 0 counts as 1e-15.

    Args:
        probabilities: One row per event, one column per class.
        truth: Index of the true class.

    Example:
        >>> round(log_loss(np.array([[0.5, 0.5]]), np.array([0], np.int32)), 4)
        0.6931
    """
    of_truth = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(of_truth, _SMALLEST)).mean())


def root_mean_squared_error(value: Numbers, truth: Numbers) -> float:
    """Give the root of the mean squared error, in the unit of the values.

    Example:
        >>> root_mean_squared_error(np.array([1.0, 5.0]), np.array([1.0, 1.0])) ** 2
        8.000000000000002
    """
    return float(np.sqrt(np.mean((value - truth) ** 2)))


def mean_absolute_error(value: Numbers, truth: Numbers) -> float:
    """Give the mean absolute error, in the unit of the values.

    Example:
        >>> mean_absolute_error(np.array([1.0, 5.0]), np.array([1.0, 1.0]))
        2.0
    """
    return float(np.mean(np.abs(value - truth)))
