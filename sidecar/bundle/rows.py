"""Single events as people write them, and the columns that the pipeline works on."""

from collections.abc import Mapping, Sequence

import numpy as np

from sidecar.bundle.manifest import Feature, FeatureType
from sidecar.events import Features

Value = float | int | bool | str | None


def columns_of(features: Sequence[Feature], rows: Sequence[Mapping[str, Value]]) -> Features:
    """Turn a few events into columns, as decoding does for many.

    A loop over rows: meant for golden rows and tests, some tens of them.

    Args:
        features: Of the manifest, in order.
        rows: Values by feature name; one that is absent is missing.

    Returns:
        One row per event.
    """
    matrix = np.full((len(rows), len(features)), np.nan)
    text: dict[str, list[str | None]] = {}
    for at, feature in enumerate(features):
        values = [row.get(feature.name) for row in rows]
        if feature.type is FeatureType.STRING:
            text[feature.name] = [None if value is None else str(value) for value in values]
            values = list(text_codes(feature, text[feature.name]))
        matrix[:, at] = [np.nan if value is None else float(value) for value in values]
    return Features(matrix, text)


def rows_of(
    features: Sequence[Feature], columns: Features, positions: Sequence[int]
) -> list[dict[str, Value]]:
    """Turn some rows of columns back into events.

    Args:
        features: Of the manifest, in order.
        columns: One column per feature.
        positions: Which rows.

    Returns:
        One dict per position, with values of the features' types, None where missing.
    """
    return [
        {
            feature.name: (
                columns.text[feature.name][row]
                if feature.type is FeatureType.STRING
                else _typed(feature.type, float(columns.matrix[row, at]))
            )
            for at, feature in enumerate(features)
        }
        for row in positions
    ]


def text_codes(feature: Feature, values: Sequence[str | None]) -> list[float]:
    """Give the category code of each text: NaN where missing, one past the last when unseen.

    Args:
        feature: A string feature.
        values: Its texts.
    """
    categories = feature.categories or ()
    codes: dict[object, float] = {value: float(code) for code, value in enumerate(categories)}
    codes[None] = np.nan
    return [codes.get(value, float(len(categories))) for value in values]


def _typed(kind: FeatureType, number: float) -> Value:
    if np.isnan(number):
        return None
    if kind is FeatureType.BOOLEAN:
        return bool(number)
    return int(number) if kind is FeatureType.INTEGER else number
