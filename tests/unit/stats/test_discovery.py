import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sidecar.stats.discovery import benjamini_hochberg

p_values = st.lists(st.floats(0, 1) | st.sampled_from([0.001, 0.01, 0.02]), max_size=60)


@given(p_values, st.sampled_from([0.001, 0.01, 0.05, 0.2]))
def test_what_is_rejected_is_what_scipy_rejects(p: list[float], rate: float) -> None:
    mask = benjamini_hochberg(np.array(p), rate)

    adjusted = stats.false_discovery_control(p) if p else np.array([])
    clear = np.abs(adjusted - rate) > 1e-12  # rounding decides the others
    assert mask[clear].tolist() == (adjusted <= rate)[clear].tolist()


@given(p_values, st.lists(st.integers(0, 60), max_size=5))
def test_what_is_not_known_takes_no_part(p: list[float], places: list[int]) -> None:
    known = np.array(p, np.float64)
    with_gaps = np.insert(known, [min(at, len(p)) for at in places], np.nan)

    mask = benjamini_hochberg(with_gaps, 0.05)

    assert not mask[np.isnan(with_gaps)].any()
    assert mask[~np.isnan(with_gaps)].tolist() == benjamini_hochberg(known, 0.05).tolist()


def test_a_chance_too_large_alone_is_rejected_with_those_below_it() -> None:
    # 0.03 is above 0.05 * 2/4, and 0.04 is not above 0.05 * 4/4: the step is up from the end.
    mask = benjamini_hochberg(np.array([0.04, 0.03, 0.012, 0.01]), 0.05)

    assert mask.tolist() == [True, True, True, True]


def test_the_share_of_false_rejections_is_kept() -> None:
    rng = np.random.default_rng(8)
    shares = []
    for _ in range(2_000):
        p = rng.random(40)
        p[:10] = stats.norm.sf(rng.normal(3, 1, 10))
        mask = benjamini_hochberg(p, 0.1)
        shares.append(int(mask[10:].sum()) / max(1, int(mask.sum())))

    # The share of true nulls times the rate, with a standard error of about 0.002.
    assert np.mean(shares) == pytest.approx(0.075, abs=0.008)
