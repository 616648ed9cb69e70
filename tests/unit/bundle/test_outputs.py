from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sidecar.bundle.graph import Graph, Port
from sidecar.bundle.manifest import Activation, ModelSpec, ScoreForm, Task
from sidecar.bundle.outputs import AnswerChoice, infer_answers
from sidecar.errors import BundleError

FLOATS, TEXT, WHOLE = "tensor(float)", "tensor(string)", "tensor(int64)"
MAPS = "seq(map(int64,tensor(float)))"


def floats(rows: list[Any]) -> Any:
    return np.array(rows, np.float32)


def inferred(
    types: Mapping[str, str],
    outputs: Mapping[str, Any],
    choice: AnswerChoice | None = None,
    metadata: Mapping[str, str] | None = None,
) -> ModelSpec:
    ports = tuple(Port(name, kind, None) for name, kind in types.items())
    graph = Graph(inputs=(), outputs=ports, metadata=metadata or {})
    return infer_answers(graph, (), outputs, choice or AnswerChoice())


def refusal(
    types: Mapping[str, str], outputs: Mapping[str, Any], choice: AnswerChoice | None = None
) -> str:
    with pytest.raises(BundleError) as error:
        inferred(types, outputs, choice)
    (finding,) = error.value.findings
    return finding.message


LABEL_AND_TENSOR = {"label": TEXT, "p": FLOATS}


def test_text_classes_are_read_off_the_rows_in_the_order_of_the_scores() -> None:
    scores = floats([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.2, 0.2, 0.6]])
    answers = np.array(["dog", "cat", "ant"], np.object_)

    spec = inferred(LABEL_AND_TENSOR, {"label": answers, "p": scores})

    assert spec == ModelSpec(
        task=Task.MULTICLASS,
        inputs=(),
        scores=("p",),
        label_output="label",
        labels=("cat", "dog", "ant"),
        classes=("cat", "dog", "ant"),
    )


def test_class_numbers_become_labels_even_those_never_answered() -> None:
    scores = floats([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1]])

    spec = inferred({"label": WHOLE, "p": FLOATS}, {"label": np.array([1, 0]), "p": scores})

    assert (spec.labels, spec.classes) == (("0", "1", "2"), (0, 1, 2))


def test_class_numbers_get_the_names_that_are_given() -> None:
    outputs = {"label": np.array([5, 9]), "p": floats([[0.9, 0.1], [0.2, 0.8]])}

    spec = inferred({"label": WHOLE, "p": FLOATS}, outputs, AnswerChoice(labels=("no", "yes")))

    assert (spec.task, spec.labels, spec.classes) == (Task.BINARY, ("no", "yes"), (5, 9))


def test_text_classes_never_answered_are_those_that_are_given() -> None:
    outputs = {"label": np.array(["b"], np.object_), "p": floats([[0.1, 0.9]])}

    spec = inferred(LABEL_AND_TENSOR, outputs, AnswerChoice(labels=("a", "b")))

    assert spec.classes == ("a", "b")


def test_classes_of_a_map_are_its_keys() -> None:
    outputs = {"label": np.array([3]), "p": [{3: 0.6, 1: 0.4}]}

    spec = inferred({"label": WHOLE, "p": MAPS}, outputs)

    assert (spec.form, spec.labels, spec.classes) == (ScoreForm.ZIPMAP, ("3", "1"), (3, 1))


def test_one_output_per_class() -> None:
    types = {"label": TEXT, "p0": FLOATS, "p1": FLOATS}
    outputs = {
        "label": np.array(["no", "yes"], np.object_),
        "p0": floats([0.9, 0.3]),
        "p1": floats([0.1, 0.7]),
    }

    spec = inferred(types, outputs)

    assert (spec.form, spec.scores, spec.labels) == (
        ScoreForm.COLUMNS,
        ("p0", "p1"),
        ("no", "yes"),
    )


@pytest.mark.parametrize(
    ("scores", "activation"),
    [([0.2, 0.9, 0.6], Activation.NONE), ([-3.0, 2.0, 0.1], Activation.SIGMOID)],
    ids=["probability", "log-odds"],
)
def test_one_score_is_that_of_the_last_class(
    scores: list[float], activation: Activation
) -> None:
    outputs = {"label": np.array(["no", "yes", "yes"], np.object_), "p": floats(scores)}

    spec = inferred(LABEL_AND_TENSOR, outputs, AnswerChoice(activation=activation))

    assert (spec.task, spec.classes) == (Task.BINARY, ("no", "yes"))


@pytest.mark.parametrize("scores", [[1.0, 2.0], [[1.0], [2.0]]], ids=["vector", "column"])
def test_one_score_alone_is_a_regression(scores: list[Any]) -> None:
    assert inferred({"y": FLOATS}, {"y": floats(scores)}) == ModelSpec(
        task=Task.REGRESSION, inputs=(), scores=("y",)
    )


@pytest.mark.parametrize(
    "choice",
    [AnswerChoice(labels=("no", "yes"), activation=Activation.SIGMOID)],
    ids=["with labels and activation"],
)
def test_one_score_with_labels_is_a_classifier(choice: AnswerChoice) -> None:
    spec = inferred({"y": FLOATS}, {"y": floats([1.0, 2.0])}, choice)

    assert (spec.task, spec.labels, spec.label_output) == (Task.BINARY, ("no", "yes"), None)


def test_names_in_the_file_itself_are_used() -> None:
    spec = inferred(
        {"y": FLOATS}, {"y": floats([[0.2, 0.8]])}, metadata={"labels": '["no", "yes"]'}
    )

    assert spec.labels == ("no", "yes")


REFUSED: dict[str, tuple[Mapping[str, str], Mapping[str, Any], AnswerChoice, str]] = {
    "nothing but positions is known": (
        {"y": FLOATS},
        {"y": floats([[0.2, 0.8]])},
        AnswerChoice(),
        "scores have no names",
    ),
    "too few names": (
        {"y": FLOATS},
        {"y": floats([[0.2, 0.3, 0.5]])},
        AnswerChoice(labels=("a", "b")),
        "there are 3 scores and 2 labels",
    ),
    "the model's names in another order": (
        LABEL_AND_TENSOR,
        {"label": np.array(["a", "b"], np.object_), "p": floats([[0.9, 0.1], [0.1, 0.9]])},
        AnswerChoice(labels=("b", "a")),
        "the labels are the model's in another order",
    ),
    "text classes that no row has": (
        LABEL_AND_TENSOR,
        {"label": np.array(["a"], np.object_), "p": floats([[0.9, 0.1]])},
        AnswerChoice(),
        "only 1 of 2 classes are answered on the reference rows",
    ),
    "labels by another rule": (
        LABEL_AND_TENSOR,
        {"label": np.array(["a", "a"], np.object_), "p": floats([[0.9, 0.1], [0.1, 0.9]])},
        AnswerChoice(),
        "the label is not the class of the largest score",
    ),
    "two outputs of scores": (
        {"a": FLOATS, "b": FLOATS},
        {"a": floats([[0.2, 0.8]]), "b": floats([[0.2, 0.8]])},
        AnswerChoice(),
        "the scores cannot be found among a: tensor(float); b: tensor(float)",
    ),
    "labels without scores": (
        {"label": TEXT},
        {"label": np.array(["a"], np.object_)},
        AnswerChoice(),
        "the scores cannot be found among label: tensor(string)",
    ),
    "two outputs of labels": (
        {"a": WHOLE, "b": WHOLE},
        {"a": np.array([1]), "b": np.array([1])},
        AnswerChoice(),
        "several could hold the label: a, b",
    ),
    "scores of an image": (
        {"y": FLOATS},
        {"y": np.zeros((1, 2, 2), np.float32)},
        AnswerChoice(),
        "scores have the shape (1, 2, 2)",
    ),
}


@pytest.mark.parametrize(
    ("types", "outputs", "choice", "message"), REFUSED.values(), ids=REFUSED.keys()
)
def test_answers_that_cannot_be_read_are_refused(
    types: Mapping[str, str], outputs: Mapping[str, Any], choice: AnswerChoice, message: str
) -> None:
    assert refusal(types, outputs, choice) == message
