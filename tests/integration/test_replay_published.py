"""A real table through `sidecar replay`: 2018 against 2015, beside NumPy and SciPy on the rows.

Nothing of the product's statistics is used here: the counts come from comparisons on the raw
columns, and only where the bins of age begin is read from the report.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import jensenshannon

from sidecar.cli.main import cli
from sidecar.demo.table import DATA
from tests.published import CODES, Columns, employment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FEATURES = ("AGEP", *CODES)
RATE = 0.01
DELTA = 0.02

Floats = NDArray[np.float64]
Subjects = dict[str, dict[str, Any]]


def sidecar(*words: object) -> None:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output


def write(columns: Columns, path: Path) -> None:
    table = {name: columns[name] for name in (*FEATURES, "employed")}
    pq.write_table(pa.table({**table, "AGEP": columns["AGEP"].astype(np.float64)}), path)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    """What the replay of 2018 reports, by subject."""
    folder = tmp_path_factory.mktemp("employment")
    for year in (2015, 2018):
        write(employment(year), folder / f"{year}.parquet")
    config = {
        "kafka": {"bootstrap_servers": ["127.0.0.1:1"]},
        "topics": {"events": "employment.events"},
        "model": {"bundle": "employment"},
        "monitors": {
            "windows": ["1h"],
            "drift": {"false_discovery_rate": RATE, "warning_delta": DELTA},
        },
    }
    (folder / "sidecar.yaml").write_text(yaml.safe_dump(config))

    sidecar(
        *("bundle", "build", "--model", DATA / "employment" / "1" / "model.onnx"),
        *("--reference", folder / "2015.parquet", "--features", ",".join(FEATURES)),
        *("--name", "employment", "--version", "2015", "--label", "employed"),
        *("--out", folder / "employment"),
    )
    report = folder / "report.json"
    sidecar(*("replay", folder / "sidecar.yaml", folder / "2018.parquet", "--report", report))

    found = json.loads(report.read_text())
    assert found["records"]["decided"] == 70_131
    (window,) = found["monitors"]["windows"]
    return {one["name"]: one for one in window["subjects"]}


def scores(subject: dict[str, Any]) -> dict[str, float]:
    return {score["method"]: score["value"] for score in subject["scores"]}


def limits(subject: dict[str, Any]) -> dict[str, float]:
    return {score["method"]: score["critical"] for score in subject["scores"]}


# --- by hand ---------------------------------------------------------------------------------


def ages(year: int) -> Floats:
    return employment(year)["AGEP"].astype(np.float64)


def age_counts(year: int, bins: list[str]) -> Floats:
    """Count the bins that are named so: `< 11`, `11 to 19`, ..., `>= 73`; the outer open."""
    edges = [-np.inf, *(float(re.findall(r"[\d.]+", name)[0]) for name in bins[1:-2]), np.inf]
    return np.histogram(ages(year), edges)[0].astype(np.float64)


def category_counts(name: str, year: int) -> Floats:
    categories = np.unique([*employment(2015)[name], *employment(2018)[name]])
    return np.array([np.sum(employment(year)[name] == one) for one in categories], np.float64)


def both(name: str, subject: dict[str, Any]) -> tuple[Floats, Floats]:
    if name == "AGEP":
        return age_counts(2015, subject["bins"]), age_counts(2018, subject["bins"])
    return category_counts(name, 2015), category_counts(name, 2018)


def without_rare(reference: Floats, window: Floats) -> NDArray[np.float64]:
    """Give the contingency table; a group that expects fewer than five joins the smallest."""
    table = np.array([reference, window])
    expected = stats.contingency.expected_freq(table).min(axis=0)
    order = np.argsort(expected)
    if expected[order[0]] < 5:
        table[:, order[1]] += table[:, order[0]]
        table = np.delete(table, order[0], axis=1)
    return table


def textbook_psi(reference: Floats, window: Floats) -> float:
    p, q = reference / reference.sum(), window / window.sum()
    return float(np.sum((p - q) * np.log(p / q)))


def smoothed_psi(reference: Floats, window: Floats) -> float:
    bins = len(reference)
    p = (reference + 0.5) / (reference.sum() + bins / 2)
    q = (window + bins / 2 * p) / (window.sum() + bins / 2)
    return float(np.sum((p - q) * np.log(p / q)))


# --- the same by the product -----------------------------------------------------------------


@pytest.mark.parametrize("name", FEATURES)
def test_the_scores_are_those_of_the_rows(name: str, subjects: Subjects) -> None:
    reference, window = both(name, subjects[name])

    found = scores(subjects[name])

    k = 1 / reference.sum() + 1 / window.sum()
    p, q = reference / reference.sum(), window / window.sum()
    expected = {
        "psi": smoothed_psi(reference, window),
        "psi_excess": smoothed_psi(reference, window) - (len(p) - 1) * k,
        "js": float(jensenshannon(p, q, base=2)),
        "hellinger": float(np.sqrt(1 - np.sum(np.sqrt(p * q)))),
        "chi_square": stats.chi2_contingency(
            without_rare(reference, window), correction=False
        ).statistic,
    }
    if name != "AGEP":
        expected["l_infinity"] = float(np.abs(p - q).max())
    assert found["psi"] == pytest.approx(textbook_psi(reference, window), rel=0.02)
    ours = {method: found[method] for method in expected}
    assert ours == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", FEATURES)
def test_the_critical_values_are_those_of_scipy(name: str, subjects: Subjects) -> None:
    reference, window = both(name, subjects[name])

    found = limits(subjects[name])

    k = 1 / reference.sum() + 1 / window.sum()
    groups = len(reference)
    tested = without_rare(reference, window).shape[1]
    assert found["psi"] == pytest.approx(stats.chi2.isf(RATE, groups - 1) * k)
    assert found["chi_square"] == pytest.approx(stats.chi2.isf(RATE, tested - 1))


@pytest.mark.parametrize("name", FEATURES)
def test_the_chance_of_a_tolerable_drift_is_that_of_scipy(
    name: str, subjects: Subjects
) -> None:
    reference, window = both(name, subjects[name])
    k = 1 / reference.sum() + 1 / window.sum()
    psi = smoothed_psi(reference, window)

    expected = stats.ncx2.sf(psi / k, len(reference) - 1, DELTA / k)

    # At or below the tolerance it is called 1 without a look.
    assert subjects[name]["p_warning"] == (
        pytest.approx(expected, rel=1e-4, abs=0.0) if psi > DELTA else 1.0
    )


def test_the_distances_of_age_are_those_of_the_values(subjects: Subjects) -> None:
    found = scores(subjects["AGEP"])

    exact = float(stats.ks_2samp(ages(2015), ages(2018)).statistic)
    way = stats.wasserstein_distance(ages(2015), ages(2018)) / ages(2015).std()
    # 64 cells for 92 ages: a cell holds at most three of them.
    assert exact - 0.05 < found["ks"] <= exact + 1e-12
    assert found["ks"] == pytest.approx(exact, abs=0.002)
    assert found["wasserstein"] == pytest.approx(way, rel=0.1)


def test_age_moves_by_what_is_known_of_it(subjects: Subjects) -> None:
    """The survey writes the age of its oldest as 94 in 2015 and as 95 in 2018.

    That is out of range, which is said; and no drift, for the last group is open.
    """
    age = subjects["AGEP"]
    reference, window = both("AGEP", age)

    index = scores(age)["psi"]

    k = 1 / reference.sum() + 1 / window.sum()
    assert index == pytest.approx(textbook_psi(reference, window), rel=0.001)
    assert index == pytest.approx(0.0031, abs=0.0003)
    assert index > 3 * stats.chi2.isf(0.001, 9) * k
    assert age["out_of_range_ratio"] == pytest.approx(526 / window.sum())


def test_what_is_past_chance_is_not_past_the_tolerance(subjects: Subjects) -> None:
    past_chance = {
        n for n in FEATURES if scores(subjects[n])["psi"] > limits(subjects[n])["psi"]
    }
    past_tolerance = {name for name in FEATURES if subjects[name]["p_warning"] < RATE}

    assert len(past_chance) >= 8
    assert {"ANC", "SCHL"} < past_chance
    assert past_tolerance == set()
    assert {name for name in FEATURES if subjects[name]["p_critical"] < RATE} == set()
