"""`evaluation.json`: how good the model is on the labelled reference rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sidecar.bundle.manifest import ModelSpec, Task
from sidecar.bundle.tables import Column
from sidecar.errors import BundleError, Finding
from sidecar.events import BoolColumn, Float64Column
from sidecar.stats.probability import Probabilities
from sidecar.stats.skill import (
    brier_score,
    log_loss,
    mean_absolute_error,
    ranking_quality,
    root_mean_squared_error,
)

# A group is a handful of values; more than that is a column of another kind.
_MOST_GROUPS = 50


class Evaluation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Measures on all labelled rows, and on those of each group."""

    records: int
    """Labelled rows."""
    metrics: dict[str, float]
    """Binary and multiclass: `accuracy`, `brier`, `log_loss` (nats), and `auc` for two classes;
    see `stats.skill`. Regression: `rmse` and `mae`, in the unit of the value."""
    groups: dict[str, dict[str, "Evaluation"]] = {}
    """By group column and value; rows without a value are in none."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model answered on rows whose truth is known.

    `truth` is the index of the true class (classifier) or the true value (regression).
    """

    truth: NDArray[np.int32] | Float64Column
    label: NDArray[np.int32]
    score: Float64Column
    probabilities: Probabilities | None
    """None for a regression."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.truth)

    def take(self, rows: BoolColumn) -> "Answers":
        """Give the answers of some rows."""
        return Answers(
            self.truth[rows],
            self.label[rows],
            self.score[rows],
            None if self.probabilities is None else self.probabilities[rows],
        )


def true_classes(column: Column, spec: ModelSpec) -> NDArray[np.int32]:
    """Give the class of each row: an index into the labels, -1 where the row has no label.

    A value may be a label, or the value that the model itself has for the class; true and
    false count as 1 and 0.

    Args:
        column: The label column of the reference rows.
        spec: Labels and classes of the model.

    Raises:
        BundleError: A value is neither.
    """
    codes: dict[str | None, int] = {None: -1}
    codes |= {str(value): code for code, value in enumerate(spec.classes)}
    codes |= {label: code for code, label in enumerate(spec.labels)}
    for text, number in (("true", "1"), ("false", "0")):
        if number in codes:
            codes.setdefault(text, codes[number])
    values = column.texts()
    if unknown := sorted({value for value in values if value is not None} - codes.keys()):
        named = ", ".join(unknown[:5])
        mend = f"the model's labels are {', '.join(spec.labels)}; mend the column or --labels"
        finding = Finding("--label", f"holds values that are no class: {named}", mend)
        raise BundleError("the truth cannot be read", [finding])
    return np.array([codes[value] for value in values], np.int32)


def true_values(column: Column) -> Float64Column:
    """Give the true value of each row, NaN where the row has none.

    Args:
        column: The label column of the reference rows.

    Raises:
        BundleError: It holds no numbers.
    """
    if column.numbers is None:
        finding = Finding(
            "--label", "holds no numbers", "a regression is compared with numbers"
        )
        raise BundleError("the truth cannot be read", [finding])
    return column.numbers


def evaluate(task: Task, answers: Answers, groups: Mapping[str, Column]) -> Evaluation:
    """Measure answers against the truth, overall and by group.

    Args:
        task: Decides on the measures.
        answers: Of the labelled rows.
        groups: Group columns, of the same rows.

    Raises:
        BundleError: A group column has too many values.
    """
    by_group = {name: _by_value(task, answers, name, column) for name, column in groups.items()}
    return Evaluation(records=len(answers), metrics=_metrics(task, answers), groups=by_group)


def _by_value(task: Task, answers: Answers, name: str, column: Column) -> dict[str, Evaluation]:
    values = np.array(column.texts(), np.object_)
    distinct = sorted({value for value in values.tolist() if value is not None})
    if len(distinct) > _MOST_GROUPS:
        message = f"has {len(distinct)} values; at most {_MOST_GROUPS} make groups"
        finding = Finding(f"column {name}", message, "name another column with --group")
        raise BundleError("the groups cannot be compared", [finding])
    parts = {value: answers.take(np.asarray(values == value, np.bool_)) for value in distinct}
    return {
        value: Evaluation(records=len(part), metrics=_metrics(task, part))
        for value, part in parts.items()
    }


def _metrics(task: Task, answers: Answers) -> dict[str, float]:
    probabilities = answers.probabilities
    if probabilities is None:
        truth = np.asarray(answers.truth, np.float64)
        return {
            "rmse": root_mean_squared_error(answers.score, truth),
            "mae": mean_absolute_error(answers.score, truth),
        }
    codes = np.asarray(answers.truth, np.int32)
    metrics = {
        "accuracy": float(np.mean(answers.label == codes)),
        "brier": brier_score(probabilities, codes),
        "log_loss": log_loss(probabilities, codes),
    }
    if task is Task.BINARY:
        auc = ranking_quality(answers.score, codes == 1)
        metrics |= {} if auc is None else {"auc": auc}
    return metrics
