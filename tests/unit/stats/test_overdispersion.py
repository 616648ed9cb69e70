import numpy as np
import pytest
from scipy.stats import chi2

from sidecar.stats.cells import Counts
from sidecar.stats.critical import psi_critical
from sidecar.stats.distances import population_stability_index
from sidecar.stats.groups import merge_rare
from sidecar.stats.overdispersion import overdispersion
from sidecar.stats.segments import Segments

TEN_AND_TWO = Segments([10, 2])


def drawn(windows: int, records: int, of_each: int = 1, seed: int = 1) -> tuple[Counts, Counts]:
    """Windows and rests of two subjects, of which each event comes so many times."""
    rng = np.random.default_rng(seed)
    sizes = windows, records // of_each
    parts = [
        rng.multinomial(sizes[1], [1 / groups] * groups, windows) * of_each
        for groups in (10, 2)
    ]
    whole = np.concatenate(parts, axis=1)
    return whole.sum(axis=0) - whole, whole


def test_independent_events_have_a_factor_of_one() -> None:
    found = overdispersion([drawn(400, 2_000)], TEN_AND_TWO)

    assert found.windows == 400
    # The 99 % point of so many chi-square variables over the true one, within four deviations.
    degrees = np.array([9, 1])
    point = chi2.ppf(0.99, degrees)
    deviations = np.sqrt(0.0099 / 400) / chi2.pdf(point, degrees) / point
    assert (found.factors >= 1).all()
    assert (found.factors < 1 + 4 * deviations).all()


def test_events_that_come_five_times_have_a_factor_of_five() -> None:
    found = overdispersion([drawn(400, 2_000, of_each=5)], TEN_AND_TWO)

    assert found.factors[0] == pytest.approx(5, rel=0.15)
    assert found.factors[1] == pytest.approx(5, rel=0.3)


def test_a_heavy_tail_counts_for_more_than_the_mean() -> None:
    rest, windows = drawn(400, 2_000)
    windows[:8, :10] = np.repeat([40, 360], 5)  # one window in fifty lies far off

    found = overdispersion([(rest, windows)], TEN_AND_TWO)

    # Its index is 0.88: 8 / 400 of it is four times the mean by chance, all of it 80 times what
    # chance exceeds in one window of a hundred.
    assert found.factors[0] == pytest.approx(80, rel=0.05)


def test_a_further_window_exceeds_the_critical_value_once_in_a_hundred() -> None:
    # Each subject has users of its own, few of twenty events each: the tail is heavy.
    rng = np.random.default_rng(4)
    many = Segments([10] * 60)
    users = rng.multinomial(60, [0.1] * 10, (2 * 168, 60))
    known, fresh = np.split(20 * users.reshape(2 * 168, 600), 2)
    rest = known.sum(axis=0) - known

    factors = overdispersion([(rest, known)], many).factors

    whole = np.tile(known.sum(axis=0), len(fresh))
    every = Segments([10] * 60 * len(fresh))
    counts = *merge_rare(whole, fresh.ravel(), every), every
    passed = population_stability_index(*counts) / psi_critical(*counts, 0.01)
    rates = (passed.reshape(len(fresh), 60) > factors).mean(axis=0)
    error = rates.std(ddof=1) / np.sqrt(60)
    assert rates.mean() < 0.01 + 4 * error
    assert rates.mean() > 0.002


def test_blocks_are_as_good_as_the_whole() -> None:
    rest, windows = drawn(30, 500)
    blocks = [(rest[at : at + 7], windows[at : at + 7]) for at in range(0, 30, 7)]

    whole = overdispersion([(rest, windows)], TEN_AND_TWO)
    parts = overdispersion(blocks, TEN_AND_TWO)

    np.testing.assert_allclose(parts.factors, whole.factors)
    assert parts.windows == whole.windows


def test_a_subject_with_one_group_in_use_says_nothing() -> None:
    rest, windows = np.array([[900, 0]] * 20), np.array([[100, 0]] * 20)

    assert overdispersion([(rest, windows)], Segments([2])).factors.tolist() == [1.0]


def test_no_window_is_no_overdispersion() -> None:
    found = overdispersion([], TEN_AND_TWO)

    assert (found.factors.tolist(), found.windows) == ([1.0, 1.0], 0)
