"""The reference profile: counts of the reference rows, made by the kernel of the monitors."""

from collections.abc import Mapping

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
    CountingTable,
    Layout,
    NumericCells,
    numeric_cells,
    uniform_cells,
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
        label=None if label is None else _category_profile(labels, _codes(label)),
    )


def layout(profile: Profile) -> Layout:
    """Give the cells that a profile counts.

    Args:
        profile: One entry of the reference profile.
    """
    if isinstance(profile, NumericProfile):
        return NumericCells(profile.centre, profile.edges, profile.minimum, profile.maximum)
    return _category_cells(profile.categories)


def _feature_profile(feature: Feature, column: Float64Column) -> Profile:
    if feature.categories is None and feature.type is not FeatureType.STRING:
        return _numeric_profile(column, numeric_cells(column))
    return _category_profile(feature.categories or (), column)


def _numeric_profile(column: Float64Column, cells: NumericCells) -> NumericProfile:
    finite = column[np.isfinite(column)]
    return NumericProfile(
        centre=cells.centre,
        edges=cells.edges,
        minimum=cells.minimum,
        maximum=cells.maximum,
        counts=_counts(cells, column),
        mean=float(finite.mean()) if finite.size else 0.0,
        sd=float(finite.std()) if finite.size else 0.0,
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


def _codes(label: NDArray[np.int32]) -> Float64Column:
    return np.where(label < 0, np.nan, label.astype(np.float64))
