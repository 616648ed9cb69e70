import numpy as np
import pytest

from sidecar.bundle.evaluation import Answers, evaluate, true_classes, true_values
from sidecar.bundle.manifest import FeatureType, ModelSpec, Task
from sidecar.bundle.tables import Column
from sidecar.errors import BundleError

SPEC = ModelSpec(
    task=Task.BINARY, inputs=(), scores=("p",), labels=("refuse", "approve"), classes=(0, 1)
)


def texts(*values: str | None) -> Column:
    return Column(FeatureType.STRING, None, list(values))


@pytest.mark.parametrize(
    "column",
    [
        texts("approve", "refuse", None),
        texts("1", "0", None),
        Column(FeatureType.INTEGER, np.array([1.0, 0.0, np.nan])),
        Column(FeatureType.FLOAT, np.array([1.0, 0.0, np.nan])),
        Column(FeatureType.BOOLEAN, np.array([1.0, 0.0, np.nan])),
    ],
    ids=["labels", "classes as text", "classes", "classes as floats", "booleans"],
)
def test_truth_is_told_in_labels_or_in_the_models_own_classes(column: Column) -> None:
    assert true_classes(column, SPEC).tolist() == [1, 0, -1]


def test_truth_that_is_no_class_is_refused() -> None:
    with pytest.raises(BundleError, match="holds values that are no class: maybe, never"):
        true_classes(texts("never", "approve", "maybe"), SPEC)


def test_a_regression_needs_numbers() -> None:
    with pytest.raises(BundleError, match="holds no numbers"):
        true_values(texts("a lot"))


def test_a_classifier_is_measured_overall_and_by_group() -> None:
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3]])
    answers = Answers(
        truth=np.array([0, 1, 1], np.int32),
        label=np.array([0, 1, 0], np.int32),
        score=probabilities[:, 1],
        probabilities=probabilities,
    )

    found = evaluate(Task.BINARY, answers, {"sex": texts("f", "m", None)})

    first, second = -np.log(0.8), -np.log(0.6)
    assert found.metrics == pytest.approx(
        {
            "accuracy": 2 / 3,
            "brier": (0.04 + 0.16 + 0.49) / 3,
            "log_loss": (first + second - np.log(0.3)) / 3,
            "auc": 1.0,
        }
    )
    # The ranking of a single row says nothing, so there is none.
    assert {value: part.metrics for value, part in found.groups["sex"].items()} == {
        "f": pytest.approx({"accuracy": 1.0, "brier": 0.04, "log_loss": first}),
        "m": pytest.approx({"accuracy": 1.0, "brier": 0.16, "log_loss": second}),
    }
    assert [found.records, *(part.records for part in found.groups["sex"].values())] == [
        3,
        1,
        1,
    ]


def test_a_regression_is_measured_in_the_unit_of_its_value() -> None:
    answers = Answers(
        truth=np.array([1.0, 2.0]),
        label=np.array([-1, -1], np.int32),
        score=np.array([2.0, 5.0]),
        probabilities=None,
    )

    assert evaluate(Task.REGRESSION, answers, {}).metrics == {"rmse": 5**0.5, "mae": 2.0}


def test_a_column_of_many_values_makes_no_groups() -> None:
    answers = Answers(
        truth=np.zeros(60),
        label=np.full(60, -1, np.int32),
        score=np.zeros(60),
        probabilities=None,
    )

    with pytest.raises(BundleError, match="has 60 values; at most 50 make groups"):
        evaluate(Task.REGRESSION, answers, {"id": texts(*map(str, range(60)))})
