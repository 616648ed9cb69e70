"""Reads the model's raw outputs: which class, what score, how sure."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.manifest import Activation, ModelSpec, ScoreForm, Task
from sidecar.errors import ModelContractError
from sidecar.events import CodeColumn, Float64Column, Reason, ScoreBatch
from sidecar.ports import RawOutputs
from sidecar.stats.probability import Measure, Probabilities, confidence, sigmoid, softmax

# What float32 arithmetic may put a probability beyond its bounds.
_SLACK = 1e-3


class Interpreter:
    """Gives label, score and confidence of each row, whatever shape the graph answers in."""

    def __init__(self, spec: ModelSpec, measure: Measure) -> None:
        """Plan how to read a model's outputs.

        Args:
            spec: The model as the manifest describes it.
            measure: What confidence is; see `stats.probability.confidence`.
        """
        self._spec = spec
        self._measure = measure
        self._codes = {value: code for code, value in enumerate(spec.classes)}
        self._read = _reader(spec)

    def interpret(self, outputs: RawOutputs, records: int) -> ScoreBatch:
        """Read the outputs of one batch.

        A row whose scores are not finite, or are no probabilities, gets the reason
        `MODEL_ERROR`; the other rows are not touched by it.

        Args:
            outputs: What the graph gave, by output name.
            records: Rows that went in.

        Returns:
            One row per record. The score is the probability of the last label (binary), of the
            chosen one (multiclass), or the value (regression; label -1, confidence NaN).

        Raises:
            ModelContractError: An output is missing, misshapen, or names an unknown class.
        """
        if self._spec.task is Task.REGRESSION:
            return _regression(self._read(outputs, records))
        probabilities = self.probabilities(outputs, records)
        faulty = ~_are_probabilities(probabilities)
        # Kept out of the arithmetic below; what it gives for these rows is never looked at.
        probabilities = np.where(faulty[:, None], 0.0, probabilities.clip(0.0, 1.0))
        chosen = self._chosen(outputs, probabilities)
        binary = self._spec.task is Task.BINARY
        column = np.full(records, 1, np.int32) if binary else chosen
        return ScoreBatch(
            label=chosen,
            score=probabilities[np.arange(records), column],
            confidence=confidence(probabilities, chosen, self._measure),
            reason=_reasons(faulty),
        )

    def probabilities(self, outputs: RawOutputs, records: int) -> Probabilities:
        """Give the probability of each class, columns in the order of the labels.

        Args:
            outputs: What the graph of a classifier gave, by output name.
            records: Rows that went in.

        Returns:
            `[records, labels]`, as the model has it: it may hold NaN.

        Raises:
            ModelContractError: The scores are missing or misshapen.
        """
        scores = self._read(outputs, records)
        if self._spec.activation is Activation.SIGMOID:
            scores = sigmoid(scores)
        elif self._spec.activation is Activation.SOFTMAX:
            scores = softmax(scores)
        if self._spec.task is Task.BINARY and scores.shape[1] == 1:
            scores = np.column_stack((1.0 - scores, scores))
        if scores.shape[1] != len(self._spec.labels):
            raise ModelContractError(
                f"the model gives {scores.shape[1]} scores for {len(self._spec.labels)} labels"
            )
        return scores

    def _chosen(self, outputs: RawOutputs, probabilities: Probabilities) -> CodeColumn:
        records = len(probabilities)
        if self._spec.label_output is None:
            if self._spec.task is Task.BINARY:
                return np.asarray(probabilities[:, 1] >= 0.5, np.int32)
            return np.asarray(probabilities.argmax(axis=1), np.int32)
        answers = np.asarray(_output(outputs, self._spec.label_output))
        if answers.size != records:
            raise ModelContractError(
                f"the model gives {answers.size} labels for {records} rows"
            )
        # One dict look-up per row: text has no faster way in numpy.
        found = map(self._codes.get, answers.ravel().tolist())
        try:
            return np.fromiter(found, np.int32, records)
        except TypeError as exc:
            raise ModelContractError("the model answers a class that is not listed") from exc


def _regression(scores: Float64Column) -> ScoreBatch:
    if scores.shape[1] != 1:
        raise ModelContractError(f"a regression gives one value, not {scores.shape[1]}")
    records = len(scores)
    values = scores[:, 0]
    return ScoreBatch(
        label=np.full(records, -1, np.int32),
        score=values,
        confidence=np.full(records, np.nan),
        reason=_reasons(~np.isfinite(values)),
    )


def _are_probabilities(scores: Probabilities) -> NDArray[np.bool_]:
    """Tell the rows whose numbers are all in [0, 1]; NaN and infinity are not."""
    return np.asarray(((scores >= -_SLACK) & (scores <= 1 + _SLACK)).all(axis=1), np.bool_)


def _reasons(faulty: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(faulty, Reason.MODEL_ERROR, Reason.CONFIDENT).astype(np.uint8)


# --- scores as [rows, scores], from each form ----------------------------------------------


def _reader(spec: ModelSpec) -> Callable[[RawOutputs, int], NDArray[np.float64]]:
    """Choose how the scores are found."""
    if spec.form is ScoreForm.ZIPMAP:
        return lambda outputs, records: _zipmap(
            _output(outputs, spec.scores[0]), spec.classes, records
        )
    return lambda outputs, records: np.concatenate(
        [_tensor(_output(outputs, name), records) for name in spec.scores], axis=1
    )


def _tensor(scores: object, records: int) -> NDArray[np.float64]:
    """Give `[n]`, `[n, 1]` or `[n, c]` as a matrix."""
    array = np.asarray(scores)
    if array.ndim not in (1, 2) or len(array) != records or array.dtype.kind not in "fiu":
        raise ModelContractError(
            f"the model gives scores of shape {array.shape} for {records} rows"
        )
    return (array[:, None] if array.ndim == 1 else array).astype(np.float64)


def _zipmap(
    rows: Sequence[Mapping[Any, float]], classes: Sequence[str | int], records: int
) -> NDArray[np.float64]:
    """Give a list of maps from class to probability as a matrix.

    The graph hands out one dict per row, so each must be looked into.
    """
    if len(rows) != records:
        raise ModelContractError(f"the model gives scores of {len(rows)} rows for {records}")
    count = len(classes)
    try:
        values = chain.from_iterable(map(itemgetter(*classes), rows))
        return np.fromiter(values, np.float64, records * count).reshape(records, count)
    except KeyError as exc:
        raise ModelContractError("the model gives no score for a class that is listed") from exc
    except (TypeError, ValueError) as exc:
        raise ModelContractError(f"the model gives scores that are none: {exc}") from exc


def _output(outputs: RawOutputs, name: str) -> Any:
    try:
        return outputs[name]
    except KeyError as exc:
        raise ModelContractError(f"the model gives no output `{name}`") from exc
