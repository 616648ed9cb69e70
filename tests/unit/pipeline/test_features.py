from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.bundle.manifest import Feature, FeatureType, Manifest, ModelInput
from sidecar.bundle.rows import columns_of
from sidecar.events import Features
from sidecar.pipeline.features import Vectoriser
from tests.onnx_graphs import regression_manifest

FEATURES = (
    Feature(name="amount", type=FeatureType.FLOAT),
    Feature(name="age", type=FeatureType.INTEGER, required=False),
    Feature(name="vip", type=FeatureType.BOOLEAN),
    Feature(name="grade", type=FeatureType.STRING, required=False, categories=("a", "b")),
)
EVENTS = columns_of(
    FEATURES,
    [
        {"amount": 1.5, "age": 30, "vip": True, "grade": "b"},
        {"amount": 2.5, "age": None, "vip": False, "grade": None},
        {"amount": 3.5, "age": 50, "vip": True, "grade": "z"},
    ],
)


def manifest(*inputs: ModelInput) -> Manifest:
    draft = regression_manifest()
    model = msgspec.structs.replace(draft.model, inputs=inputs)
    return msgspec.structs.replace(draft, model=model, features=FEATURES)


def tensor(dtype: str, *features: str, rank: int = 2) -> NDArray[Any]:
    each = ModelInput(name="x", dtype=dtype, features=features, rank=rank)
    return Vectoriser(manifest(each)).tensors(EVENTS)["x"]


TENSORS: dict[str, tuple[str, tuple[str, ...], int, list[Any]]] = {
    "floats, missing is not a number": (
        "float32",
        ("amount", "age"),
        2,
        [[1.5, 30.0], [2.5, np.nan], [3.5, 50.0]],
    ),
    "in the order of the input": (
        "float64",
        ("vip", "amount"),
        2,
        [[1, 1.5], [0, 2.5], [1, 3.5]],
    ),
    "a vector": ("float32", ("amount",), 1, [1.5, 2.5, 3.5]),
    "whole numbers, missing is 0": ("int64", ("age",), 2, [[30], [0], [50]]),
    "booleans": ("bool", ("vip",), 2, [[True], [False], [True]]),
    "a missing boolean is false": ("bool", ("age",), 1, [True, False, True]),
    "text, missing is empty": ("string", ("grade",), 2, [["b"], [""], ["z"]]),
    "a vector of text": ("string", ("grade",), 1, ["b", "", "z"]),
}


@pytest.mark.parametrize(
    ("dtype", "features", "rank", "expected"), TENSORS.values(), ids=TENSORS.keys()
)
def test_a_tensor_holds_its_features(
    dtype: str, features: tuple[str, ...], rank: int, expected: list[Any]
) -> None:
    found = tensor(dtype, *features, rank=rank)

    assert found.dtype == (np.object_ if dtype == "string" else np.dtype(dtype))
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.array(expected, found.dtype))


def test_every_input_gets_its_tensor() -> None:
    inputs = (
        ModelInput(name="numbers", dtype="float32", features=("amount", "vip")),
        ModelInput(name="grade", dtype="string", features=("grade",), rank=1),
    )

    tensors = Vectoriser(manifest(*inputs)).tensors(EVENTS)

    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "numbers": [[1.5, 1.0], [2.5, 0.0], [3.5, 1.0]],
        "grade": ["b", "", "z"],
    }


@pytest.mark.parametrize(
    ("dtype", "given", "expected"),
    [
        ("float32", 1e300, np.inf),
        ("float64", 1e300, 1e300),
        ("int32", 1e10, 2**31 - 1),
        ("int32", -1e10, -(2**31)),
        ("int64", 1e300, 2**63 - 1024),
        ("int64", -1e300, -(2**63)),
        ("int64", 2.0**53, 2**53),
    ],
)
def test_numbers_beyond_the_type_stop_at_its_end(
    dtype: str, given: float, expected: float
) -> None:
    features = Features(np.array([[given, 0, 0, 0]]), {"grade": ["a"]})
    each = ModelInput(name="x", dtype=dtype, features=("amount",))

    assert Vectoriser(manifest(each)).tensors(features)["x"].tolist() == [[expected]]


def test_no_rows_give_empty_tensors() -> None:
    features = Features(np.empty((0, 4)), {"grade": []})
    each = ModelInput(name="x", dtype="float32", features=("amount", "age"))

    assert Vectoriser(manifest(each)).tensors(features)["x"].shape == (0, 2)
