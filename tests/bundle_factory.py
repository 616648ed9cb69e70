"""A small bundle with every kind of feature, built in the test from a graph written by hand.

The model is a logistic regression whose every number stands below, so that a test can say
what a given event must score: see `credit_probability`.
"""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sidecar.app.building import BuildRequest, build_bundle
from sidecar.bundle.signature import ColumnChoice

LABELS = ("decline", "approve")
SEGMENTS = {"bronze": -0.8, "silver": 0.0, "gold": 0.9}
REGIONS = (1, 2, 7)
EVENT: dict[str, Any] = {
    "amount": 800.0,
    "income": 32_000.0,
    "age": 41,
    "is_customer": True,
    "segment": "silver",
    "region": 2,
}
"""Features of an event that is good in every respect."""


def credit_probability(features: dict[str, Any]) -> float:
    """Give what the model must say about one event: the probability of `approve`.

    An unknown segment counts as 0, and so does an income that is missing.
    """
    income = features.get("income")
    logit = (
        1.0
        - 0.001 * features["amount"]
        + (0.0 if income is None else 0.00003 * (income - 30_000.0))
        + 0.03 * (features["age"] - 40)
        + 0.7 * features["is_customer"]
        + SEGMENTS.get(features["segment"], 0.0)
        - 0.1 * features["region"]
    )
    return 1.0 / (1.0 + math.exp(-logit))


def credit_model() -> bytes:
    """Give the ONNX file: one named input per feature, a label and two probabilities."""
    inputs = {
        "amount": TensorProto.FLOAT,
        "income": TensorProto.FLOAT,
        "age": TensorProto.INT64,
        "is_customer": TensorProto.BOOL,
        "segment": TensorProto.STRING,
        "region": TensorProto.INT64,
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["age"], ["age_f"], to=TensorProto.FLOAT),
        node("Cast", ["is_customer"], ["customer_f"], to=TensorProto.FLOAT),
        node("Cast", ["region"], ["region_f"], to=TensorProto.FLOAT),
        node("IsNaN", ["income"], ["income_missing"]),
        node("Where", ["income_missing", "typical_income", "income"], ["income_f"]),
        node(
            "LabelEncoder",
            ["segment"],
            ["segment_f"],
            domain="ai.onnx.ml",
            keys_strings=list(SEGMENTS),
            values_floats=list(SEGMENTS.values()),
            default_float=0.0,
        ),
        node(
            "Concat",
            ["amount", "income_f", "age_f", "customer_f", "segment_f", "region_f"],
            ["matrix"],
            axis=1,
        ),
        node("MatMul", ["matrix", "weights"], ["weighted"]),
        node("Add", ["weighted", "bias"], ["logit"]),
        node("Sigmoid", ["logit"], ["approve"]),
        node("Sub", ["one", "approve"], ["decline"]),
        node("Concat", ["decline", "approve"], ["probabilities"], axis=1),
        node("ArgMax", ["probabilities"], ["best"], axis=1, keepdims=0),
        node(
            "LabelEncoder",
            ["best"],
            ["label"],
            domain="ai.onnx.ml",
            keys_int64s=[0, 1],
            values_strings=list(LABELS),
        ),
    ]
    constants = {
        "weights": [[-0.001], [0.00003], [0.03], [0.7], [1.0], [-0.1]],
        "bias": [1.0 - 0.00003 * 30_000.0 - 0.03 * 40],
        "typical_income": [30_000.0],
        "one": [1.0],
    }
    graph = helper.make_graph(
        nodes,
        "credit",
        [helper.make_tensor_value_info(name, kind, ["n", 1]) for name, kind in inputs.items()],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["n"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2]),
        ],
        [
            onnx.numpy_helper.from_array(np.array(v, np.float32), k)
            for k, v in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    content: bytes = helper.make_model(
        graph, opset_imports=opsets, ir_version=9
    ).SerializeToString()
    return content


def credit_rows(count: int = 2_000, seed: int = 7) -> list[dict[str, Any]]:
    """Give reference rows with their label and time; every tenth income is missing."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        row: dict[str, Any] = {
            "amount": round(float(random.gamma(3.0, 500.0)), 2),
            "income": None if number % 10 == 3 else round(float(random.normal(32e3, 9e3)), 2),
            "age": int(random.integers(18, 90)),
            "is_customer": bool(random.random() < 0.6),
            "segment": str(random.choice(list(SEGMENTS), p=[0.3, 0.5, 0.2])),
            "region": int(random.choice(REGIONS)),
        }
        row["decision"] = LABELS[int(random.random() < credit_probability(row))]
        row["time"] = f"2026-01-{1 + number * 28 // count:02d}T00:00:00Z"
        rows.append(row)
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as CSV, as people's tools do: missing is empty, booleans are words."""
    words = {True: "true", False: "false", None: ""}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: words[v] if isinstance(v, bool) or v is None else v for k, v in row.items()}
            )
    return path


def build_credit_bundle(folder: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    """Build the bundle into `folder/credit`.

    Args:
        folder: Where model and rows are put too.
        rows: Its reference; `credit_rows()` when absent, too few to calibrate windows.

    Returns:
        The bundle's folder.
    """
    model = folder / "credit.onnx"
    model.write_bytes(credit_model())
    request = BuildRequest(
        model=model,
        reference=write_csv(folder / "credit.csv", rows or credit_rows()),
        out=folder / "credit",
        name="credit",
        version="7",
        created="2026-01-31T12:00:00Z",
        columns=ColumnChoice(label="decision", time="time", groups=("segment",)),
    )
    return build_bundle(request).path


@pytest.fixture(scope="session")
def credit_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle that is built once for all tests; do not write into it.

    Import it into a `conftest.py` to use it.
    """
    return build_credit_bundle(tmp_path_factory.mktemp("bundle"))
