"""Finds how a model answers: its task, the shape of its scores, the names of its classes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.graph import Graph, Port
from sidecar.bundle.manifest import Activation, ModelInput, ModelSpec, ScoreForm, Task
from sidecar.errors import BundleError, Finding

Class = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerChoice:
    """What the user says about the model's answers."""

    labels: tuple[str, ...] = ()
    """Class names in the order of the scores."""
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class _Scores:
    """Where the scores stand, and how many there are per row."""

    names: tuple[str, ...]
    form: ScoreForm
    width: int


def infer_answers(
    graph: Graph,
    inputs: tuple[ModelInput, ...],
    outputs: Mapping[str, Any],
    choice: AnswerChoice,
) -> ModelSpec:
    """Find how to read a model from its graph and from answers that it gave.

    The answers are needed since a graph does not tell the names of its classes. Their order is
    read off the rows: class k is the one that is answered where score k is the largest.

    Args:
        graph: The outside of the model.
        inputs: How the model is called; goes into the result.
        outputs: What it answered to reference rows, the more the better.
        choice: What the user says.

    Returns:
        The model as the manifest describes it.

    Raises:
        BundleError: The outputs cannot be told apart, or the classes have no names.
    """
    label = _label_port(graph)
    scores = _scores(graph, outputs)
    names = choice.labels or _named_labels(graph.metadata)
    if (
        label is None
        and scores.form is ScoreForm.TENSOR
        and _is_regression(scores, names, choice)
    ):
        return ModelSpec(task=Task.REGRESSION, inputs=inputs, scores=scores.names)
    count = 2 if scores.width == 1 else scores.width
    classes = _classes(scores, label, outputs, count, choice, names)
    labels = names or tuple(str(value) for value in classes)
    _check_labels(labels, classes, count)
    return ModelSpec(
        task=Task.BINARY if count == 2 else Task.MULTICLASS,
        inputs=inputs,
        scores=scores.names,
        form=scores.form,
        label_output=label.name if label is not None else None,
        activation=choice.activation,
        labels=labels,
        classes=classes,
    )


def _label_port(graph: Graph) -> Port | None:
    found = [port for port in graph.outputs if port.is_label]
    if len(found) > 1:
        names = ", ".join(port.name for port in found)
        raise _refused(f"several could hold the label: {names}", "export the model with one")
    return found[0] if found else None


def _scores(graph: Graph, outputs: Mapping[str, Any]) -> _Scores:
    maps = [port.name for port in graph.outputs if port.is_zipmap]
    if maps:
        first = outputs[maps[0]][0]
        return _Scores((maps[0],), ScoreForm.ZIPMAP, len(first))
    ports = [port for port in graph.outputs if port.is_score]
    names = tuple(port.name for port in ports)
    widths = [_width(outputs[name]) for name in names]
    if len(names) == 1:
        return _Scores(names, ScoreForm.TENSOR, widths[0])
    if len(names) > 1 and set(widths) == {1} and _label_port(graph) is not None:
        return _Scores(names, ScoreForm.COLUMNS, len(names))
    there = "; ".join(map(str, graph.outputs))
    raise _refused(
        f"the scores cannot be found among {there}",
        "export the model with one output of scores, and one of labels if you like",
    )


def _width(scores: NDArray[Any]) -> int:
    if scores.ndim not in (1, 2):
        raise _refused(f"scores have the shape {scores.shape}", "one row per event is expected")
    return 1 if scores.ndim == 1 else int(scores.shape[1])


def _is_regression(scores: _Scores, names: Sequence[str], choice: AnswerChoice) -> bool:
    return scores.width == 1 and not names and choice.activation is Activation.NONE


def _check_labels(labels: Sequence[str], classes: Sequence[Class], count: int) -> None:
    if not labels:
        raise _refused("scores have no names", "name the classes in order: --labels no,yes")
    if len(labels) != count:
        raise _refused(f"there are {count} scores and {len(labels)} labels", "mend --labels")
    own = [str(value) for value in classes]
    if set(own) == set(labels) and own != list(labels):
        mend = f"the model's order is --labels {','.join(own)}"
        raise _refused("the labels are the model's in another order", mend)


def _named_labels(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Read class names that the exporter wrote into the file: a JSON list under `labels`."""
    for key in ("labels", "classes"):
        try:
            names = json.loads(metadata.get(key, ""))
        except ValueError:
            continue
        if isinstance(names, list) and len(names) > 1:
            return tuple(map(str, names))
    return ()


# --- the values that the graph itself uses ---------------------------------------------------


def _classes(
    scores: _Scores,
    label: Port | None,
    outputs: Mapping[str, Any],
    count: int,
    choice: AnswerChoice,
    names: tuple[str, ...],
) -> tuple[Class, ...]:
    """Give the graph's own values of the classes in order; none when it has no values."""
    if scores.form is ScoreForm.ZIPMAP:
        return tuple(outputs[scores.names[0]][0])
    if label is None:
        return ()
    answers: list[Class] = np.asarray(outputs[label.name]).ravel().tolist()
    columns = [np.asarray(outputs[name], np.float64) for name in scores.names]
    matrix = np.hstack([each.reshape(len(answers), -1) for each in columns])
    if matrix.shape[1] == 1:  # of the last class alone: it is answered from one half up
        half = 0.0 if choice.activation is Activation.SIGMOID else 0.5
        matrix = np.hstack((half - matrix, matrix - half))
    seen = _seen_classes(matrix, answers)
    return _completed(seen, count, names)


def _seen_classes(scores: NDArray[np.float64], answers: Sequence[Class]) -> dict[int, Class]:
    """Give the class that is answered where each score is the largest."""
    best = scores.argmax(axis=1)
    seen: dict[int, Class] = {}
    for position in np.unique(best).tolist():
        there = [answers[row] for row in np.flatnonzero(best == position).tolist()]
        seen[position] = max(sorted(set(there), key=str), key=there.count)
    if len(set(seen.values())) < len(seen):
        raise _refused(
            "the label is not the class of the largest score",
            "export the model without its label output",
        )
    return seen


def _completed(
    seen: Mapping[int, Class], count: int, names: Sequence[str]
) -> tuple[Class, ...]:
    """Fill in classes that no reference row was given.

    Classes that are their own positions are positions throughout, and texts that are the names
    which the user gave are those names throughout. Else nothing is known about the rest.
    """
    for guess in (list(range(count)), list(names)):
        if len(guess) == count and all(guess[at] == value for at, value in seen.items()):
            return tuple(guess)
    if len(seen) == count:
        return tuple(seen[at] for at in range(count))
    raise _refused(
        f"only {len(seen)} of {count} classes are answered on the reference rows",
        "give rows of every class, or name the classes in order with --labels",
    )


def _refused(message: str, mend: str) -> BundleError:
    return BundleError(
        "the model's answers cannot be read", [Finding("outputs", message, mend)]
    )
