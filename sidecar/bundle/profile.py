"""The reference profile: counts of the reference rows, made by the kernel of the monitors."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.manifest import (
    CategoryProfile,
    Feature,
    FeatureType,
    NumericProfile,
    Profile,
    ReferenceProfile,
    Task,
)
from sidecar.events import CodeColumn, Features, Float64Column
from sidecar.stats.cells import (
    CategoryCells,
    CellMatrix,
    CountingTable,
    Layout,
    NumericCells,
    numeric_cells,
    uniform_cells,
)
from sidecar.stats.groups import quantile_groups

# Beyond these a value counts as out there, and not by how far.
_TAILS = (0.001, 0.999)


class Entry(NamedTuple):
    """One profile of the reference, and what it is of."""

    kind: Literal["feature", "score", "confidence", "label"]
    name: str
    """Of the feature, the measure of confidence, or the kind itself."""
    profile: Profile


def entries(reference: ReferenceProfile) -> tuple[Entry, ...]:
    """Give all profiles: features, score, confidence by measure, label, where they are."""
    label = reference.label
    return (
        *(Entry("feature", name, profile) for name, profile in reference.features.items()),
        Entry("score", "score", reference.score),
        *(Entry("confidence", name, p) for name, p in reference.confidence.items()),
        *([Entry("label", "label", label)] if label is not None else []),
    )


def build_profile(
    features: tuple[Feature, ...],
    columns: Features,
    score: Float64Column,
    confidence: Mapping[str, Float64Column],
    label: CodeColumn | None,
    labels: tuple[str, ...],
    task: Task,
) -> ReferenceProfile:
    """Count the reference rows, as the monitors count events.

    Args:
        features: The signature, in the order of the columns.
        columns: The features of the reference rows.
        score: The model's score on each row, NaN for none.
        confidence: Its confidence, by measure; none for a regression.
        label: Its answer, as a position in `labels`, -1 for none; None for a regression.
        labels: The model's classes.
        task: Scores of a classifier are probabilities and get equal cells on [0, 1], those of
            a regression get quantile cells as features do.

    Returns:
        The profile, ready for `reference.json`.
    """
    profiles = {
        feature.name: _feature_profile(feature, columns.matrix[:, column])
        for column, feature in enumerate(features)
    }
    regression = task is Task.REGRESSION
    return ReferenceProfile(
        records=len(columns),
        features=profiles,
        score=_numeric_profile(score, numeric_cells(score) if regression else uniform_cells()),
        confidence={
            measure: _numeric_profile(column, uniform_cells())
            for measure, column in confidence.items()
        },
        label=None if label is None else _category_profile(labels, answer_codes(label)),
    )


def layout(profile: Profile) -> Layout:
    """Give the cells that a profile counts.

    Args:
        profile: One entry of the reference profile.
    """
    if isinstance(profile, NumericProfile):
        return NumericCells(profile.centre, profile.edges, profile.minimum, profile.maximum)
    return _category_cells(profile.categories)


def reference_cells(
    reference: ReferenceProfile,
    columns: Features,
    score: Float64Column,
    confidence: Mapping[str, Float64Column],
    label: CodeColumn | None,
) -> CellMatrix:
    """Give the cell of each reference row in each profile.

    Args:
        reference: What `build_profile` gave for the same columns.
        columns: The features of the reference rows.
        score: The model's score on each row.
        confidence: Its confidence, by measure.
        label: Its answer; None for a regression.

    Returns:
        One row per reference row, one column per entry: flat cells, those of all entries
        behind one another.
    """
    table = CountingTable([layout(entry.profile) for entry in entries(reference)])
    answers = [
        score,
        *confidence.values(),
        *([answer_codes(label)] if label is not None else []),
    ]
    features = table.cells(columns.matrix)
    return np.concatenate(
        (features, table.cells(np.column_stack(answers), first=features.shape[1])), axis=1
    )


def group_of_cell(profile: Profile) -> NDArray[np.int64]:
    """Say how cells are merged into the groups that the population stability index sees.

    Numbers have ten groups of about equal counts in the reference, of which the outer ones are
    open, and one for what is missing. Categories have a group each, and so has what is unseen.

    Args:
        profile: One entry of the reference profile.

    Returns:
        The group of each cell; the last group is what is missing.
    """
    if not isinstance(profile, NumericProfile):
        return np.arange(len(profile.counts))
    inner = quantile_groups(np.array(profile.counts[1:-2], np.int64))
    return np.concatenate(([0], inner, [inner[-1], inner[-1] + 1]))


def answer_codes(label: CodeColumn) -> Float64Column:
    """Give the model's answers as they are counted: NaN where there is none.

    Args:
        label: Positions among the labels, -1 for none.
    """
    return np.where(label < 0, np.nan, label.astype(np.float64))


def _feature_profile(feature: Feature, column: Float64Column) -> Profile:
    if feature.categories is None and feature.type is not FeatureType.STRING:
        return _numeric_profile(column, numeric_cells(column))
    return _category_profile(feature.categories or (), column)


def _numeric_profile(column: Float64Column, cells: NumericCells) -> NumericProfile:
    finite = column[np.isfinite(column)]
    values = finite if finite.size else np.zeros(1)
    low, high = np.quantile(values, _TAILS, method="inverted_cdf").tolist()
    return NumericProfile(
        centre=cells.centre,
        edges=cells.edges,
        minimum=cells.minimum,
        maximum=cells.maximum,
        counts=_counts(cells, column),
        mean=float(values.mean()),
        sd=float(values.std()),
        low=low,
        high=high,
    )


def _category_profile(
    categories: tuple[str | int | bool, ...], column: Float64Column
) -> CategoryProfile:
    counts = _counts(_category_cells(categories), column)
    return CategoryProfile(categories=categories, counts=counts)


def _category_cells(categories: tuple[str | int | bool, ...]) -> CategoryCells:
    """Texts stand in the matrix as their position, numbers and booleans as themselves."""
    numbers = tuple(float(value) for value in categories if not isinstance(value, str))
    coded = len(categories) > 0 and len(numbers) == len(categories)
    return CategoryCells(len(categories), numbers if coded else None)


def _counts(cells: Layout, column: Float64Column) -> tuple[int, ...]:
    return tuple(CountingTable([cells]).count(column[:, None]).tolist())
