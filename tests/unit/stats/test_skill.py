import numpy as np
import pytest
from scipy import stats

from sidecar.stats.skill import brier_score, log_loss, ranking_quality


def test_ranking_quality_is_the_statistic_of_mann_and_whitney() -> None:
    random = np.random.default_rng(4)
    score = random.integers(0, 20, 400) / 20
    positive = random.random(400) < score

    expected = stats.mannwhitneyu(score[positive], score[~positive]).statistic
    expected /= positive.sum() * (~positive).sum()

    assert ranking_quality(score, positive) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("score", "expected"),
    [([0.1, 0.2, 0.8], 1.0), ([0.9, 0.8, 0.1], 0.0), ([0.5, 0.5, 0.5], 0.5)],
    ids=["perfect", "upside down", "all equal"],
)
def test_ranking_quality_at_its_ends(score: list[float], expected: float) -> None:
    assert ranking_quality(np.array(score), np.array([False, False, True])) == expected


def test_ranking_quality_needs_both_kinds() -> None:
    assert ranking_quality(np.array([0.1, 0.2]), np.array([True, True])) is None


def test_the_worst_of_three_classes_scores_two() -> None:
    assert brier_score(np.array([[1.0, 0.0, 0.0]]), np.array([1], np.int32)) == 2.0


def test_a_sure_mistake_costs_much_and_not_everything() -> None:
    loss = log_loss(np.array([[1.0, 0.0]]), np.array([1], np.int32))

    assert loss == pytest.approx(-np.log(1e-15))
