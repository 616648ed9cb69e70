"""The answers of a batch, as columns that can be counted."""

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.manifest import ReferenceProfile
from sidecar.events import DecisionBatch, Float64Column, Reason, Source

_SCORED = {Reason.CONFIDENT, Reason.UPSTREAM, Reason.LOW_CONFIDENCE}
"""The model or the upstream service gave a score. One that was not sure enough counts too: the
reference has such rows, and without them every threshold would look like drift."""
_UNSCORED = np.array([reason not in _SCORED for reason in Reason])


class AnswerColumns:
    """Score, confidence, label and source, as far as the reference has them."""

    def __init__(self, reference: ReferenceProfile) -> None:
        """Choose the columns.

        Args:
            reference: Has no confidence and no label for a regression.
        """
        self._has_confidence = bool(reference.confidence)
        labels = () if reference.label is None else reference.label.categories
        self._has_label = reference.label is not None
        self._codes = {label: float(code) for code, label in enumerate(labels)}

    def matrix(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        """Give one row per decision, NaN for what is missing.

        Args:
            decisions: A decided batch.

        Returns:
            The columns score, confidence, label (as its code in the reference) and source.
        """
        return np.column_stack(
            (
                decisions.score,
                *([decisions.confidence] if self._has_confidence else ()),
                *([self._label_codes(decisions)] if self._has_label else ()),
                decisions.source.astype(np.float64),
            )
        )

    def excluded(
        self, decisions: DecisionBatch, matrix: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Mark what does not count: scores and labels that nobody gave.

        An upstream prediction may leave out what it likes: that is no missing value, for else a
        service that sends labels alone would drift for ever.

        Args:
            decisions: A decided batch.
            matrix: What `matrix` gave for it.

        Returns:
            A mask of the same shape.
        """
        unscored = _UNSCORED[decisions.reason]
        left_out = np.isnan(matrix) & (decisions.source == Source.UPSTREAM)[:, None]
        mask: NDArray[np.bool_] = left_out | np.column_stack(
            (
                unscored,
                *([unscored] if self._has_confidence else ()),
                *([unscored] if self._has_label else ()),
                np.zeros(len(unscored), np.bool_),
            )
        )
        return mask

    def _label_codes(self, decisions: DecisionBatch) -> Float64Column:
        """Look answers up by name: the vocabulary also has labels of rules and of upstream.

        What the model or upstream answered counts, taken or not: the reference has every
        answer, and only the sure ones of a window would look like drift beside it.
        """
        unseen = float(len(self._codes))
        codes = [self._codes.get(label, unseen) for label in decisions.vocabulary]
        return np.array([*codes, np.nan])[decisions.answer]  # no label is -1: the last one
