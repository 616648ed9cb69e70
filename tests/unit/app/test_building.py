"""From files to bundles, beside what onnxruntime says when it is asked alone."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from sidecar.app.building import BuildRequest, build_bundle, verify_bundle
from sidecar.bundle.load import Bundle, load_evaluation
from sidecar.bundle.manifest import Activation, FeatureType, ScoreForm, Task
from sidecar.bundle.outputs import AnswerChoice
from sidecar.bundle.signature import ColumnChoice
from sidecar.errors import BundleError, UserError
from tests.bundle_factory import (
    EVENT,
    LABELS,
    build_credit_bundle,
    credit_probability,
    credit_rows,
)
from tests.onnx_graphs import FLOAT, graph_bytes

HOUR_MS = 3_600_000
DATA = Path(__file__).parents[2] / "data"
Outputs = list[Any]
Read = Callable[[Outputs], NDArray[np.float64]]
"""Gives the score of each row as this product defines it."""


def softmax_of_chosen(outputs: Outputs) -> NDArray[np.float64]:
    exponentials = np.exp(outputs[0].astype(np.float64))
    shares: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return np.asarray(shares.max(axis=1))


def column_of_last(outputs: Outputs) -> NDArray[np.float64]:
    return np.asarray(outputs[1][:, 1], np.float64)


def largest(outputs: Outputs) -> NDArray[np.float64]:
    return np.asarray(outputs[1].max(axis=1), np.float64)


def largest_of_map(outputs: Outputs) -> NDArray[np.float64]:
    return np.array([max(row.values()) for row in outputs[1]])


def largest_of_columns(outputs: Outputs) -> NDArray[np.float64]:
    columns = np.hstack([np.reshape(each, (-1, 1)) for each in outputs[1:]])
    return np.asarray(columns.max(axis=1), np.float64)


def value(outputs: Outputs) -> NDArray[np.float64]:
    return np.asarray(outputs[0], np.float64).ravel()


@dataclass(frozen=True)
class Case:
    """One model, its table, and what is known about it."""

    model: str
    table: str
    label: str
    task: Task
    labels: tuple[str, ...]
    form: ScoreForm
    read: Read
    answers: AnswerChoice = field(default_factory=AnswerChoice)
    quality: float = 0.9
    """Least accuracy, or largest error of a regression."""


CANCER = ("benign", "malignant")
IRIS = ("setosa", "versicolor", "virginica")
WINE = ("0", "1", "2")
CASES = [
    Case(
        "cancer_zipmap", "cancer.csv", "diagnosis", Task.BINARY, CANCER, ScoreForm.ZIPMAP,
        lambda outputs: np.array([row["malignant"] for row in outputs[1]]),
    ),
    Case(
        "cancer_tensor", "cancer.csv", "diagnosis", Task.BINARY, CANCER, ScoreForm.TENSOR,
        column_of_last,
    ),
    Case(
        "cancer_columns", "cancer.csv", "diagnosis", Task.BINARY, CANCER, ScoreForm.COLUMNS,
        lambda outputs: np.asarray(outputs[2], np.float64).ravel(),
    ),
    Case(
        "cancer_incomplete", "cancer_incomplete.csv", "diagnosis", Task.BINARY, CANCER,
        ScoreForm.TENSOR, column_of_last,
    ),
    Case(
        "iris_zipmap", "iris.csv", "species", Task.MULTICLASS, IRIS, ScoreForm.ZIPMAP,
        largest_of_map,
    ),
    Case(
        "iris_tensor", "iris.csv", "species", Task.MULTICLASS, IRIS, ScoreForm.TENSOR, largest,
    ),
    Case(
        "iris_columns", "iris.csv", "species", Task.MULTICLASS, IRIS, ScoreForm.COLUMNS,
        largest_of_columns,
    ),
    Case(
        "iris_logits", "iris.csv", "species", Task.MULTICLASS, IRIS, ScoreForm.TENSOR,
        softmax_of_chosen, AnswerChoice(labels=IRIS, activation=Activation.SOFTMAX),
    ),
    Case(
        "wine_lightgbm", "wine.parquet", "cultivar", Task.MULTICLASS, WINE, ScoreForm.ZIPMAP,
        largest_of_map,
    ),
    Case(
        "wine_xgboost", "wine.parquet", "cultivar", Task.MULTICLASS, WINE, ScoreForm.TENSOR,
        largest,
    ),
    Case(
        "diabetes_sklearn", "diabetes.jsonl", "progression", Task.REGRESSION, (),
        ScoreForm.TENSOR, value, quality=60,
    ),
    Case(
        "diabetes_lightgbm", "diabetes.jsonl", "progression", Task.REGRESSION, (),
        ScoreForm.TENSOR, value, quality=60,
    ),
    Case(
        "shop_named", "shop.csv", "returned", Task.BINARY, ("no", "yes"), ScoreForm.TENSOR,
        column_of_last, quality=0.65,
    ),
]  # fmt: skip


def request(folder: Path, case: Case) -> BuildRequest:
    return BuildRequest(
        model=DATA / "models" / f"{case.model}.onnx",
        reference=DATA / "tables" / case.table,
        out=folder / case.model,
        name=case.model,
        version="1",
        created="2026-01-01T00:00:00Z",
        columns=ColumnChoice(label=case.label),
        answers=case.answers,
    )


def asked_alone(bundle: Bundle) -> Outputs:
    """Run the golden rows in onnxruntime, with none of our code between."""
    session = onnxruntime.InferenceSession(
        bundle.model_path.read_bytes(), providers=["CPUExecutionProvider"]
    )
    rows = [row.features for row in bundle.golden]
    names = [each.name for each in session.get_inputs()]
    if len(names) == 1:
        matrix = [[np.nan if v is None else v for v in row.values()] for row in rows]
        return list(session.run(None, {names[0]: np.array(matrix, np.float32)}))
    types = {
        "tensor(float)": np.float32,
        "tensor(int64)": np.int64,
        "tensor(string)": np.object_,
    }
    feeds: dict[str, Any] = {
        each.name: np.array([[row[each.name]] for row in rows], types[each.type])
        for each in session.get_inputs()
    }
    return list(session.run(None, feeds))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.model)
def test_a_bundle_is_built_from_each_converters_model(tmp_path: Path, case: Case) -> None:
    bundle = build_bundle(request(tmp_path, case))

    spec = bundle.manifest.model
    assert (spec.task, spec.labels, spec.form) == (case.task, case.labels, case.form)
    assert verify_bundle(bundle.path) == bundle
    scores = np.array([row.score for row in bundle.golden])
    np.testing.assert_allclose(case.read(asked_alone(bundle)), scores, rtol=1e-6)
    evaluation = load_evaluation(bundle)
    assert evaluation is not None
    assert evaluation.records == bundle.reference.records
    if case.task is Task.REGRESSION:
        assert evaluation.metrics["rmse"] < case.quality
        assert bundle.calibration is None
    else:
        assert evaluation.metrics["accuracy"] > case.quality
        assert bundle.calibration is not None
        assert {row.label for row in bundle.golden} == set(case.labels)


def test_features_of_every_kind_are_found(tmp_path: Path) -> None:
    bundle = verify_bundle(build_credit_bundle(tmp_path))

    found = [(f.name, f.type, f.required, f.categories) for f in bundle.manifest.features]
    assert found == [
        ("amount", FeatureType.FLOAT, True, None),
        ("income", FeatureType.FLOAT, False, None),
        ("age", FeatureType.INTEGER, True, None),
        ("is_customer", FeatureType.BOOLEAN, True, (False, True)),
        ("segment", FeatureType.STRING, True, ("bronze", "gold", "silver")),
        ("region", FeatureType.INTEGER, True, (1, 2, 7)),
    ]
    assert bundle.manifest.model.labels == LABELS
    assert any(row.features["income"] is None for row in bundle.golden)


def test_the_credit_model_is_the_formula_that_the_tests_use(tmp_path: Path) -> None:
    bundle = verify_bundle(build_credit_bundle(tmp_path))

    expected = [credit_probability(row.features) for row in bundle.golden]

    assert [row.score for row in bundle.golden] == pytest.approx(expected, abs=1e-5)
    assert credit_probability(EVENT) > 0.6
    assert len(credit_rows()) == bundle.reference.records


def test_without_labels_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    features = tuple(
        f"mean_{name}"
        for name in ("radius", "texture", "perimeter", "area", "smoothness", "compactness")
    )
    labelled = request(tmp_path, CASES[1])

    bundle = build_bundle(replace(labelled, columns=ColumnChoice(features=features)))

    assert (bundle.calibration, load_evaluation(bundle)) == (None, None)
    assert "calibration.json" not in bundle.manifest.files


def test_progress_is_told_in_rows(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    build_bundle(request(tmp_path, CASES[0]), lambda done, of: told.append((done, of)))

    assert told == [(569, 569)]


# --- time ------------------------------------------------------------------------------------

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def timed_request(folder: Path, weeks: int, rows_per_hour: int, **changes: Any) -> BuildRequest:
    """Rows of some weeks for a model of two features."""
    random = np.random.default_rng(1)
    hours = weeks * 168
    with (folder / "rows.csv").open("w") as file:
        file.write("a,b,seen\n")
        for hour in range(hours):
            for a, b in random.normal(size=(rows_per_hour, 2)).round(3).tolist():
                file.write(f"{a},{b},{MONDAY + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}\n")
    wanted: dict[str, Any] = {
        "model": model(folder, "Softmax"),
        "reference": folder / "rows.csv",
        "out": folder / "out",
        "name": "tiny",
        "version": "1",
        "created": "2026-01-01T00:00:00Z",
        "answers": AnswerChoice(labels=("no", "yes")),
        "columns": ColumnChoice(time="seen", features=("a", "b")),
        **changes,
    }
    return BuildRequest(**wanted)


def test_windows_of_the_wanted_lengths_are_calibrated(tmp_path: Path) -> None:
    request = timed_request(tmp_path, 1, 50, windows_ms=(6 * HOUR_MS, 24 * HOUR_MS))

    bundle = build_bundle(request)

    found = bundle.reference.calibration
    assert [(each.length_ms, each.windows, each.records) for each in found] == [
        (6 * HOUR_MS, 28, 300),
        (24 * HOUR_MS, 7, 1_200),
    ]
    card = (tmp_path / "out" / "CARD.md").read_text()
    assert "| 6h | calibrated on 28 windows of about 300 rows: overdispersion 1.0 to " in card
    assert "| 24h | uncalibrated: 7 windows, 10 with 200 rows or more are needed |" in card
    assert "| Reference | 8,400 rows, 2026-01-05 to 2026-01-11 |" in card


def test_a_seasonal_reference_travels_with_the_bundle(tmp_path: Path) -> None:
    request = timed_request(tmp_path, 2, 100, windows_ms=(24 * HOUR_MS,), seasonal=True)

    bundle = build_bundle(request)

    assert bundle.slots is not None
    assert bundle.slots.shape[0] == 168
    assert "seasonal.npy" in bundle.manifest.files
    assert [each.reference for each in bundle.reference.calibration] == ["overall", "seasonal"]
    card = (tmp_path / "out" / "CARD.md").read_text()
    assert "| 24h, by hour of the week | calibrated on 14 windows of about 2,400 rows" in card


def test_hours_with_too_few_rows_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        build_bundle(timed_request(tmp_path, 1, 100, seasonal=True))

    (finding,) = refused.value.findings
    assert finding.path == "--seasonal"
    assert "200 rows in each hour of the week; too few: Monday 00:00 (100)" in finding.message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "asked"),
    [("--seasonal", {"seasonal": True}), ("--windows", {"windows_ms": (1,)})],
)
def test_what_goes_by_time_needs_a_time_column(
    tmp_path: Path, option: str, asked: dict[str, Any]
) -> None:
    request = timed_request(tmp_path, 1, 1, columns=ColumnChoice(features=("a", "b")), **asked)

    with pytest.raises(UserError, match=f"{option}: needs the time of the reference rows"):
        build_bundle(request)


def test_a_time_that_is_none_is_refused_with_its_row(tmp_path: Path) -> None:
    request = timed_request(tmp_path, 1, 1)
    rows = request.reference.read_text().splitlines()
    request.reference.write_text("\n".join([*rows[:3], "1,2,soon", *rows[4:]]))

    with pytest.raises(UserError, match="row 3 of `seen` holds `soon`, which is no instant"):
        build_bundle(request)


# --- refusals --------------------------------------------------------------------------------


def table(folder: Path, *lines: str) -> Path:
    path = folder / "rows.csv"
    path.write_text("\n".join(("a,b", *lines)))
    return path


def model(folder: Path, node: str, width: int = 2) -> Path:
    """Give a model of one operator from a [n, 2] to y [n, width]."""
    path = folder / "model.onnx"
    inputs = [helper.make_tensor_value_info("X", FLOAT, ["n", 2])]
    outputs = [helper.make_tensor_value_info("y", FLOAT, ["n", width])]
    nodes = [helper.make_node(node, ["X"], ["y"])]
    path.write_bytes(graph_bytes(nodes, inputs=inputs, outputs=outputs))
    return path


def refusal(model: Path, reference: Path, **changes: Any) -> str:
    wanted = {
        "model": model,
        "reference": reference,
        "out": reference.parent / "out",
        "name": "tiny",
        "version": "1",
        "created": "2026-01-01T00:00:00Z",
        "answers": AnswerChoice(labels=("no", "yes")),
        **changes,
    }
    with pytest.raises(UserError) as error:
        build_bundle(BuildRequest(**wanted))
    assert not (reference.parent / "out").exists()
    (finding,) = error.value.findings
    return f"{finding.path}: {finding.message}"


def test_raw_scores_are_no_probabilities(tmp_path: Path) -> None:
    found = refusal(model(tmp_path, "Identity"), table(tmp_path, "3,-4", "0.5,0.5"))

    assert found == "model.onnx: gives no probabilities, or no finite score, for 1 rows"


def test_scores_of_independent_classes_are_no_distribution(tmp_path: Path) -> None:
    found = refusal(model(tmp_path, "Sigmoid"), table(tmp_path, "3,4", "0,0"))

    assert found == "model.onnx: gives scores that do not add up to 1 for 1 rows"


def test_a_model_that_cannot_bear_missing_values_is_found_out(tmp_path: Path) -> None:
    found = refusal(model(tmp_path, "Softmax"), table(tmp_path, "3,4", "0,"))

    assert found == ("model.onnx: gives no finite score for 1 rows, all with missing values")


def test_an_activation_that_does_not_fit_the_classes_is_refused(tmp_path: Path) -> None:
    answers = AnswerChoice(labels=("a", "b", "c"), activation=Activation.SIGMOID)
    path = tmp_path / "rows.csv"
    path.write_text("w,x,y,z\n5,3,1,0.2\n")

    found = refusal(DATA / "models" / "iris_logits.onnx", path, answers=answers)

    assert found == "manifest.toml: has the activation sigmoid, which is for two classes only"


def test_a_model_that_cannot_run_on_the_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    inputs = [helper.make_tensor_value_info("X", FLOAT, ["n", "k"])]
    weights = helper.make_tensor("w", FLOAT, [3, 1], [1.0, 1.0, 1.0])
    nodes = [helper.make_node("MatMul", ["X", "w"], ["y"])]
    path.write_bytes(graph_bytes(nodes, inputs=inputs, initializers=[weights]))

    found = refusal(path, table(tmp_path, "3,4"), columns=ColumnChoice(features=("a", "b")))

    assert found.startswith("model.onnx: cannot run on the reference rows: ")


def test_a_class_that_turns_up_late_is_found_out(tmp_path: Path) -> None:
    # Row 2 of 9,000 is none of the rows that show how the model answers.
    rows = ["1,0", "0,0.9", *["0,1", "1,0"] * 4_499]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(("a,b", *rows)))
    model_path = tmp_path / "model.onnx"
    inputs = [helper.make_tensor_value_info("X", FLOAT, ["n", 2])]
    outputs = [
        helper.make_tensor_value_info("p", FLOAT, ["n", 2]),
        helper.make_tensor_value_info("l", TensorProto.INT64, ["n"]),
    ]
    ten = helper.make_tensor("ten", FLOAT, [2], [0.0, 10.0])
    nodes = [
        helper.make_node("Identity", ["X"], ["p"]),
        helper.make_node("Mul", ["X", "ten"], ["scaled"]),
        helper.make_node("ReduceSum", ["scaled", "axis"], ["sums"], keepdims=0),
        helper.make_node("Cast", ["sums"], ["l"], to=TensorProto.INT64),
    ]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    model_path.write_bytes(
        graph_bytes(nodes, inputs=inputs, outputs=outputs, initializers=[ten, axis])
    )

    found = refusal(model_path, path)

    assert found == (
        "model.onnx: cannot answer rows 1 to 4096: the model answers a class that is not listed"
    )


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    found = refusal(model(tmp_path, "Softmax"), table(tmp_path, "3,4"), name="my model")

    assert found.startswith("manifest.toml: Expected `str` matching regex")


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    found = refusal(tmp_path / "no.onnx", table(tmp_path, "3,4"))

    assert found == "no.onnx: cannot be read: No such file or directory"


def test_a_model_that_is_too_large(tmp_path: Path) -> None:
    found = refusal(model(tmp_path, "Softmax"), table(tmp_path, "3,4"), max_model_bytes=10)

    assert found == "model.onnx: is larger than 10 bytes"


def test_labels_that_no_row_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b,truth\n3,4,\n")

    found = refusal(model(tmp_path, "Softmax"), path, columns=ColumnChoice(label="truth"))

    assert found == "--label: no row has a value of `truth`"


def test_a_tampered_model_does_not_verify(tmp_path: Path) -> None:
    bundle = build_bundle(request(tmp_path, CASES[0]))
    other = DATA / "models" / "iris_zipmap.onnx"
    bundle.model_path.write_bytes(other.read_bytes())

    with pytest.raises(BundleError, match="its sha256 differs"):
        verify_bundle(bundle.path)
