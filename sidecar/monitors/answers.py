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
        self._width = 2 + self._has_confidence + self._has_label
        self._codes = {label: float(code) for code, label in enumerate(labels)}

    def matrix(self, decisions: DecisionBatch) -> NDArray[np.float64]:
        """Give one row per decision, NaN for what is missing.

        Args:
            decisions: A decided batch.

        Returns:
            The columns score, confidence, label (as its code in the reference) and source.
        """
        matrix = np.empty((len(decisions), self._width))
        matrix[:, 0] = decisions.score
        if self._has_confidence:
            matrix[:, 1] = decisions.confidence
        if self._has_label:
            matrix[:, -2] = self._label_codes(decisions)
        matrix[:, -1] = decisions.source
        return matrix

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
        mask: NDArray[np.bool_] = np.isnan(matrix)
        mask &= (decisions.source == Source.UPSTREAM)[:, None]
        mask[:, :-1] |= _UNSCORED[decisions.reason][:, None]  # the source always counts
        return mask

    def _label_codes(self, decisions: DecisionBatch) -> Float64Column:
        """Look answers up by name: the vocabulary also has labels of rules and of upstream.

        What the model or upstream answered counts, taken or not: the reference has every
        answer, and only the sure ones of a window would look like drift beside it.
        """
        unseen = float(len(self._codes))
        codes = [self._codes.get(label, unseen) for label in decisions.vocabulary]
        return np.array([*codes, np.nan])[decisions.answer]  # no label is -1: the last one
