"""From confidence to error: what a threshold costs and buys, on labelled reference rows."""

from collections.abc import Mapping

import numpy as np

from sidecar.bundle.manifest import Calibration, Curve, ReliabilityBin
from sidecar.config.settings import ConfidenceSettings
from sidecar.errors import ConfigError, Finding
from sidecar.events import BoolColumn, Float64Column

# Fewer rows above a threshold say nothing about the error there: of 30, one wrong is 3 %.
_FEWEST_ROWS = 30
_MOST_POINTS = 200
_BINS = 10


def calibrate(confidence: Mapping[str, Float64Column], correct: BoolColumn) -> Calibration:
    """Measure the error at each threshold, for every confidence measure.

    Args:
        confidence: Confidence of each labelled row, by measure.
        correct: Whether the model was right on it.

    Returns:
        Curves with up to 200 thresholds, each one that a row has, at or above which at least
        30 rows lie; the first is 0. Reliability bins are of the probability of the answer.
    """
    return Calibration(
        records=len(correct),
        curves={
            str(measure): _curve(column, correct) for measure, column in confidence.items()
        },
        reliability=_reliability(confidence["max_probability"], correct),
    )


def resolve_threshold(calibration: Calibration | None, settings: ConfidenceSettings) -> float:
    """Give the confidence below which the model may not answer.

    A number stands as it is. For a target error it is the smallest threshold at which the
    share of wrong answers, among the reference rows at or above it, is not larger.

    Args:
        calibration: Of the bundle; None when its reference rows had no labels.
        settings: Measure and threshold.

    Raises:
        ConfigError: There is nothing to look it up in, or no threshold is good enough.
    """
    threshold = settings.threshold
    if isinstance(threshold, (int, float)):
        return float(threshold)
    target = threshold.target_error
    curve = calibration.curves.get(settings.measure) if calibration is not None else None
    if curve is None:
        raise _unresolved(
            f"the bundle has no calibration of {settings.measure}",
            "build the bundle from labelled rows (--label), or give a number",
        )
    good = np.flatnonzero(np.asarray(curve.error) <= target)
    if not good.size:
        best = min(curve.error)
        raise _unresolved(
            f"no threshold of {settings.measure} brings the error down to {target:g}",
            f"the best that the reference rows show is {best:.4g}; ask for no less",
        )
    return curve.threshold[int(good[0])]


def _curve(confidence: Float64Column, correct: BoolColumn) -> Curve:
    order = np.argsort(confidence, kind="stable")
    ascending = confidence[order]
    # wrong[k]: wrong answers among the rows from position k up.
    wrong = np.cumsum(~correct[order][::-1])[::-1]
    first = np.unique(ascending, return_index=True)[1]
    above = len(ascending) - first
    starts = first[above >= _FEWEST_ROWS]
    if len(starts) > _MOST_POINTS:
        picks = np.linspace(0, len(starts) - 1, _MOST_POINTS).round().astype(np.int64)
        starts = starts[picks]
    starts = starts if starts.size else first[:1]
    above = len(ascending) - starts
    thresholds = ascending[starts]
    thresholds[0] = 0.0  # all rows lie above the smallest confidence, and above nothing at all
    return Curve(
        threshold=tuple(thresholds.tolist()),
        error=tuple((wrong[starts] / above).tolist()),
        coverage=tuple((above / len(ascending)).tolist()),
    )


def _reliability(confidence: Float64Column, correct: BoolColumn) -> tuple[ReliabilityBin, ...]:
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    return tuple(
        ReliabilityBin(
            low=number / _BINS,
            high=(number + 1) / _BINS,
            records=int(inside.sum()),
            mean_confidence=float(confidence[inside].mean()),
            accuracy=float(correct[inside].mean()),
        )
        for number in range(_BINS)
        if (inside := bins == number).any()
    )


def _unresolved(message: str, mend: str) -> ConfigError:
    finding = Finding("$.confidence.threshold", message, mend)
    return ConfigError("the confidence threshold cannot be resolved", [finding])
