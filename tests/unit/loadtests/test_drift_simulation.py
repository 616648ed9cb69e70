"""The short simulation: false alarms and delays of the product, with a fixed seed."""

import numpy as np
import pytest

from loadtests.drift.simulation import worlds
from loadtests.drift.simulation.delay import Delay
from loadtests.drift.simulation.level import Level, reference_of, with_rest
from loadtests.drift.simulation.plan import SHORT, Findings, run
from loadtests.drift.simulation.stream import DAY_PANES, FEATURES, RECORDS, Feed
from sidecar.stats.overdispersion import overdispersion

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RATE = 0.01


@pytest.fixture(scope="module")
def normal() -> worlds.Normal:
    return worlds.Normal()


@pytest.fixture(scope="module")
def findings() -> Findings:
    return run(SHORT, seed=6)


def level(findings: Findings, world: str, records: int) -> Level:
    (found,) = (
        each for each in findings.levels if (each.world, each.records) == (world, records)
    )
    return found


def shift(findings: Findings, size: float) -> Delay:
    (found,) = (each for each in findings.delays if each.shift == size)
    return found


@pytest.mark.parametrize("records", [1_000, 10_000])
def test_windows_of_independent_events_pass_at_the_nominal_rate(
    findings: Findings, records: int
) -> None:
    found = level(findings, "independent", records)

    assert found.overdispersion < 1.1
    assert abs(found.calibrated - RATE) < 4 * (found.error + 0.0005)


def test_calibration_brings_the_rate_of_users_back(findings: Findings) -> None:
    found = level(findings, "clustered", 10_000)

    assert 17 < found.overdispersion < 21
    assert found.independent > 0.9
    assert abs(found.calibrated - RATE) < 4 * (found.error + 0.0005)


@pytest.mark.parametrize("records", [1_000, 10_000])
def test_calibration_brings_the_rate_of_a_wave_back(findings: Findings, records: int) -> None:
    found = level(findings, "seasonal", records)

    assert found.independent > 0.5
    assert found.calibrated < RATE


def test_fifty_users_are_few_and_their_heavy_tail_is_allowed_for(findings: Findings) -> None:
    """Groups of five users have heavier tails than chi-square."""
    found = level(findings, "clustered", 1_000)

    assert found.independent > 0.9
    assert found.calibrated < RATE + 4 * found.error


@pytest.mark.parametrize("world", ["independent", "seasonal"])
def test_no_clean_window_is_past_the_tolerance(findings: Findings, world: str) -> None:
    assert [level(findings, world, records).tolerated for records in SHORT.records] == [0, 0]


def test_no_episode_begins_while_nothing_drifts(findings: Findings) -> None:
    (quiet,) = findings.quiet

    assert sum(quiet.episodes.values()) == 0
    # It was looked: with the critical values alone there would be many.
    assert quiet.significant > 10


def test_shifts_are_found_soon(findings: Findings) -> None:
    half, whole = shift(findings, 0.5), shift(findings, 1.0)

    assert half.median("warning over 1h") == pytest.approx(29, abs=6)
    assert whole.median("warning over 1h") == pytest.approx(17, abs=4)
    assert whole.median("critical over 5m") == pytest.approx(8, abs=2)
    assert half.median("PSI > 0.25 over 1h") is None
    assert half.share("critical") == whole.share("critical") == 1.0
    assert half.others == whole.others == 0


def test_the_true_index_of_a_shift(normal: worlds.Normal) -> None:
    feed = Feed(normal, worlds.independent(normal))

    # For groups of a tenth each, by the normal distribution.
    assert feed.true_index(0.0) == pytest.approx(0.0, abs=1e-6)
    assert feed.true_index(0.5) == pytest.approx(0.238, rel=0.02)


@pytest.mark.parametrize("name", ["independent", "clustered", "seasonal"])
def test_every_event_is_drawn_and_none_outside(normal: worlds.Normal, name: str) -> None:
    draw = {
        "independent": worlds.independent(normal),
        "clustered": worlds.clustered(normal),
        "seasonal": worlds.seasonal(normal, 24),
    }[name]

    counts = draw(np.random.default_rng(1), 48, 2_000)

    assert counts.shape == (48, normal.layout.size)
    assert counts.sum(axis=1).tolist() == [2_000] * 48
    assert counts[:, -1].sum() == 0
    shares = counts.sum(axis=0) / counts.sum()
    assert np.abs(shares - normal.chances).max() < 0.01


def test_counts_are_calibrated_as_rows_are(normal: worlds.Normal) -> None:
    """What the bundle build makes of rows is what the levels are measured with."""
    feed = Feed(normal, worlds.clustered(normal))
    panes = feed.draw(np.random.default_rng(3), DAY_PANES)
    profile = feed.reference(np.random.default_rng(3), days=1)
    hour = next(each for each in profile.calibration if each.length_ms == 3_600_000)
    assert hour.subjects is not None

    cells = panes[:, : len(FEATURES) * normal.layout.size]
    hours = cells.reshape(24, 60, len(FEATURES), -1).sum(axis=1)
    reference = reference_of(normal, hours.sum(axis=0))
    found = overdispersion([with_rest(reference, hours)], reference.stack().groups)

    assert (hour.windows, hour.records) == (24, 60 * RECORDS)
    by_rows = [hour.subjects.features[name] for name in FEATURES]
    assert found.factors.tolist() == pytest.approx(by_rows, abs=1e-3)
