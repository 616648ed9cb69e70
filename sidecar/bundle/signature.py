"""Finds a model's signature: its inputs in the graph, their types in the reference rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sidecar.bundle.agree import input_fault
from sidecar.bundle.graph import ELEMENTS, Graph, Port
from sidecar.bundle.manifest import Feature, FeatureType, ModelInput
from sidecar.bundle.rows import text_codes
from sidecar.bundle.tables import Column, Table
from sidecar.errors import BundleError, Finding, did_you_mean
from sidecar.events import Features

MOST_CODES = 32
"""Integers with at most so many distinct values are counted by value."""
MOST_CATEGORIES = 1_000
"""Texts beyond the most frequent thousand are counted together, as unseen ones."""

# Every whole number below it has a float64 of its own.
_LARGEST = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChoice:
    """What the user says about the columns of the reference rows."""

    label: str = ""
    time: str = ""
    groups: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    """The model's features in order; found in graph and file when empty."""
    categorical: tuple[str, ...] = ()
    """Whole numbers that are counted by value, however many there are."""
    numeric: tuple[str, ...] = ()
    """Whole numbers that are counted by size, however few there are. Into a float input events
    may then bring fractions too."""


def infer_inputs(
    graph: Graph, table: Table, choice: ColumnChoice
) -> tuple[tuple[ModelInput, ...], tuple[Feature, ...]]:
    """Find which columns the model takes, and as what.

    A graph whose inputs are named like columns takes each from its column. One with a single
    input takes all features side by side, in the order of `choice.features` or of the file.

    Args:
        graph: The outside of the model.
        table: The reference rows.
        choice: What the user says.

    Returns:
        The inputs of the model, and the features in the order of their first use.

    Raises:
        BundleError: With everything that does not fit, and how to mend it.
    """
    _check_choice(table, choice)
    inputs = _inputs(graph, table, choice)
    features: dict[str, Feature] = {}
    faults: list[Finding] = []
    for each in inputs:
        for name in each.features:
            try:
                features[name] = _feature(name, table[name], each, choice)
            except _MisfitError as misfit:
                faults.append(Finding(f"column {name}", str(misfit), misfit.mend))
    if faults:
        raise BundleError("the model and the reference rows do not fit together", faults)
    return inputs, tuple(features.values())


def table_columns(table: Table, features: Sequence[Feature]) -> Features:
    """Give the feature columns of a table, as the pipeline sees them.

    Args:
        table: The reference rows.
        features: The signature that was found in them.
    """
    rows = len(next(iter(table.values())))
    matrix = np.full((rows, len(features)), np.nan)
    text = {}
    for at, feature in enumerate(features):
        column = table[feature.name]
        if feature.type is FeatureType.STRING:
            text[feature.name] = column.texts()
            matrix[:, at] = text_codes(feature, text[feature.name])
        elif column.numbers is not None:
            matrix[:, at] = column.numbers
    return Features(matrix, text)


class _MisfitError(Exception):
    """A column that cannot be the feature that the model wants."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


def _check_choice(table: Table, choice: ColumnChoice) -> None:
    named = {
        "--label": [choice.label] if choice.label else [],
        "--time": [choice.time] if choice.time else [],
        "--group": choice.groups,
        "--features": choice.features,
        "--categorical": choice.categorical,
        "--numeric": choice.numeric,
    }
    columns = f"columns are {', '.join(table)}"
    faults = [
        Finding(option, f"there is no column `{name}`", did_you_mean(name, table, columns))
        for option, names in named.items()
        for name in names
        if name not in table
    ]
    if faults:
        raise BundleError("the reference rows lack columns", faults)


# --- which columns --------------------------------------------------------------------------


def _inputs(graph: Graph, table: Table, choice: ColumnChoice) -> tuple[ModelInput, ...]:
    """Say which columns go into which input."""
    for port in graph.inputs:
        _check_port(port)
    if all(port.name in table and _width(port) in (None, 1) for port in graph.inputs):
        return tuple(_model_input(port, (port.name,)) for port in graph.inputs)
    if len(graph.inputs) == 1:
        return (
            _model_input(graph.inputs[0], _matrix_features(graph.inputs[0], table, choice)),
        )
    raise BundleError(
        "the model and the reference rows do not fit together",
        [
            Finding(f"input {port.name}", "has no column of its name", "rename the column")
            for port in graph.inputs
            if port.name not in table
        ]
        or [
            Finding(f"input {port}", "takes more than one column", "use one input for all")
            for port in graph.inputs
            if _width(port) not in (None, 1)
        ],
    )


def _check_port(port: Port) -> None:
    fault = mend = ""
    if port.type not in ELEMENTS:
        fault, mend = f"has the type {port.type}", f"use one of {', '.join(ELEMENTS)}"
    elif port.shape is not None and len(port.shape) > 2:
        fault, mend = "has more than two dimensions", "features are rows of a table"
    elif port.shape is not None and port.shape[0] is not None:
        fault = f"takes {port.shape[0]} rows at a time"
        mend = "export the model with an open first dimension (dynamic axes)"
    if fault:
        raise BundleError("the model is refused", [Finding(f"input {port}", fault, mend)])


def _width(port: Port) -> int | None:
    """Give how many columns an input takes; None when the graph leaves it open."""
    if port.shape is None:
        return None
    return 1 if len(port.shape) == 1 else port.shape[1]


def _model_input(port: Port, features: tuple[str, ...]) -> ModelInput:
    rank = 2 if port.shape is None else len(port.shape)
    return ModelInput(name=port.name, dtype=ELEMENTS[port.type], features=features, rank=rank)


def _matrix_features(port: Port, table: Table, choice: ColumnChoice) -> tuple[str, ...]:
    """Choose the columns of a matrix: as many as the graph says, or none at all."""
    width = _width(port)
    if choice.features:
        if width not in (None, len(choice.features)):
            message = (
                f"the model takes {width} columns, --features names {len(choice.features)}"
            )
            raise _unfit("--features", message, "name the model's features in its order")
        return choice.features
    others = {choice.label, choice.time}
    plain = tuple(name for name in table if name not in others and not _names_rows(name))
    # A group may be a feature or not; only the model's width tells.
    ungrouped = tuple(name for name in plain if name not in choice.groups)
    for candidate in (plain, ungrouped):
        if len(candidate) == width:
            return candidate
    width_text = "any number of" if width is None else str(width)
    message = (
        f"takes {width_text} columns, and the file offers {len(plain)}: {', '.join(plain)}"
    )
    raise _unfit(f"input {port.name}", message, "name the model's features with --features")


def _names_rows(column: str) -> bool:
    """Tell columns that usually name the row and say nothing about it."""
    name = column.strip().lower()
    return name in ("", "id", "uuid", "index") or name.endswith("_id")


# --- as what --------------------------------------------------------------------------------


def _feature(name: str, column: Column, each: ModelInput, choice: ColumnChoice) -> Feature:
    """Describe one column as the input wants it."""
    kind = _kind(column, each)
    if (
        kind is FeatureType.INTEGER
        and name in choice.numeric
        and each.dtype.startswith("float")
    ):
        kind = FeatureType.FLOAT
    missing = _missing(column, kind)
    if all(missing):
        raise _MisfitError("has no values", "leave it out, or give rows that have it")
    feature = Feature(
        name=name,
        type=kind,
        required=not any(missing),
        categories=_categories(name, column, kind, choice),
    )
    if fault := input_fault(feature, each):
        raise _MisfitError(
            fault, "give rows without missing values, or a model with a float input"
        )
    return feature


def _kind(column: Column, each: ModelInput) -> FeatureType:
    if each.dtype == "string":
        if column.text is None or column.kind is None:
            raise _MisfitError(
                f"holds no text, and the input `{each.name}` takes text",
                "write the values as text, as events will",
            )
        return FeatureType.STRING
    if column.kind is None:
        raise _MisfitError("mixes types, or holds none that is a feature", "write one type")
    if column.kind is FeatureType.STRING:
        raise _MisfitError(
            f"holds text, and the input `{each.name}` takes {each.dtype}",
            "give the numbers that the model was trained on, or leave the column out with "
            "--features; a missing number is an empty field",
        )
    if each.dtype in ("int32", "int64") and column.kind is FeatureType.FLOAT:
        if not _whole(column):
            raise _MisfitError(
                f"holds fractions, and the input `{each.name}` is {each.dtype}", "round"
            )
        return FeatureType.INTEGER
    return column.kind


def _missing(column: Column, kind: FeatureType) -> Sequence[bool]:
    if kind is FeatureType.STRING:
        return [value is None for value in column.texts()]
    return [] if column.numbers is None else np.isnan(column.numbers).tolist()


def _whole(column: Column) -> bool:
    numbers = column.numbers
    if numbers is None:
        return False
    known = numbers[~np.isnan(numbers)]
    return bool(np.all((np.abs(known) < _LARGEST) & (known == np.floor(known))))


def _categories(
    name: str, column: Column, kind: FeatureType, choice: ColumnChoice
) -> tuple[str | int | bool, ...] | None:
    """Give the values that are counted one by one; None for a column counted by size."""
    if kind is FeatureType.STRING:
        if name in choice.numeric:
            raise _MisfitError(
                "is text, so it cannot be counted by size", "take it off --numeric"
            )
        counted = Counter(value for value in column.texts() if value is not None)
        ranked = sorted(counted, key=lambda value: (-counted[value], value))
        return tuple(sorted(ranked[:MOST_CATEGORIES]))
    if kind is FeatureType.INTEGER and not _whole(column):
        raise _MisfitError(
            f"holds whole numbers from {_LARGEST} up", "they are names: write text"
        )
    if name in choice.numeric or column.numbers is None:
        return None
    distinct = np.unique(column.numbers[~np.isnan(column.numbers)]).tolist()
    if kind is FeatureType.BOOLEAN:
        return tuple(bool(value) for value in distinct)
    if name in choice.categorical:
        if not _whole(column):
            raise _MisfitError(
                "holds fractions, so it is counted by size", "take it off --categorical"
            )
        return tuple(int(value) for value in distinct)
    if kind is FeatureType.INTEGER and len(distinct) <= MOST_CODES:
        return tuple(int(value) for value in distinct)
    return None


def _unfit(path: str, message: str, mend: str) -> BundleError:
    return BundleError(
        "the model and the reference rows do not fit together", [Finding(path, message, mend)]
    )
