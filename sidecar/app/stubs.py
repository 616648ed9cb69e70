"""What a test says in the place of the model: the way back from an answer to raw outputs.

So a stub goes through the same interpreting as the model, and one that no model could say is
found out by interpreting it.
"""

from collections.abc import Iterator

import numpy as np

from sidecar.bundle.manifest import Activation, ModelSpec, ScoreForm, Task
from sidecar.config.case_checks import unknown_word
from sidecar.config.cases import Stub
from sidecar.config.convert import Clash
from sidecar.events import Float64Column
from sidecar.pipeline.interpret import Interpreter
from sidecar.ports import RawOutputs, Scorer, Tensors
from sidecar.stats.probability import Measure, Probabilities, confidence

# What arithmetic may change on the way back; decisions have six decimals.
_SLACK = 1e-6
_HALVINGS = 60  # a double has 53 bits
# Added where the way back is not exact: a stub at the threshold must not come out below it.
_NUDGE = 1e-12


class Impersonator:
    """Gives the raw outputs with which a model would say what a stub says."""

    def __init__(self, spec: ModelSpec, measure: Measure) -> None:
        """Take the model as the manifest describes it, and what confidence is."""
        self._spec = spec
        self._measure = measure
        self._interpreter = Interpreter(spec, measure)

    def outputs(self, stub: Stub) -> RawOutputs:
        """Give the outputs for one row.

        Args:
            stub: An answer without a clash; see `clashes`.

        Returns:
            By output name, in the form of the model. The classes that are not chosen share
            what is left of the probability equally.
        """
        spec = self._spec
        if spec.task is Task.REGRESSION:
            return {spec.scores[0]: np.array([stub.score], np.float64)}
        chosen = spec.labels.index(stub.label or "")
        scores = _before(spec.activation, self._probabilities(chosen, stub))
        outputs: dict[str, object] = {}
        if spec.form is ScoreForm.ZIPMAP:
            shares = scores.ravel().tolist()
            outputs[spec.scores[0]] = [dict(zip(spec.classes, shares, strict=True))]
        else:
            parts = np.array_split(scores, len(spec.scores), axis=1)
            outputs |= zip(spec.scores, parts, strict=True)
        if spec.label_output is not None:
            outputs[spec.label_output] = np.array([spec.classes[chosen]], object)
        return outputs

    def clashes(self, stub: Stub) -> Iterator[Clash]:
        """Say what this model cannot say, from the stub on: `.label`."""
        if stub.error is not None:
            return
        if self._spec.task is Task.REGRESSION:
            yield from _clashes_of_regression(stub)
        elif stub.label is None:
            known = ", ".join(self._spec.labels)
            yield Clash("", "says no label", f"add `label`, one of {known}")
        elif stub.label not in self._spec.labels:
            yield unknown_word(".label", "label of the model", stub.label, self._spec.labels)
        elif stub.score is not None and not 0 <= stub.score <= 1:
            yield Clash(".score", "is no probability", "write a number from 0 to 1")
        else:
            yield from self._contradictions(stub)

    def _contradictions(self, stub: Stub) -> Iterator[Clash]:
        said = self._interpreter.interpret(self.outputs(stub), 1)
        label = self._spec.labels[said.label[0]]
        if label != stub.label:
            yield Clash(".label", f"with these numbers the model says `{label}`", "mend one")
            return
        numbers = {"score": said.score[0], "confidence": said.confidence[0]}
        for name, number in numbers.items():
            wanted = getattr(stub, name)
            if wanted is not None and abs(wanted - number) > _SLACK:
                message = f"with the rest of the stub it is {number:.6g}"
                yield Clash(f".{name}", message, "leave it out, or write that")

    def _probabilities(self, chosen: int, stub: Stub) -> Probabilities:
        classes = len(self._spec.labels)
        share = 1.0
        if stub.score is not None:
            of_other = self._spec.task is Task.BINARY and chosen == 0
            share = 1.0 - stub.score if of_other else stub.score
        elif stub.confidence is not None:
            share = self._share_for(stub.confidence)
            if self._measure != "max_probability" or self._spec.activation != Activation.NONE:
                share = min(1.0, share + _NUDGE)
        return _row(chosen, share, classes)

    def _share_for(self, sure: float) -> float:
        """Give the probability of the chosen class that makes the model so sure."""
        classes = len(self._spec.labels)
        match self._measure:
            case "max_probability":
                return sure
            case "margin":
                return (1.0 + sure * (classes - 1)) / classes
            case "entropy":
                return self._share_by_halving(sure)

    def _share_by_halving(self, sure: float) -> float:
        """Solve for the share: the entropy rises with it, and has no inverse to write down."""
        classes = len(self._spec.labels)
        low, high = 1.0 / classes, 1.0
        if sure >= 1.0:
            return high
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            row = _row(0, middle, classes)
            if confidence(row, np.zeros(1, np.int32), self._measure)[0] < sure:
                low = middle
            else:
                high = middle
        return high


class StandIn:
    """A `Scorer` that says what it is told to, and asks the model when told nothing."""

    def __init__(self, model: Scorer | None) -> None:
        """Take the model; None when every event has a stub."""
        self._model = model
        self.said: RawOutputs | Exception | None = None
        """What the next call gives or raises."""

    async def score(self, tensors: Tensors) -> RawOutputs:
        """Say it.

        Raises:
            ScorerTimeoutError: As told, or the model gave no answer in time.
            ScorerUnavailableError: As told, or the model raised.
        """
        if isinstance(self.said, Exception):
            raise self.said
        if self.said is not None:
            return self.said
        assert self._model is not None  # noqa: S101  whoever runs a test opens it when needed
        return await self._model.score(tensors)

    async def close(self) -> None:
        """Release the model."""
        if self._model is not None:
            await self._model.close()


def _clashes_of_regression(stub: Stub) -> Iterator[Clash]:
    if stub.score is None:
        yield Clash("", "says no value", "add `score`: a regression has nothing else")
    for name in ("label", "confidence"):
        if getattr(stub, name) is not None:
            yield Clash(f".{name}", "a regression has none", "remove it")


def _row(chosen: int, share: float, classes: int) -> Probabilities:
    row = np.full((1, classes), (1.0 - share) / (classes - 1))
    row[0, chosen] = share
    return row


def _before(activation: Activation, probabilities: Probabilities) -> Float64Column:
    """Undo the activation; 0 and 1 come of infinite scores."""
    if activation is Activation.NONE:
        return probabilities
    with np.errstate(divide="ignore"):
        scores: Float64Column = np.log(probabilities)
        if activation is Activation.SIGMOID:
            scores = scores - np.log1p(-probabilities)
    return scores
