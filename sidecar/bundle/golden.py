"""Golden rows: a few inputs with the answers that the model gave when it was built."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.manifest import Feature, Golden
from sidecar.bundle.rows import rows_of
from sidecar.errors import Finding
from sidecar.events import Features, Int64Column, Reason, ScoreBatch

GOLDEN_ROWS = 20

# Another processor, thread count or release of onnxruntime sums float32 in another order.
_RELATIVE = 1e-4
_ABSOLUTE = 1e-5


def choose_golden(
    columns: Features, scores: ScoreBatch, count: int = GOLDEN_ROWS
) -> Int64Column:
    """Choose rows that show what the model can do, the same ones each time.

    The lowest and highest score of every label, a row with and without each value that may be
    missing, and the rest spread evenly over the scores.

    Args:
        columns: The reference rows.
        scores: The model's answers to them; only rows that it answered are chosen.
        count: How many rows about; labels and missing values may ask for more.

    Returns:
        Positions, ascending.
    """
    usable = np.flatnonzero(scores.reason == Reason.CONFIDENT)
    order = usable[np.argsort(scores.score[usable], kind="stable")]
    chosen: set[int] = set()
    for label in np.unique(scores.label[order]):
        of_label = order[scores.label[order] == label]
        chosen.update((int(of_label[0]), int(of_label[-1])))
    missing = np.isnan(columns.matrix[usable])
    for column in np.flatnonzero(missing.any(axis=0)):
        chosen.add(int(usable[missing[:, column].argmax()]))
    spread = order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)]
    for row in spread.tolist():
        if len(chosen) >= count:
            break
        chosen.add(row)
    return np.array(sorted(chosen), np.int64)


def golden_rows(
    features: Sequence[Feature],
    columns: Features,
    scores: ScoreBatch,
    labels: Sequence[str],
    positions: NDArray[np.int64],
) -> list[Golden]:
    """Write rows down with their answers.

    Args:
        features: Of the manifest, in order.
        columns: One column per feature.
        scores: The model's answers.
        labels: Class names; empty for a regression.
        positions: Which rows.
    """
    wanted = positions.tolist()
    return [
        Golden(
            features=values,
            label=_label(labels, int(scores.label[row])),
            score=float(scores.score[row]),
        )
        for row, values in zip(wanted, rows_of(features, columns, wanted), strict=True)
    ]


def golden_faults(
    golden: Sequence[Golden], scores: ScoreBatch, labels: Sequence[str]
) -> list[Finding]:
    """Find the golden rows whose answer is another one.

    Scores may differ by 0.0001 of their size and 0.00001 besides, labels not at all.

    Args:
        golden: The rows with the answers that are expected.
        scores: What the model answers to the same rows.
        labels: Class names; empty for a regression.

    Returns:
        One finding per row that differs, naming its line.
    """
    faults = []
    for row, expected in enumerate(golden):
        label, score = _label(labels, int(scores.label[row])), float(scores.score[row])
        if scores.reason[row] != Reason.CONFIDENT:
            answer = "no finite score"
        elif label != expected.label or (
            abs(score - expected.score) > _RELATIVE * abs(expected.score) + _ABSOLUTE
        ):
            answer = f"label {label}, score {score:.6g}"
        else:
            continue
        message = (
            f"line {row + 1}: the model answers {answer}; "
            f"expected label {expected.label}, score {expected.score:.6g}"
        )
        faults.append(Finding("golden.jsonl", message, "this is not the model that was built"))
    return faults


def _label(labels: Sequence[str], code: int) -> str | None:
    return labels[code] if 0 <= code < len(labels) else None
