"""Comparing windows with the reference: what alerts rest on, then all that is shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sidecar.config.settings import MonitorSettings
from sidecar.monitors.calibration import Calibration
from sidecar.monitors.reference import Expected, Reference, Stack
from sidecar.monitors.snapshot import DriftScore, Method, SubjectDrift
from sidecar.monitors.windows import Window
from sidecar.stats.cells import Counts
from sidecar.stats.critical import js_from_psi, ks_critical, psi_critical, psi_mean
from sidecar.stats.distances import (
    chi_square,
    hellinger_distance,
    jensen_shannon_distance,
    kolmogorov_smirnov_distance,
    l_infinity,
    population_stability_index,
    wasserstein_distance,
)
from sidecar.stats.groups import fold_rare, merge_rare
from sidecar.stats.segments import Numbers
from sidecar.stats.tails import noncentral_tail


@dataclass(frozen=True, slots=True)
class _Counted:
    """The counts of all windows behind one another."""

    stack: Stack
    expected: Sequence[Expected]
    cells: Counts
    """Of the windows, by cell."""
    groups: Counts
    """Of the windows, by group."""
    merged: tuple[Counts, Counts]
    """Of reference and windows, by group, with those merged that are too rare for a test."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Some windows beside the reference, as tables: a row per window, a column per subject.

    These are what alerts rest on; `drifts` gives all that is shown. The subjects stand in the
    order of `reference.subjects`.
    """

    reference: Reference
    rate: float
    """Chance that a critical value is passed with nothing drifting."""
    factors: Numbers
    """Overdispersion."""
    records: NDArray[np.int64]
    """Records of the window that were counted for the subject."""
    ready: NDArray[np.bool_]
    """Whether they are enough for a verdict."""
    psi: Numbers
    """Population stability index, in nats."""
    psi_critical: Numbers
    """What it passes by chance at `rate`; infinite for a subject without counts."""
    psi_excess: Numbers
    """The index less its mean under no drift of independent events; NaN without a verdict."""
    p_warning: Numbers
    """Chance of an index this large while the true one is `drift.warning_delta`; NaN without a
    verdict."""
    p_critical: Numbers
    """The same for `drift.delta`."""
    counted: _Counted

    def drifts(self) -> list[tuple[SubjectDrift, ...]]:
        """Give all statistics and the pictures: for each window one entry per subject."""
        found = _drifts(self)
        return [tuple(next(found) for _ in self.reference.subjects) for _ in self.records]


def compare(
    reference: Reference,
    windows: Sequence[Window],
    calibrations: Sequence[Calibration],
    settings: MonitorSettings,
) -> Comparison:
    """Compare every subject of some windows with the reference.

    With nothing drifting the index over k = 1/n + 1/m and over the overdispersion is a
    chi-square variable with a degree of freedom less than groups in use. With a true index of
    delta it is a non-central one, of noncentrality delta / (k overdispersion).

    Args:
        reference: What the subjects are compared with.
        windows: Their first counts are those of the cells of all subjects.
        calibrations: One for each, of windows of its length.
        settings: Tolerances, false discovery rate, and the records that a verdict needs.
    """
    drift, counted = settings.drift, _counted(reference, windows)
    merged, segments = counted.merged, counted.stack.groups
    records, known = segments.sum(merged[1]), segments.sum(merged[0])
    ready = (records >= settings.min_records) & (known > 0)
    factors = np.concatenate([calibration.factors for calibration in calibrations])
    psi = population_stability_index(*merged, segments)
    degrees = segments.sum(merged[0] + merged[1] > 0) - 1
    with np.errstate(divide="ignore", invalid="ignore"):  # without counts there is no verdict
        chance = 1.0 / known + 1.0 / records
        excess = np.where(ready, psi - psi_mean(*merged, segments), np.nan)
    limits = psi_critical(*merged, segments, drift.false_discovery_rate) * factors
    p_values = _tails(
        psi, degrees, chance * factors, ready, np.array([[drift.warning_delta], [drift.delta]])
    )
    shape = len(windows), len(reference.subjects)
    return Comparison(
        reference=reference,
        rate=drift.false_discovery_rate,
        factors=factors.reshape(shape),
        records=records.reshape(shape),
        ready=ready.reshape(shape),
        psi=psi.reshape(shape),
        psi_critical=limits.reshape(shape),
        psi_excess=excess.reshape(shape),
        p_warning=p_values[0].reshape(shape),
        p_critical=p_values[1].reshape(shape),
        counted=counted,
    )


def _counted(reference: Reference, windows: Sequence[Window]) -> _Counted:
    stack = reference.stack(len(windows))
    size = reference.stack().cells.size
    expected = [reference.at(window.start_ms, window.end_ms) for window in windows]
    cells = np.concatenate([window.counts[:size] for window in windows])
    groups = stack.to_groups(cells)
    whole = np.concatenate([each.groups for each in expected])
    return _Counted(stack, expected, cells, groups, merge_rare(whole, groups, stack.groups))


def _tails(
    psi: Numbers,
    degrees: NDArray[np.int64],
    spread: Numbers,
    ready: NDArray[np.bool_],
    deltas: Numbers,
) -> Numbers:
    """Give the chance of an index this large while the true one is delta, a row for each."""
    p = np.where(ready, np.ones_like(deltas), np.nan)
    # At or below the tolerance itself no rate below one half is ever met: 1 is near enough.
    at, subject = np.nonzero(ready & (psi > deltas))
    if at.size:
        over = spread[subject]
        # One group in use can never differ, and has an index of zero.
        p[at, subject] = noncentral_tail(
            psi[subject] / over, degrees[subject], deltas[at, 0] / over
        )
    return p


# --- what is shown --------------------------------------------------------------------------


def _drifts(comparison: Comparison) -> Iterator[SubjectDrift]:
    reference, counted = comparison.reference, comparison.counted
    stack, windows = counted.stack, len(comparison.records)
    for (
        one,
        records,
        ready,
        factor,
        scores,
        p_warning,
        p_critical,
        reference_missing,
        picture,
        current,
    ) in zip(
        reference.subjects * windows,
        comparison.records.ravel().tolist(),
        comparison.ready.ravel().tolist(),
        comparison.factors.ravel().tolist(),
        _scores(comparison),
        comparison.p_warning.ravel().tolist(),
        comparison.p_critical.ravel().tolist(),
        reference.missing_ratios * windows,
        chain.from_iterable(each.pictures for each in counted.expected),
        stack.to_pictures(counted.cells),
        strict=True,
    ):
        yield SubjectDrift(
            name=one.name,
            subject=one.subject,
            records=records,
            overdispersion=factor,
            scores=scores if ready else (),
            p_warning=p_warning if ready else None,
            p_critical=p_critical if ready else None,
            missing_ratio=current[-1],
            unseen_ratio=0.0 if one.ordered else current[-2],
            out_of_range_ratio=current[-2] if one.ordered else 0.0,
            reference_missing_ratio=reference_missing,
            bins=one.bins,
            reference=picture,
            current=current,
        )


def _scores(comparison: Comparison) -> Iterator[tuple[DriftScore, ...]]:
    """Give the scores of each subject of each window."""
    counted = comparison.counted
    stack, merged, segments = counted.stack, counted.merged, counted.stack.groups
    limits, factors = comparison.psi_critical.ravel(), comparison.factors.ravel()
    psi, excess = comparison.psi.ravel(), comparison.psi_excess.ravel()
    placed = (
        np.concatenate([each.ordered for each in counted.expected]),
        stack.to_ordered(counted.cells),
        stack.cells,
    )
    ks_limits = np.minimum(ks_critical(*placed, comparison.rate) * np.sqrt(factors), 1.0)
    whole = np.concatenate([each.groups for each in counted.expected])
    folded = fold_rare(*merged, segments)
    with np.errstate(divide="ignore", invalid="ignore"):  # without counts there is no verdict
        chance = 1.0 / segments.sum(whole) + 1.0 / comparison.records.ravel()
        fewer = psi_critical(*folded, segments, comparison.rate)
        chi_square_limits = fewer * factors / chance
    # The index is 1/n + 1/m times chi-square, and eight times the Hellinger distance squared.
    every = (
        _column("psi", psi, limits),
        _column("psi_excess", excess, limits - (psi - excess)),
        _column("js", jensen_shannon_distance(*merged, segments), js_from_psi(limits)),
        _column("hellinger", hellinger_distance(*merged, segments), np.sqrt(limits / 8)),
        _column("chi_square", chi_square(*folded, segments), chi_square_limits),
    )
    way = wasserstein_distance(*placed, stack.positions, stack.deviations)
    of_numbers = zip(
        _column("ks", kolmogorov_smirnov_distance(*placed), ks_limits),
        _column("wasserstein", way),
        strict=True,
    )
    of_categories = zip(
        _column("l_infinity", l_infinity(whole, counted.groups, segments)), strict=True
    )
    ordered = [one.ordered for one in comparison.reference.subjects] * len(comparison.records)
    for has_order, shared, number, category in zip(
        ordered, zip(*every, strict=True), of_numbers, of_categories, strict=True
    ):
        yield (*shared, *(number if has_order else category))


def _column(method: Method, values: Numbers, limits: Numbers | None = None) -> list[DriftScore]:
    critical = [None] * len(values) if limits is None else limits.tolist()
    return [
        DriftScore(method, value, limit)
        for value, limit in zip(values.tolist(), critical, strict=True)
    ]
