"""Turns feature columns into the tensors that the model's graph takes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.manifest import Manifest, ModelInput
from sidecar.events import Features
from sidecar.ports import Tensors

_Build = Callable[[Features], NDArray[Any]]


class Vectoriser:
    """Builds the model's inputs, rows in order. Cannot fail.

    A missing value reaches the model as NaN in a float tensor and as the empty string in a
    text tensor. Whole number and boolean tensors cannot say "missing": there it is 0. A bundle
    whose reference has such rows is not built, so that happens only to an event that lacks a
    required feature and is scored all the same (`input.on_missing: flag`).
    """

    def __init__(self, manifest: Manifest) -> None:
        """Plan the tensors of a model.

        Args:
            manifest: Of a bundle that was loaded, so its inputs name features that exist.
        """
        names = [feature.name for feature in manifest.features]
        self._builders = [(port.name, _builder(port, names)) for port in manifest.model.inputs]

    def tensors(self, features: Features) -> Tensors:
        """Give one tensor per input of the graph, by name."""
        return {name: build(features) for name, build in self._builders}


def _builder(port: ModelInput, names: Sequence[str]) -> _Build:
    """Choose how one tensor is made."""
    columns = [names.index(name) for name in port.features]
    shape = (-1,) if port.rank == 1 else (-1, len(columns))
    whole_matrix = columns == list(range(len(names)))
    if port.dtype == "string":
        return lambda features: _texts(features, port.features).reshape(shape)
    dtype = np.dtype(port.dtype)
    convert = _floats if dtype.kind == "f" else _whole_numbers

    def build(features: Features) -> NDArray[Any]:
        wanted = features.matrix if whole_matrix else features.matrix[:, columns]
        return convert(wanted, dtype).reshape(shape)

    return build


def _texts(features: Features, names: Sequence[str]) -> NDArray[np.object_]:
    tensor = np.empty((len(features), len(names)), np.object_)
    for column, name in enumerate(names):
        tensor[:, column] = [value or "" for value in features.text[name]]
    return tensor


def _floats(matrix: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    # A number beyond float32 becomes infinite there; the model says what that means.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(matrix, dtype)


def _whole_numbers(matrix: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    numbers = np.nan_to_num(matrix, nan=0.0)
    if dtype.kind == "b":
        return np.ascontiguousarray(numbers, dtype)
    # The cast of a number beyond the type is undefined, so it stops at the type's bounds. The
    # largest int64 has no float64; the next float64 below it is used.
    bounds = np.iinfo(dtype)
    highest = min(float(bounds.max), np.nextafter(2.0**63, 0.0))
    return np.ascontiguousarray(numbers.clip(float(bounds.min), highest), dtype)
