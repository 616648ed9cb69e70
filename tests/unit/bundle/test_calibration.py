import numpy as np
import pytest

from sidecar.bundle.calibration import calibrate, resolve_threshold
from sidecar.bundle.manifest import Calibration, Curve, ReliabilityBin
from sidecar.config.settings import ConfidenceSettings, TargetError
from sidecar.errors import ConfigError

STAIRS = Calibration(
    records=100,
    curves={
        "max_probability": Curve(
            threshold=(0.0, 0.6, 0.7, 0.8),
            error=(0.20, 0.10, 0.05, 0.06),
            coverage=(1.0, 0.8, 0.5, 0.3),
        )
    },
    reliability=(),
)


def settings(target: float) -> ConfidenceSettings:
    return ConfidenceSettings(threshold=TargetError(target_error=target))


def test_a_number_stands_as_it_is() -> None:
    assert resolve_threshold(None, ConfidenceSettings(threshold=0.8)) == 0.8
    assert resolve_threshold(STAIRS, ConfidenceSettings(threshold=1)) == 1.0


@pytest.mark.parametrize(
    ("target", "threshold"),
    [(0.5, 0.0), (0.2, 0.0), (0.19, 0.6), (0.06, 0.7), (0.05, 0.7)],
    ids=["no limit", "exactly all rows", "a little less", "between", "exactly the best"],
)
def test_a_target_error_takes_the_smallest_threshold_that_keeps_it(
    target: float, threshold: float
) -> None:
    assert resolve_threshold(STAIRS, settings(target)) == threshold


def test_a_target_beyond_reach_names_the_best() -> None:
    with pytest.raises(ConfigError) as error:
        resolve_threshold(STAIRS, settings(0.01))

    (finding,) = error.value.findings
    assert finding.path == "$.confidence.threshold"
    assert finding.mend == "the best that the reference rows show is 0.05; ask for no less"


def test_without_calibration_a_target_cannot_be_resolved() -> None:
    with pytest.raises(ConfigError, match="no calibration of max_probability"):
        resolve_threshold(None, settings(0.1))


def test_the_curve_counts_rows_at_or_above_each_threshold() -> None:
    # 30 rows at 0.9, of which 3 are wrong, and ten at each of 0.5 and 0.6, of which 5 are.
    confidence = np.repeat([0.9, 0.5, 0.6], [30, 10, 10])
    correct = np.concatenate([np.arange(30) >= 3, np.arange(10) >= 5, np.arange(10) >= 5])

    curve = calibrate({"max_probability": confidence}, correct).curves["max_probability"]

    assert curve == Curve(
        threshold=(0.0, 0.6, 0.9),
        error=(13 / 50, 8 / 40, 3 / 30),
        coverage=(1.0, 40 / 50, 30 / 50),
    )


def test_thresholds_with_few_rows_above_are_left_out() -> None:
    confidence = np.linspace(0.5, 1.0, 100)

    curve = calibrate({"max_probability": confidence}, np.ones(100, np.bool_)).curves[
        "max_probability"
    ]

    assert curve.coverage[0] == 1.0
    assert curve.coverage[-1] == 0.3


def test_long_curves_are_thinned_and_stay_exact() -> None:
    random = np.random.default_rng(5)
    confidence = random.random(5_000)
    correct = random.random(5_000) < confidence

    curve = calibrate({"max_probability": confidence}, correct).curves["max_probability"]

    assert len(curve.threshold) == 200
    assert list(curve.threshold) == sorted(set(curve.threshold))
    assert [(~correct[confidence >= t]).mean() for t in curve.threshold] == pytest.approx(
        curve.error
    )


def test_reliability_compares_confidence_with_accuracy() -> None:
    confidence = np.array([0.53125, 0.59375, 0.9375, 1.0])
    correct = np.array([True, False, True, True])

    calibration = calibrate({"max_probability": confidence}, correct)

    assert calibration.records == 4
    assert calibration.reliability == (
        ReliabilityBin(low=0.5, high=0.6, records=2, mean_confidence=0.5625, accuracy=0.5),
        ReliabilityBin(low=0.9, high=1.0, records=2, mean_confidence=0.96875, accuracy=1.0),
    )
