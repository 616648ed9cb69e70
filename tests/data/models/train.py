"""Trains the models beside this file and writes the tables they are built from.

Real output of the converters that people use, in every shape in which classifiers answer.
Run it in an environment of its own (`requirements.txt`): the converters need older releases
of onnx and protobuf than the tests do.

    python3 -m venv build/convert
    build/convert/bin/pip install -r tests/data/models/requirements.txt
    build/convert/bin/python tests/data/models/train.py
"""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxmltools
import pandas as pd
import skl2onnx
import xgboost
from onnx import helper
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

MODELS = Path(__file__).parent
TABLES = MODELS.parent / "tables"
OPSET = {"": 17, "ai.onnx.ml": 3}


def main() -> None:
    """Write all models and tables."""
    cancer = _packaged(load_breast_cancer(as_frame=True), "diagnosis", 6)
    iris = _packaged(load_iris(as_frame=True), "species", 4)
    wine = _packaged(load_wine(as_frame=True), "cultivar", 13)
    wine["cultivar"] = load_wine().target
    diabetes = _diabetes()
    incomplete = _incomplete(cancer)
    shop = _shop()
    cancer.to_csv(TABLES / "cancer.csv", index=False)
    incomplete.to_csv(TABLES / "cancer_incomplete.csv", index=False)
    iris.to_csv(TABLES / "iris.csv", index=False)
    wine.to_parquet(TABLES / "wine.parquet", index=False)
    diabetes.to_json(TABLES / "diabetes.jsonl", orient="records", lines=True)
    shop.to_csv(TABLES / "shop.csv", index=False)
    _three_forms("cancer", cancer)
    _three_forms("iris", iris)
    _logits(iris)
    _regressor(diabetes)
    _trees_with_missing(incomplete)
    _lightgbm(wine)
    _lightgbm_regressor(diabetes)
    _xgboost(wine)
    _named_inputs(shop)


# --- tables ----------------------------------------------------------------------------------


def _packaged(data: Any, label: str, features: int) -> pd.DataFrame:
    """Give a data set that scikit-learn brings along, with names instead of class numbers."""
    frame = data.data.iloc[:, :features].copy()
    frame.columns = [_plain(name) for name in frame.columns]
    frame[label] = data.target_names[data.target]
    return frame


def _diabetes() -> pd.DataFrame:
    data = load_diabetes(as_frame=True, scaled=False)
    frame = data.data[["age", "sex", "bmi", "bp", "s5"]].copy()
    frame["age"] = frame["age"].astype(int)
    frame["sex"] = frame["sex"].astype(int)
    frame["progression"] = data.target
    return frame


def _incomplete(cancer: pd.DataFrame) -> pd.DataFrame:
    """Lose every eighth value of two columns."""
    random = np.random.default_rng(3)
    frame = cancer.copy()
    for column in ("mean_texture", "mean_area"):
        frame.loc[random.random(len(frame)) < 0.125, column] = np.nan
    return frame


def _shop() -> pd.DataFrame:
    """Make orders up: will one be returned?"""
    random = np.random.default_rng(11)
    count = 600
    frame = pd.DataFrame(
        {
            "order_id": [f"o{number:05d}" for number in range(count)],
            "price": random.gamma(2.0, 40.0, count).round(2),
            "items": random.integers(1, 6, count),
            "channel": random.choice(["app", "web", "phone"], count, p=[0.5, 0.4, 0.1]),
            "size": random.choice(["S", "M", "L", "XL"], count),
        }
    )
    logit = (
        0.01 * frame["price"] - 0.4 * frame["items"] + 1.2 * (frame["channel"] == "web") - 0.5
    )
    frame["returned"] = np.where(random.random(count) < 1 / (1 + np.exp(-logit)), "yes", "no")
    return frame


# --- models ----------------------------------------------------------------------------------


def _three_forms(name: str, frame: pd.DataFrame) -> None:
    """A classifier with text labels: a map per row, one tensor, one tensor per class."""
    features, labels = _matrix(frame), frame.iloc[:, -1].to_numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features, labels)
    for form, zipmap in (("zipmap", True), ("tensor", False), ("columns", "columns")):
        _save(f"{name}_{form}", _from_sklearn(model, features, zipmap=zipmap))


def _logits(frame: pd.DataFrame) -> None:
    """What a network gives without its last layer: scores of any size, and no label."""
    features, labels = _matrix(frame), frame.iloc[:, -1].to_numpy()
    model = LogisticRegression(max_iter=1000).fit(features, labels)
    weights = model.coef_.T.astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weights"], ["weighted"]),
            helper.make_node("Add", ["weighted", "bias"], ["logits"]),
        ],
        "logits",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", weights.shape[0]])],
        [
            helper.make_tensor_value_info(
                "logits", onnx.TensorProto.FLOAT, ["n", weights.shape[1]]
            )
        ],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(model.intercept_.astype(np.float32), "bias"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    _save("iris_logits", helper.make_model(graph, opset_imports=opset, ir_version=9))


def _regressor(frame: pd.DataFrame) -> None:
    features = _matrix(frame)
    model = GradientBoostingRegressor(n_estimators=40, max_depth=3, random_state=0)
    model.fit(features, frame["progression"])
    _save("diabetes_sklearn", _from_sklearn(model, features))


def _trees_with_missing(frame: pd.DataFrame) -> None:
    """Trees that know what to do with a value that is missing."""
    features, labels = _matrix(frame), frame.iloc[:, -1].to_numpy()
    model = HistGradientBoostingClassifier(max_iter=30, max_depth=4, random_state=0)
    model.fit(features, labels)
    _save("cancer_incomplete", _from_sklearn(model, features, zipmap=False))


def _lightgbm(frame: pd.DataFrame) -> None:
    """Class numbers as a map per row, as onnxmltools gives them by default."""
    features = _matrix(frame)
    model = lightgbm.LGBMClassifier(
        n_estimators=15, num_leaves=7, random_state=0, deterministic=True, verbose=-1
    ).fit(features, frame["cultivar"])
    kinds = [("input", ToolsFloat([None, features.shape[1]]))]
    _save(
        "wine_lightgbm",
        onnxmltools.convert_lightgbm(model, initial_types=kinds, target_opset=15),
    )


def _lightgbm_regressor(frame: pd.DataFrame) -> None:
    features = _matrix(frame)
    model = lightgbm.LGBMRegressor(
        n_estimators=30, num_leaves=7, random_state=0, deterministic=True, verbose=-1
    ).fit(features, frame["progression"])
    kinds = [("input", ToolsFloat([None, features.shape[1]]))]
    converted = onnxmltools.convert_lightgbm(model, initial_types=kinds, target_opset=15)
    _save("diabetes_lightgbm", converted)


def _xgboost(frame: pd.DataFrame) -> None:
    features = _matrix(frame)
    model = xgboost.XGBClassifier(n_estimators=15, max_depth=3, random_state=0, n_jobs=1)
    model.fit(features, frame["cultivar"])
    kinds = [("input", ToolsFloat([None, features.shape[1]]))]
    _save(
        "wine_xgboost", onnxmltools.convert_xgboost(model, initial_types=kinds, target_opset=15)
    )


def _named_inputs(frame: pd.DataFrame) -> None:
    """One input per column, of its own type."""
    columns = ["price", "items", "channel", "size"]
    encode = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["price", "items"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["channel", "size"]),
        ]
    )
    model = make_pipeline(encode, LogisticRegression(max_iter=1000))
    model.fit(frame[columns], frame["returned"])
    kinds = [
        ("price", FloatTensorType([None, 1])),
        ("items", Int64TensorType([None, 1])),
        ("channel", StringTensorType([None, 1])),
        ("size", StringTensorType([None, 1])),
    ]
    converted = skl2onnx.to_onnx(
        model, initial_types=kinds, options={"zipmap": False}, target_opset=OPSET
    )
    _save("shop_named", converted)


# --- tools -----------------------------------------------------------------------------------


def _matrix(frame: pd.DataFrame) -> Any:
    return frame.iloc[:, :-1].to_numpy(np.float32)


def _from_sklearn(model: Any, features: Any, **options: Any) -> Any:
    return skl2onnx.to_onnx(model, features[:1], options=options or None, target_opset=OPSET)


def _save(name: str, model: Any) -> None:
    content = model.SerializeToString()
    if len(content) > 100_000:
        raise ValueError(f"{name} has {len(content)} bytes; make it smaller")
    (MODELS / f"{name}.onnx").write_bytes(content)


def _plain(name: str) -> str:
    """`sepal length (cm)` becomes `sepal_length`."""
    return name.partition(" (")[0].replace(" ", "_").replace("/", "_")


if __name__ == "__main__":
    main()
