"""Figures that others published, out of the product's formulas on counts.

Over the bins that were published with them the formulas give the printed digits. Over the
product's own cells, which are its state, they keep what the cells promise.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sidecar.stats.cells import CategoryCells, CountingTable, Counts, numeric_cells
from sidecar.stats.critical import psi_mean
from sidecar.stats.discovery import benjamini_hochberg
from sidecar.stats.distances import (
    chi_square,
    hellinger_distance,
    jensen_shannon_distance,
    kolmogorov_smirnov_distance,
    population_stability_index,
    wasserstein_distance,
)
from sidecar.stats.groups import merge_rare, quantile_groups
from sidecar.stats.segments import Numbers, Segments
from sidecar.stats.tails import chi_square_tail, noncentral_tail
from tests.published import Columns, car_loan, figures

Values = NDArray[Any]
Counter = Callable[[Values], Counts]

CAR_LOAN = figures()["car_loan"]
RATIO = CAR_LOAN["debt_to_income_ratio"]
COLUMNS = tuple(CAR_LOAN["js_alert_counts"])
SHIFTED = {
    "car_value",
    "salary_range",
    "loan_length",
    "repaid_loan_on_prev_car",
    "y_pred_proba",
}


def is_number(column: Values) -> bool:
    return np.issubdtype(column.dtype, np.number)


def chunks(column: Values) -> list[Values]:
    size = CAR_LOAN["chunk_size"]
    return [column[start : start + size] for start in range(0, len(column), size)]


def by_chunk(column: Values, count: Counter, reference: Counts, distance: Any) -> Numbers:
    one = Segments([len(reference)])
    return np.array([distance(reference, count(chunk), one)[0] for chunk in chunks(column)])


def alerts(scores: Numbers, on_reference: Numbers) -> list[int]:
    """Give the chunks above the mean and three standard deviations of the reference's."""
    upper = on_reference.mean() + 3 * on_reference.std()
    return np.flatnonzero(scores > upper).tolist()


# --- the published bins ----------------------------------------------------------------------


def between(edges: NDArray[np.float64]) -> Counter:
    """Count below the edges, between them and above them."""

    def count(values: Values) -> Counts:
        inside = np.histogram(values, edges)[0]
        outside = np.sum(values < edges[0]), np.sum(values > edges[-1])
        return np.concatenate((outside[:1], inside, outside[1:]))

    return count


def one_more_for_outside(count: Counter) -> Counter:
    def merged(values: Values) -> Counts:
        counts = count(values)
        return np.append(counts[1:-1], counts[0] + counts[-1])

    return merged


def by_category(reference: Values) -> Counter:
    categories = np.unique(reference)

    def count(values: Values) -> Counts:
        known = [np.sum(values == category) for category in categories]
        return np.array([*known, len(values) - sum(known)])

    return count


def js_bins(reference: Values) -> Counter:
    """Doane's bins and one for what lies outside; a bin per value where there are few."""
    if not is_number(reference) or len(np.unique(reference)) <= 50:
        return by_category(reference)
    return one_more_for_outside(between(np.histogram_bin_edges(reference, bins="doane")))


def js_scores(name: str) -> tuple[Numbers, Numbers]:
    """Give the distances of the chunks of the analysis and of the reference."""
    reference, analysis = car_loan("reference")[name], car_loan("analysis")[name]
    count = js_bins(reference)
    counts = count(reference)
    return (
        by_chunk(analysis, count, counts, jensen_shannon_distance),
        by_chunk(reference, count, counts, jensen_shannon_distance),
    )


def test_ks_of_car_loans_is_the_published_one() -> None:
    name = "debt_to_income_ratio"
    reference, analysis = car_loan("reference")[name], car_loan("analysis")[name]
    count = between(np.histogram_bin_edges(reference, bins=10_000))
    counts = count(reference)

    scores = by_chunk(analysis, count, counts, kolmogorov_smirnov_distance)
    own = by_chunk(reference, count, counts, kolmogorov_smirnov_distance)

    assert scores.tolist() == pytest.approx(RATIO["ks"], abs=5e-9)
    assert own.mean() + 3 * own.std() == pytest.approx(RATIO["ks_upper_threshold"], abs=5e-8)
    assert alerts(scores, own) == RATIO["ks_alerts"]


def test_js_of_car_loans_is_the_published_one() -> None:
    scores, own = js_scores("debt_to_income_ratio")

    assert scores.tolist() == pytest.approx(RATIO["js"], abs=5.1e-8)
    assert own.mean() + 3 * own.std() == pytest.approx(RATIO["js_upper_threshold"], abs=5.1e-8)
    assert alerts(scores, own) == RATIO["js_alerts"]


@pytest.mark.parametrize("name", COLUMNS)
def test_js_alerts_on_car_loans_are_the_published_ones(name: str) -> None:
    scores, own = js_scores(name)

    assert len(alerts(scores, own)) == CAR_LOAN["js_alert_counts"][name]


def test_js_is_that_of_the_scipy_reference() -> None:
    case = figures()["scipy"]["jensenshannon"]

    bits = jensen_shannon_distance(np.array(case["p"]), np.array(case["q"]), Segments([2]))

    assert bits[0] * math.sqrt(math.log(2)) == pytest.approx(case["distance"], rel=1e-12)


def test_wasserstein_is_that_of_the_scipy_reference() -> None:
    case = figures()["scipy"]["wasserstein"]
    u, v = case["u"], case["v"]
    positions = np.unique(u["values"] + v["values"])
    first, second = (
        np.bincount(
            np.searchsorted(positions, side["values"]),
            weights=np.round(10 * np.array(side["weights"])),
            minlength=len(positions),
        ).astype(np.int64)
        for side in (u, v)
    )

    found = wasserstein_distance(
        first, second, Segments([len(positions)]), positions, np.array([1.0])
    )

    assert found[0] == pytest.approx(case["distance"], rel=1e-12)


def test_chi_square_is_that_of_the_scipy_reference() -> None:
    case = figures()["scipy"]["chi2_contingency"]

    first, second = np.array(case["table"])
    statistic = chi_square(first, second, Segments([3]))

    assert statistic[0] == pytest.approx(case["statistic"], rel=1e-12)
    assert float(chi_square_tail(statistic[0], 2)) == pytest.approx(case["p"], rel=1e-9)


def test_hellinger_is_that_of_evidently() -> None:
    case = figures()["evidently"]

    found = hellinger_distance(
        np.array(case["reference"]), np.array(case["current"]), Segments([6])
    )

    assert found[0] == pytest.approx(case["hellinger"], abs=1e-5)


def test_a_reference_that_is_taken_as_exact_makes_chi_square_too_sure() -> None:
    case = figures()["evidently"]
    reference, current, one = (
        np.array(case["reference"]),
        np.array(case["current"]),
        Segments([6]),
    )

    as_a_sample = chi_square_tail(chi_square(reference, current, one), 5)
    many = reference * 1_000_000
    as_exact = chi_square_tail(chi_square(many, current, one), 5)

    assert as_exact[0] == pytest.approx(case["one_sample_chi_square_p"], abs=1e-5)
    assert as_a_sample[0] == pytest.approx(0.89853, abs=1e-5)


# --- the product's cells ---------------------------------------------------------------------


def own_cells(reference: Values) -> tuple[Counter, bool]:
    """Count over the cells that a bundle would have, and say whether they have an order."""
    if not is_number(reference):
        categories = np.unique(reference)
        table = CountingTable([CategoryCells(len(categories))])

        def codes(values: Values) -> Counts:
            return table.count(np.searchsorted(categories, values).astype(np.float64)[:, None])

        return codes, False
    numbers = CountingTable([numeric_cells(reference.astype(np.float64))])
    return lambda values: numbers.count(values.astype(np.float64)[:, None]), True


@pytest.mark.parametrize(
    "name", [name for name in COLUMNS if is_number(car_loan("reference")[name])]
)
def test_ks_over_own_cells_is_below_the_exact_one_by_less_than_one_cell(name: str) -> None:
    reference, analysis = car_loan("reference")[name], car_loan("analysis")[name]
    count, _ = own_cells(reference)
    counts = count(reference)
    largest_cell = counts.max() / counts.sum()

    found = by_chunk(analysis, count, counts, kolmogorov_smirnov_distance)

    exact = [float(stats.ks_2samp(reference, chunk).statistic) for chunk in chunks(analysis)]
    assert np.all(found <= np.array(exact) + 1e-12)
    assert np.all(found >= np.array(exact) - largest_cell)


def test_ks_over_own_cells_is_close_to_the_exact_one_where_no_value_is_frequent() -> None:
    name = "debt_to_income_ratio"
    reference, analysis = car_loan("reference")[name], car_loan("analysis")[name]
    count, _ = own_cells(reference)

    found = by_chunk(analysis, count, count(reference), kolmogorov_smirnov_distance)

    # What 64 cells lose: 0.0006 on average and 0.0014 at worst.
    assert found.tolist() == pytest.approx(RATIO["ks"], abs=0.003)
    assert np.mean(np.array(RATIO["ks"]) - found) < 0.001


def grouped(columns: Columns) -> tuple[dict[str, Counter], Segments]:
    """Merge the cells of every column into the groups that the alert rule looks at."""
    counters: dict[str, Counter] = {}
    sizes = []
    for name in COLUMNS:
        count, ordered = own_cells(columns[name])
        counts = count(columns[name])
        groups = np.arange(len(counts))
        if ordered:
            inner = quantile_groups(counts[1:-2])
            outside = int(inner[-1]) + 1
            groups = np.concatenate(([outside], inner, [outside, outside + 1]))

        def merged(values: Values, count: Counter = count, groups: Counts = groups) -> Counts:
            return np.bincount(groups, weights=count(values)).astype(np.int64)

        counters[name] = merged
        sizes.append(int(groups.max()) + 1)
    return counters, Segments(sizes)


def test_the_tolerance_rule_finds_the_columns_that_shift_and_no_others() -> None:
    counters, segments = grouped(car_loan("reference"))
    expected = np.concatenate([counters[n](car_loan("reference")[n]) for n in COLUMNS])
    flagged, excess = [], []
    for at in range(10):
        window = np.concatenate(
            [counters[name](chunks(car_loan("analysis")[name])[at]) for name in COLUMNS]
        )
        reference, current = merge_rare(expected, window, segments)
        k = 1 / 50_000 + 1 / CAR_LOAN["chunk_size"]
        index = population_stability_index(reference, current, segments)
        degrees = segments.sum((reference + current) > 0) - 1

        p = noncentral_tail(index / k, degrees, 0.02 / k)

        flagged.append({COLUMNS[i] for i in np.flatnonzero(benjamini_hochberg(p, 0.01))})
        excess.append(index - psi_mean(reference, current, segments))
    assert flagged == [set()] * 5 + [SHIFTED] * 5
    by_column = dict(zip(COLUMNS, np.array(excess).T, strict=True))
    quiet = [by_column[n][:5] if n in SHIFTED else by_column[n] for n in COLUMNS]
    assert np.abs(np.concatenate(quiet)).max() < 0.004
    assert min(by_column[name][5:].min() for name in SHIFTED) > 0.15
    assert by_column["car_value"][5:].min() > 1.5
