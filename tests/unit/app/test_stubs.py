"""What a stub says comes out of the interpreting as it went in, whatever the model's form."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.app.stubs import Impersonator, StandIn
from sidecar.bundle.manifest import Activation, ModelSpec, ScoreForm, Task
from sidecar.config.cases import Stub
from sidecar.errors import ScorerTimeoutError
from sidecar.events import Reason
from sidecar.pipeline.interpret import Interpreter
from sidecar.stats.probability import MEASURES, Measure

LABELS = ("a", "b", "c", "d")
SURE_ENOUGH = 0.51
"""By any measure it makes the class the most probable of two or more."""


def spec(classes: int, form: ScoreForm, activation: Activation, **changes: Any) -> ModelSpec:
    columns = form is ScoreForm.COLUMNS
    fields: dict[str, Any] = {
        "task": Task.BINARY if classes == 2 else Task.MULTICLASS,
        "inputs": (),
        "scores": tuple(f"score_{n}" for n in range(classes)) if columns else ("scores",),
        "form": form,
        "activation": activation,
        "labels": LABELS[:classes],
        "classes": tuple(range(classes)),
    }
    return ModelSpec(**{**fields, **changes})


specs = st.builds(
    lambda classes, form, activation, names: spec(
        classes, form, activation, label_output="label" if names else None
    ),
    st.integers(2, 4),
    st.sampled_from(ScoreForm),
    st.sampled_from(Activation),
    st.booleans(),
)
REGRESSION = ModelSpec(task=Task.REGRESSION, inputs=(), scores=("value",))
BINARY = spec(2, ScoreForm.TENSOR, Activation.NONE)


@given(specs, st.sampled_from(MEASURES), st.integers(0, 3), st.floats(SURE_ENOUGH, 1))
def test_label_and_confidence_come_back(
    model: ModelSpec, measure: Measure, chosen: int, sure: float
) -> None:
    chosen %= len(model.labels)
    stub = Stub(label=LABELS[chosen], confidence=sure)
    actor = Impersonator(model, measure)

    said = Interpreter(model, measure).interpret(actor.outputs(stub), 1)

    assert list(actor.clashes(stub)) == []
    assert (said.reason[0], said.label[0]) == (Reason.CONFIDENT, chosen)
    assert said.confidence[0] == pytest.approx(sure, abs=1e-9)
    assert said.confidence[0] >= sure


@given(specs, st.integers(0, 3), st.floats(SURE_ENOUGH, 1))
def test_label_and_score_come_back(model: ModelSpec, chosen: int, share: float) -> None:
    chosen %= len(model.labels)
    score = 1 - share if (len(model.labels), chosen) == (2, 0) else share
    stub = Stub(label=LABELS[chosen], score=score)
    actor = Impersonator(model, "max_probability")

    said = Interpreter(model, "max_probability").interpret(actor.outputs(stub), 1)

    assert list(actor.clashes(stub)) == []
    assert (said.reason[0], said.label[0]) == (Reason.CONFIDENT, chosen)
    assert said.score[0] == pytest.approx(score, abs=1e-9)


@given(specs, st.sampled_from(MEASURES), st.integers(0, 3))
def test_a_label_alone_is_wholly_sure(model: ModelSpec, measure: Measure, chosen: int) -> None:
    stub = Stub(label=LABELS[chosen % len(model.labels)])

    outputs = Impersonator(model, measure).outputs(stub)

    assert Interpreter(model, measure).interpret(outputs, 1).confidence.tolist() == [1.0]


@given(st.floats(-1e6, 1e6))
def test_the_value_of_a_regression_comes_back(value: float) -> None:
    actor = Impersonator(REGRESSION, "max_probability")

    said = Interpreter(REGRESSION, "max_probability").interpret(
        actor.outputs(Stub(score=value)), 1
    )

    assert said.score.tolist() == [value]


@pytest.mark.parametrize(
    ("model", "stub", "told"),
    [
        (BINARY, Stub(confidence=1.0), (": says no label", "add `label`, one of a, b")),
        (
            BINARY,
            Stub(label="z"),
            (".label: there is no label of the model `z`", "known: a, b"),
        ),
        (
            BINARY,
            Stub(label="a", score=1.5),
            (".score: is no probability", "write a number from 0 to 1"),
        ),
        (
            BINARY,
            Stub(label="a", score=0.7),
            (".label: with these numbers the model says `b`", "mend one"),
        ),
        (
            BINARY,
            Stub(label="a", confidence=0.3),
            (".label: with these numbers the model says `b`", "mend one"),
        ),
        (
            BINARY,
            Stub(label="b", score=0.7, confidence=0.9),
            (
                ".confidence: with the rest of the stub it is 0.7",
                "leave it out, or write that",
            ),
        ),
        (
            REGRESSION,
            Stub(confidence=0.5, score=1.0),
            (".confidence: a regression has none", "remove it"),
        ),
    ],
    ids=[
        "no-label",
        "unknown-label",
        "score",
        "score-of-other",
        "unsure",
        "both",
        "regression",
    ],
)
def test_what_the_model_could_never_say_is_told(
    model: ModelSpec, stub: Stub, told: tuple[str, str]
) -> None:
    (clash,) = Impersonator(model, "max_probability").clashes(stub)

    assert (f"{clash.at}: {clash.message}", clash.mend) == told


def test_a_regression_says_a_value() -> None:
    actor = Impersonator(REGRESSION, "max_probability")

    assert [clash.at for clash in actor.clashes(Stub(label="a"))] == ["", ".label"]


async def test_the_stand_in_says_what_it_is_told() -> None:
    class Model:
        closed = False

        async def score(self, tensors: object) -> dict[str, object]:
            return {"of": "the model"}

        async def close(self) -> None:
            self.closed = True

    model = Model()
    stand_in = StandIn(model)
    tensors = {"x": np.zeros((1, 1))}

    answers = [await stand_in.score(tensors)]
    stand_in.said = {"of": "the stub"}
    answers.append(await stand_in.score(tensors))
    stand_in.said = ScorerTimeoutError("stub")
    with pytest.raises(ScorerTimeoutError):
        await stand_in.score(tensors)
    await stand_in.close()

    assert answers == [{"of": "the model"}, {"of": "the stub"}]
    assert model.closed
