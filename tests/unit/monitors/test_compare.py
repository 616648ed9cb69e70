"""Scores, critical values and p-values, beside SciPy's."""

import msgspec
import numpy as np
import pytest
from scipy import stats

from sidecar.bundle.manifest import ReferenceProfile
from sidecar.config.settings import DriftSettings, MonitorSettings
from sidecar.monitors.calibration import Calibration
from sidecar.monitors.compare import Comparison, compare
from sidecar.monitors.reference import Reference
from sidecar.monitors.snapshot import DriftScore, Method, SubjectDrift
from sidecar.monitors.windows import Window
from tests.processes import HOUR_MS, NAMES, Stream, independent, watched

RATE = 0.01
SETTINGS = MonitorSettings(drift=DriftSettings(false_discovery_rate=RATE))
FACTORS = np.array([1.0, 1.0, 4.0, 25.0])


@pytest.fixture(scope="module")
def profile() -> ReferenceProfile:
    return Stream(independent, 1, 1, 200).reference()[0]


@pytest.fixture(scope="module")
def reference(profile: ReferenceProfile) -> Reference:
    return Reference(watched(profile))


def windows(reference: Reference, *, shift: float = 0.0, rows: int = 2_000) -> list[Window]:
    """The first three hours of another week."""
    return Stream(independent, 2, 1, rows).windows(reference.subjects, shift)[:3]


def compared(
    reference: Reference, factors: np.ndarray[tuple[int], np.dtype[np.float64]], **more: float
) -> Comparison:
    calibration = Calibration("bundle", 168, factors)
    shown = windows(reference, shift=more.get("shift", 0.0))
    return compare(reference, shown, [calibration] * 3, SETTINGS)


def score(drift: SubjectDrift, method: Method) -> DriftScore:
    found = drift.score(method)
    assert found is not None
    return found


def test_p_values_are_those_of_the_non_central_distribution(reference: Reference) -> None:
    found = compared(reference, FACTORS, shift=0.4)

    # Ten groups of numbers, of which the outer ones are open; nothing is missing.
    degrees = 9
    spread = FACTORS * (1 / 2_000 + 1 / (168 * 200))
    for p, delta in ((found.p_warning, 0.02), (found.p_critical, 0.1)):
        wanted = stats.ncx2.sf(found.psi / spread, degrees, delta / spread)
        np.testing.assert_allclose(p, np.where(found.psi > delta, wanted, 1.0), rtol=1e-6)


def test_overdispersion_widens_every_critical_value(reference: Reference) -> None:
    plain, wide = (
        compared(reference, factors).drifts()[0] for factors in (np.ones(4), FACTORS)
    )

    for factor, one, other in zip(FACTORS.tolist(), plain, wide, strict=True):
        by = {
            method: (score(other, method).critical or 0) / (score(one, method).critical or 0)
            for method in ("psi", "chi_square", "js", "hellinger", "ks")
        }
        root = np.sqrt(factor)
        assert by == pytest.approx(
            {"psi": factor, "chi_square": factor, "js": root, "hellinger": root, "ks": root}
        )
        assert [one.overdispersion, other.overdispersion] == [1.0, factor]


def test_critical_values_say_the_same_of_the_same_distance(reference: Reference) -> None:
    drift = compared(reference, np.ones(4), shift=0.1).drifts()[0][0]

    over = {
        method: score(drift, method).value / (score(drift, method).critical or 0)
        for method in ("psi", "chi_square", "js", "hellinger")
    }
    # Distances go by the square root of the index, and all of them agree where drift is small.
    assert over["chi_square"] == pytest.approx(over["psi"], rel=0.1)
    assert over["js"] ** 2 == pytest.approx(over["psi"], rel=0.1)
    assert over["hellinger"] ** 2 == pytest.approx(over["psi"], rel=0.1)


def test_excess_is_the_index_without_its_mean_by_chance(reference: Reference) -> None:
    every = Stream(independent, 3, 1, 2_000).windows(reference.subjects)
    calibration = Calibration.uncalibrated(4)

    found = compare(reference, every, [calibration] * len(every), SETTINGS)

    deviation = np.sqrt(2 / 9) * np.mean(found.psi) / np.sqrt(found.psi.size)
    # The reference is the same for all, which adds as much again.
    assert abs(np.mean(found.psi_excess)) < 5 * deviation
    assert np.mean(found.psi) > 5 * abs(np.mean(found.psi_excess))


def test_windows_of_a_set_are_compared_as_each_alone(reference: Reference) -> None:
    calibrations = [Calibration("bundle", 9, FACTORS), Calibration.uncalibrated(4)]
    some = [windows(reference)[0], windows(reference, shift=0.3)[1]]

    together = compare(reference, some, calibrations, SETTINGS)
    alone = [
        compare(reference, [window], [calibration], SETTINGS)
        for window, calibration in zip(some, calibrations, strict=True)
    ]

    for drifts, one in zip(together.drifts(), alone, strict=True):
        for drift, same in zip(drifts, one.drifts()[0], strict=True):
            assert [s.value for s in drift.scores] == pytest.approx(
                [s.value for s in same.scores]
            )
            assert msgspec.structs.replace(drift, scores=()) == msgspec.structs.replace(
                same, scores=()
            )
    for name in ("psi", "psi_critical", "psi_excess", "p_warning", "p_critical", "records"):
        np.testing.assert_array_equal(
            getattr(together, name), np.concatenate([getattr(each, name) for each in alone])
        )


def test_a_window_without_enough_records_has_no_verdict(reference: Reference) -> None:
    few = windows(reference, rows=199, shift=3.0)

    found = compare(reference, few, [Calibration.uncalibrated(4)] * 3, SETTINGS)

    assert not found.ready.any()
    assert np.isnan([found.p_warning, found.p_critical, found.psi_excess]).all()
    assert {(d.scores, d.p_warning, d.p_critical) for d in found.drifts()[0]} == {
        ((), None, None)
    }


def test_an_empty_window_has_no_verdict(reference: Reference) -> None:
    size = reference.stack().cells.size
    empty = Window(HOUR_MS, 0, 0, np.zeros(size, np.int64))

    found = compare(reference, [empty], [Calibration.uncalibrated(4)], SETTINGS)

    (drifts,) = found.drifts()
    assert [(d.name, d.records, d.scores) for d in drifts] == [(name, 0, ()) for name in NAMES]


def test_numbers_have_an_order_and_categories_have_not(reference: Reference) -> None:
    drift = compared(reference, np.ones(4)).drifts()[0][0]

    assert [each.method for each in drift.scores] == [
        *("psi", "psi_excess", "js", "hellinger", "chi_square"),
        *("ks", "wasserstein"),
    ]
    assert {each.method for each in drift.scores if each.critical is None} == {"wasserstein"}


def test_a_shift_moves_every_value_by_as_many_deviations(reference: Reference) -> None:
    drift = compared(reference, np.ones(4), shift=0.5).drifts()[0][0]

    assert score(drift, "wasserstein").value == pytest.approx(0.5, rel=0.1)
