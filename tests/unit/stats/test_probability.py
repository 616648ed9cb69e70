import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy import special
from scipy import stats as scipy_stats

from sidecar.stats.probability import MEASURES, Measure, confidence, sigmoid, softmax

LOGITS = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, min_side=2), elements=st.floats(-1e4, 1e4)
)


@given(LOGITS)
def test_softmax_and_sigmoid_are_those_of_scipy(logits: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(softmax(logits), special.softmax(logits, axis=1), atol=1e-15)
    # scipy gives 0 already where the smallest numbers begin.
    np.testing.assert_allclose(sigmoid(logits), special.expit(logits), rtol=1e-14, atol=1e-300)


def test_what_is_not_finite_spoils_its_own_row_only() -> None:
    shares = softmax(np.array([[np.inf, 0.0], [np.nan, 0.0], [0.0, 0.0]]))

    np.testing.assert_array_equal(shares, [[np.nan] * 2, [np.nan] * 2, [0.5, 0.5]])


@pytest.mark.parametrize("measure", MEASURES)
@given(logits=LOGITS)
def test_confidence_is_between_nothing_and_one(
    measure: Measure,
    logits: NDArray[np.float64],
) -> None:
    shares = softmax(logits)
    chosen = shares.argmax(axis=1).astype(np.int32)

    found = confidence(shares, chosen, measure)

    assert ((found >= 0) & (found <= 1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("measure", "sure", "unsure"),
    [("max_probability", 1.0, 0.25), ("margin", 1.0, 0.0), ("entropy", 1.0, 0.0)],
)
def test_confidence_at_its_ends(measure: Measure, sure: float, unsure: float) -> None:
    shares = np.array([[0.0, 1.0, 0.0, 0.0], [0.25] * 4])

    found = confidence(shares, np.array([1, 2], np.int32), measure)

    assert found.tolist() == pytest.approx([sure, unsure])


def test_entropy_is_that_of_scipy() -> None:
    shares = np.array([[0.5, 0.3, 0.2]])

    found = confidence(shares, np.array([0], np.int32), "entropy")

    expected = 1 - scipy_stats.entropy(shares[0], base=3)
    assert found.tolist() == pytest.approx([expected])


def test_the_margin_of_an_answer_that_is_not_the_most_probable_is_nothing() -> None:
    shares = np.array([[0.6, 0.4]])

    assert confidence(shares, np.array([1], np.int32), "margin").tolist() == [0.0]
