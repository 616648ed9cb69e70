"""Comparing a window with the reference: drift scores, quality ratios, pictures."""

from sidecar.monitors.reference import Reference
from sidecar.monitors.snapshot import DriftScore, Method, SubjectDrift
from sidecar.stats.cells import Counts
from sidecar.stats.critical import js_from_psi, ks_critical, psi_critical
from sidecar.stats.distances import (
    jensen_shannon_distance,
    kolmogorov_smirnov_distance,
    population_stability_index,
)
from sidecar.stats.groups import merge_rare
from sidecar.stats.segments import Numbers


def compare(
    reference: Reference, cell_counts: Counts, *, rate: float, min_records: int
) -> tuple[SubjectDrift, ...]:
    """Compare every subject of a window with the reference.

    Args:
        reference: What the subjects are compared with.
        cell_counts: Flat counts of the window by cell.
        rate: Chance that a critical value is passed with nothing drifting.
        min_records: Records that a subject needs for a verdict.

    Returns:
        One entry per subject, in the order of the reference.
    """
    groups = reference.to_groups(cell_counts)
    columns = zip(
        reference.subjects,
        reference.groups.sum(groups).tolist(),
        _psi_and_js(reference, groups, rate),
        _ks(reference, cell_counts, rate),
        reference.last_shares(groups, back=1),
        reference.last_shares(groups, back=2),
        reference.missing_ratios,
        reference.pictures,
        reference.to_pictures(groups),
        strict=True,
    )
    return tuple(
        SubjectDrift(
            name=one.name,
            subject=one.subject,
            records=records,
            scores=_verdict(psi_and_js, ks, one.ordered) if records >= min_records else (),
            missing_ratio=missing,
            unseen_ratio=0.0 if one.ordered else outside,
            out_of_range_ratio=outside if one.ordered else 0.0,
            reference_missing_ratio=reference_missing,
            bins=one.bins,
            reference=picture,
            current=current,
        )
        for (
            one,
            records,
            psi_and_js,
            ks,
            missing,
            outside,
            reference_missing,
            picture,
            current,
        ) in columns
    )


def _psi_and_js(
    reference: Reference, groups: Counts, rate: float
) -> list[tuple[DriftScore, ...]]:
    expected, found = merge_rare(reference.group_counts, groups, reference.groups)
    limits = psi_critical(expected, found, reference.groups, rate)
    index = population_stability_index(expected, found, reference.groups)
    distance = jensen_shannon_distance(expected, found, reference.groups)
    return list(
        zip(
            _scores("psi", index, limits),
            _scores("js", distance, js_from_psi(limits)),
            strict=True,
        )
    )


def _ks(reference: Reference, cell_counts: Counts, rate: float) -> list[DriftScore]:
    counts = reference.ordered_counts, reference.to_ordered(cell_counts), reference.cells
    return _scores("ks", kolmogorov_smirnov_distance(*counts), ks_critical(*counts, rate))


def _scores(method: Method, values: Numbers, limits: Numbers) -> list[DriftScore]:
    return [
        DriftScore(method, value, limit)
        for value, limit in zip(values.tolist(), limits.tolist(), strict=True)
    ]


def _verdict(
    psi_and_js: tuple[DriftScore, ...], ks: DriftScore, ordered: bool
) -> tuple[DriftScore, ...]:
    return (*psi_and_js, ks) if ordered else psi_and_js
