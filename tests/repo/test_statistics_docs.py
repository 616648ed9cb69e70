"""The figures of docs/statistics.md are what the formulas give."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

from sidecar.monitors.snapshot import Method
from sidecar.stats.critical import ks_critical, psi_critical, psi_mean
from sidecar.stats.distances import (
    hellinger_distance,
    jensen_shannon_distance,
    population_stability_index,
)
from sidecar.stats.groups import merge_rare
from sidecar.stats.segments import Segments
from sidecar.stats.tails import chi_square_tail, noncentral_quantile

PAGE = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")
TEN = Segments([10])
TENTHS = np.full(10, 0.1)
REFERENCE = 50_000
# Counts so large that what they add to a score is beyond the printed digits.
MANY = 10**12


def rows(first_header: str, *, after: str) -> list[list[str]]:
    """Give the cells of the first table after a heading whose first column is named so."""
    section = PAGE[PAGE.index(f"\n## {after}\n") :]
    table = section[section.index(f"\n| {first_header} |") :].strip().split("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[2:]
    ]


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.replace(",", "")) for cell in cells]


def close(printed: str) -> float:
    """Give half a unit of the last printed digit."""
    decimals = len(printed.partition(".")[2])
    return 0.501 * 10.0**-decimals


def test_every_method_has_its_row() -> None:
    found = [row[0].strip("`") for row in rows("method", after="The scores")]

    assert sorted(found) == sorted(get_args(Method))


@pytest.mark.parametrize("row", rows("events in the window", after="What chance gives"))
def test_what_chance_gives(row: list[str]) -> None:
    events, *printed = row
    n = int(events.replace(",", ""))
    counts = (TENTHS * REFERENCE).astype(np.int64), (TENTHS * n).astype(np.int64), TEN

    found = (psi_mean(*counts), psi_critical(*counts, 0.01), ks_critical(*counts, 0.01))

    for value, text in zip(found, printed, strict=True):
        assert float(value[0]) == pytest.approx(float(text), abs=close(text))


def test_what_a_constant_fill_makes_of_small_windows() -> None:
    rng = np.random.default_rng(1)
    shares, events, windows = np.append(0.9, np.full(19, 0.1 / 19)), 200, 4_000
    reference = rng.multinomial(REFERENCE, shares, windows)
    current = rng.multinomial(events, shares, windows)

    p, q = (
        np.maximum(side / side.sum(axis=1, keepdims=True), 1e-4)
        for side in (reference, current)
    )
    filled = ((p - q) * np.log(p / q)).sum(axis=1)
    many = Segments([20] * windows)
    merged = population_stability_index(
        *merge_rare(reference.ravel(), current.ravel(), many), many
    )

    assert float(np.mean(filled > 0.1)) == pytest.approx(0.96, abs=0.01)
    assert not np.any(merged > 0.1)


@pytest.mark.parametrize("row", rows("events in the window", after="The alert rule"))
def test_what_the_alert_rule_asks_for(row: list[str]) -> None:
    events, *printed = row
    k = 1 / REFERENCE + 1 / int(events.replace(",", ""))

    for delta, text in zip((0.02, 0.1), printed, strict=True):
        limit = k * float(noncentral_quantile(0.01, 9, delta / k))
        assert limit == pytest.approx(float(text), abs=close(text))


def test_how_seldom_the_alert_rule_is_wrong() -> None:
    k = 1 / REFERENCE + 1 / 1_000
    limit = float(noncentral_quantile(0.01, 9, 0.02 / k))

    assert float(chi_square_tail(limit, 9)) == pytest.approx(1e-8, rel=0.05)


# --- other tools -----------------------------------------------------------------------------

EDGES = stats.norm.ppf(np.arange(1, 10) / 10)


def moved(shift: float) -> NDArray[np.int64]:
    """Give the counts of ten groups after a normal feature moved."""
    shares = np.diff(stats.norm.cdf(EDGES - shift), prepend=0.0, append=1.0)
    return np.round(shares * MANY).astype(np.int64)


def score(distance: Callable[..., NDArray[np.float64]], shift: float) -> float:
    return float(distance((TENTHS * MANY).astype(np.int64), moved(shift), TEN)[0])


def shift_with(value: float, of: Callable[[float], float]) -> float:
    return float(optimize.brentq(lambda shift: of(shift) - value, 1e-3, 8.0, xtol=1e-9))


def psi(shift: float) -> float:
    return score(population_stability_index, shift)


def js_divergence(shift: float) -> float:
    """Give that of two normal densities, in nats."""

    def information(x: float) -> float:
        p, q = stats.norm.pdf(x), stats.norm.pdf(x - shift)
        return float(p * math.log(2 * p / (p + q)) + q * math.log(2 * q / (p + q))) / 2

    return float(integrate.quad(information, -12.0, 14.0, limit=200)[0])


@pytest.mark.parametrize("row", rows("`psi`", after="The same drift in other numbers"))
def test_one_drift_in_other_numbers(row: list[str]) -> None:
    shift = shift_with(float(row[0]), psi)
    js = score(jensen_shannon_distance, shift)

    found = [
        js,
        js * math.sqrt(math.log(2)),
        js**2,
        score(hellinger_distance, shift),
        2 * float(stats.norm.cdf(shift / 2)) - 1,
        shift,
    ]

    for value, text in zip(found, row[1:], strict=True):
        assert value == pytest.approx(float(text), abs=close(text))


IN_PSI: dict[str, Callable[[float], float]] = {
    "PSI, true": lambda limit: limit,
    "PSI": lambda limit: limit,
    "JS distance, base e": lambda limit: 8 * limit**2,
    "JS distance, base 2": lambda limit: 8 * math.log(2) * limit**2,
    "Hellinger": lambda limit: 8 * limit**2,
    "Wasserstein over the standard deviation": lambda limit: limit**2,
}
"""For small drift; for a normal feature the index is the square of the shift."""
AS_SHIFT: dict[str, Callable[[float], float]] = {
    "PSI, true": psi,
    "PSI": psi,
    "JS distance, base e": lambda shift: math.sqrt(js_divergence(shift)),
    "JS distance, base 2": lambda shift: math.sqrt(js_divergence(shift) / math.log(2)),
    "JS divergence, base 2": lambda shift: js_divergence(shift) / math.log(2),
    "Hellinger": lambda shift: math.sqrt(1 - math.exp(-(shift**2) / 8)),
    "Wasserstein over the standard deviation": lambda shift: shift,
}


@pytest.mark.parametrize("row", rows("tool", after="The same drift in other numbers"))
def test_the_defaults_of_other_tools(row: list[str]) -> None:
    _, number, default, in_psi, shift = row

    found = shift_with(float(default), AS_SHIFT[number])

    assert found == pytest.approx(float(shift), abs=close(shift))
    if number in IN_PSI:
        expected = IN_PSI[number](float(default))
        assert expected == pytest.approx(float(in_psi), abs=close(in_psi))


def test_customary_limits_as_js_distances() -> None:
    stated = re.search(r"PSI 0\.1 and 0\.25 are JS distances of ([\d.]+) and ([\d.]+)\.", PAGE)

    assert stated is not None
    for limit, text in zip((0.1, 0.25), stated.groups(), strict=True):
        assert math.sqrt(limit / (8 * math.log(2))) == pytest.approx(
            float(text), abs=close(text)
        )
