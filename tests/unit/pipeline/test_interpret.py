from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sidecar.bundle.manifest import Activation, ModelSpec, ScoreForm, Task
from sidecar.errors import ModelContractError
from sidecar.events import Reason, ScoreBatch
from sidecar.pipeline.interpret import Interpreter

BINARY = ModelSpec(task=Task.BINARY, inputs=(), scores=("p",), labels=("no", "yes"))
MULTICLASS = ModelSpec(
    task=Task.MULTICLASS, inputs=(), scores=("p",), labels=("ant", "bee", "cat")
)
REGRESSION = ModelSpec(task=Task.REGRESSION, inputs=(), scores=("y",))


def floats(rows: Any) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def words(*values: str) -> NDArray[np.object_]:
    return np.array(values, np.object_)


def read(spec: ModelSpec, outputs: Mapping[str, Any], records: int = 2) -> ScoreBatch:
    return Interpreter(spec, "max_probability").interpret(outputs, records)


def listed(scores: ScoreBatch) -> list[list[float]]:
    return [np.round(column, 6).tolist() for column in astuple(scores)]


def with_classes(spec: ModelSpec, form: ScoreForm, *scores: str, label: str = "l") -> ModelSpec:
    return msgspec.structs.replace(
        spec, form=form, scores=scores, label_output=label, classes=spec.labels
    )


SHAPES: dict[str, tuple[ModelSpec, Mapping[str, Any]]] = {
    "two columns": (BINARY, {"p": floats([[0.25, 0.75], [0.5625, 0.4375]])}),
    "one column": (BINARY, {"p": floats([[0.75], [0.4375]])}),
    "a vector": (BINARY, {"p": floats([0.75, 0.4375])}),
    "log-odds": (
        msgspec.structs.replace(BINARY, activation=Activation.SIGMOID),
        {"p": np.log([0.75 / 0.25, 0.4375 / 0.5625])},
    ),
    "logits": (
        msgspec.structs.replace(BINARY, activation=Activation.SOFTMAX),
        {"p": np.log([[0.25, 0.75], [0.5625, 0.4375]]) + 700.0},
    ),
    "a map per row": (
        with_classes(BINARY, ScoreForm.ZIPMAP, "p"),
        {
            "l": words("yes", "no"),
            "p": [{"yes": 0.75, "no": 0.25}, {"no": 0.5625, "yes": 0.4375}],
        },
    ),
    "an output per class": (
        with_classes(BINARY, ScoreForm.COLUMNS, "a", "b"),
        {"l": words("yes", "no"), "a": floats([0.25, 0.5625]), "b": floats([[0.75], [0.4375]])},
    ),
}


@pytest.mark.parametrize(("spec", "outputs"), SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_of_a_binary_answer_reads_the_same(
    spec: ModelSpec, outputs: Mapping[str, Any]
) -> None:
    assert listed(read(spec, outputs)) == [[1, 0], [0.75, 0.4375], [0.75, 0.5625], [0, 0]]


def test_a_multiclass_score_is_that_of_the_chosen_class() -> None:
    scores = read(MULTICLASS, {"p": floats([[0.5, 0.25, 0.25], [0.125, 0.25, 0.625]])})

    assert listed(scores) == [[0, 2], [0.5, 0.625], [0.5, 0.625], [0, 0]]


def test_a_tie_of_two_classes_is_the_last_one() -> None:
    assert read(BINARY, {"p": floats([[0.5, 0.5]])}, 1).label.tolist() == [1]


def test_the_label_output_decides_even_against_the_scores() -> None:
    spec = msgspec.structs.replace(BINARY, label_output="l", classes=(7, 9))

    scores = read(spec, {"l": np.array([[9], [7]]), "p": floats([[0.75, 0.25], [0.25, 0.75]])})

    assert listed(scores) == [[1, 0], [0.25, 0.75], [0.25, 0.25], [0, 0]]


@pytest.mark.parametrize("values", [[1.5, -2.0], [[1.5], [-2.0]]], ids=["vector", "column"])
def test_a_regression_has_a_value_and_neither_label_nor_confidence(values: Any) -> None:
    scores = read(REGRESSION, {"y": floats(values)})

    assert scores.label.tolist() == [-1, -1]
    assert scores.score.tolist() == [1.5, -2.0]
    assert np.isnan(scores.confidence).all()
    assert scores.reason.tolist() == [Reason.CONFIDENT, Reason.CONFIDENT]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.5, -0.5])
@pytest.mark.parametrize("spec", [BINARY, MULTICLASS], ids=["binary", "multiclass"])
def test_a_row_that_holds_no_probabilities_says_so_alone(spec: ModelSpec, bad: float) -> None:
    good = [0.25, 0.75] if spec is BINARY else [0.25, 0.5, 0.25]

    scores = read(spec, {"p": floats([good, [bad, *good[1:]], good])}, 3)

    assert scores.reason.tolist() == [Reason.CONFIDENT, Reason.MODEL_ERROR, Reason.CONFIDENT]
    assert scores.label[[0, 2]].tolist() == [1, 1]


def test_a_value_that_is_not_finite_says_so_alone() -> None:
    scores = read(REGRESSION, {"y": floats([1.0, np.nan, np.inf])}, 3)

    assert scores.reason.tolist() == [
        Reason.CONFIDENT,
        Reason.MODEL_ERROR,
        Reason.MODEL_ERROR,
    ]


def test_rounding_of_float32_is_no_fault() -> None:
    scores = read(BINARY, {"p": floats([[-1e-7, 1.0000001]])}, 1)

    assert listed(scores) == [[1], [1.0], [1.0], [0]]


def test_no_rows_give_no_scores() -> None:
    assert listed(read(MULTICLASS, {"p": np.empty((0, 3), np.float32)}, 0)) == [[], [], [], []]


BROKEN: dict[str, tuple[ModelSpec, Mapping[str, Any], str]] = {
    "no output": (BINARY, {}, "gives no output `p`"),
    "too few rows": (BINARY, {"p": floats([0.5])}, r"shape \(1,\) for 2 rows"),
    "too many dimensions": (BINARY, {"p": np.zeros((2, 1, 2))}, r"shape \(2, 1, 2\)"),
    "a single number": (REGRESSION, {"y": np.float32(1.0)}, r"shape \(\)"),
    "too many classes": (BINARY, {"p": np.zeros((2, 3))}, "gives 3 scores for 2 labels"),
    "too few classes": (MULTICLASS, {"p": np.zeros((2, 2))}, "gives 2 scores for 3 labels"),
    "two values": (REGRESSION, {"y": np.zeros((2, 2))}, "one value, not 2"),
    "text for scores": (REGRESSION, {"y": words("1", "2")}, r"shape \(2,\)"),
    "a map for a tensor": (BINARY, {"p": [{"no": 0.5}, {"no": 0.5}]}, r"shape \(2,\)"),
    "a map without a class": (
        with_classes(BINARY, ScoreForm.ZIPMAP, "p"),
        {"l": words("no", "no"), "p": [{"no": 1.0}, {"no": 1.0}]},
        "no score for a class",
    ),
    "maps for too few rows": (
        with_classes(BINARY, ScoreForm.ZIPMAP, "p"),
        {"l": words("no", "no"), "p": [{"no": 1.0, "yes": 0.0}]},
        "scores of 1 rows for 2",
    ),
    "an unknown class": (
        with_classes(BINARY, ScoreForm.TENSOR, "p"),
        {"l": words("no", "maybe"), "p": floats([[0.5, 0.5], [0.5, 0.5]])},
        "a class that is not listed",
    ),
    "labels for too few rows": (
        with_classes(BINARY, ScoreForm.TENSOR, "p"),
        {"l": words("no"), "p": floats([[0.5, 0.5], [0.5, 0.5]])},
        "1 labels for 2 rows",
    ),
}


@pytest.mark.parametrize(("spec", "outputs", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_of_another_shape_breaks_the_contract(
    spec: ModelSpec, outputs: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ModelContractError, match=message):
        read(spec, outputs)


@given(
    arrays(np.float32, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(width=32))
)
def test_whatever_the_numbers_are_each_row_has_an_answer_or_a_reason(
    scores: NDArray[np.float32],
) -> None:
    found = read(MULTICLASS, {"p": scores}, len(scores))

    answered = found.reason == Reason.CONFIDENT
    assert set(found.reason.tolist()) <= {Reason.CONFIDENT, Reason.MODEL_ERROR}
    assert ((found.label >= 0) & (found.label < 3)).all()
    assert ((found.confidence[answered] >= 0) & (found.confidence[answered] <= 1)).all()
    assert np.isfinite(found.score[answered]).all()


@pytest.mark.parametrize("row", [{"no": "much", "yes": "little"}, ["no", "yes"], None])
def test_maps_that_hold_no_scores_break_the_contract(row: object) -> None:
    spec = ModelSpec(
        task=Task.BINARY,
        inputs=(),
        scores=("p",),
        form=ScoreForm.ZIPMAP,
        labels=("no", "yes"),
        classes=("no", "yes"),
    )

    with pytest.raises(ModelContractError):
        Interpreter(spec, "max_probability").interpret({"p": [row]}, 1)
