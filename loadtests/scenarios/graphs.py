"""Models that are written by hand: a logistic regression over any number of columns."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Matrix = NDArray[np.float64]

_STEPS = 8
_RIDGE = 1e-3


def logistic_model(table: dict[str, Matrix], truth: "NDArray[np.int64]") -> bytes:
    """Fit a logistic regression, and give it as a model from `features` to `probabilities`.

    A missing value counts as its column's mean, inside the graph.

    Args:
        table: Columns; NaN is missing.
        truth: 0 or 1 for each row.
    """
    matrix = np.column_stack(list(table.values()))
    mean, scale = np.nanmean(matrix, axis=0), np.nanstd(matrix, axis=0)
    standard = (np.where(np.isnan(matrix), mean, matrix) - mean) / scale
    weights, bias = _fit(standard, truth)
    return _graph(mean, scale, weights, bias)


def _fit(rows: Matrix, truth: "NDArray[np.int64]") -> tuple[Matrix, float]:
    """Give weights and bias by Newton's method, with a little ridge."""
    design = np.column_stack([np.ones(len(rows)), rows])
    found = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-design @ found))
        slope = design.T @ (truth - p) - _RIDGE * found
        curve = (design * (p * (1.0 - p))[:, None]).T @ design
        found += np.linalg.solve(curve + _RIDGE * np.eye(len(found)), slope)
    return found[1:], float(found[0])


def _graph(mean: Matrix, scale: Matrix, weights: Matrix, bias: float) -> bytes:
    def constant(name: str, value: Any) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(value, np.float32), name)

    nodes = [
        helper.make_node("IsNaN", ["features"], ["gone"]),
        helper.make_node("Where", ["gone", "mean", "features"], ["whole"]),
        helper.make_node("Sub", ["whole", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standard"]),
        helper.make_node("MatMul", ["standard", "weights"], ["weighted"]),
        helper.make_node("Add", ["weighted", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["second"]),
        helper.make_node("Sub", ["one", "second"], ["first"]),
        helper.make_node("Concat", ["first", "second"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "logistic",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(mean)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [
            constant("mean", mean),
            constant("scale", scale),
            constant("weights", weights[:, None]),
            constant("bias", [bias]),
            constant("one", [1.0]),
        ],
    )
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    content: bytes = model.SerializeToString()
    return content
