import numpy as np
import pytest

from sidecar.stats.segments import Segments


def test_each_vector_is_treated_for_itself() -> None:
    segments = Segments([2, 1, 3])
    values = np.array([1, 2, 9, 4, 6, 5])

    assert segments.sum(values).tolist() == [3, 9, 15]
    assert segments.max(values).tolist() == [2, 9, 6]
    assert segments.spread(np.array([7, 8, 9])).tolist() == [7, 7, 8, 9, 9, 9]
    assert [values[where].tolist() for where in segments.slices] == [[1, 2], [9], [4, 6, 5]]


def test_shares_of_nothing_are_zero() -> None:
    assert Segments([2, 2]).shares(np.array([0, 0, 1, 3])).tolist() == [0, 0, 0.25, 0.75]


def test_an_empty_vector_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one entry"):
        Segments([2, 0])
