"""When incidents are on, and the model that fails."""

import asyncio

import numpy as np
import pytest

from sidecar.demo.incidents import INCIDENTS, MODEL_FAILS, FailingScorer
from sidecar.errors import ScorerUnavailableError
from sidecar.ports import RawOutputs, Tensors


class Constant:
    """A model that always says the same."""

    closed = False

    async def score(self, tensors: Tensors) -> RawOutputs:
        return {"rows": len(tensors["x"])}

    async def close(self) -> None:
        self.closed = True


TENSORS = {"x": np.zeros(3)}


def test_incidents_come_one_after_the_other() -> None:
    edges = [edge for i in INCIDENTS for edge in (i.begins_ms, i.ends_ms)]

    assert edges == sorted(set(edges))


def test_the_end_is_no_part_of_an_incident() -> None:
    at = (MODEL_FAILS.begins_ms - 1, MODEL_FAILS.begins_ms, MODEL_FAILS.ends_ms)

    assert [MODEL_FAILS.on(moment) for moment in at] == [False, True, False]


def test_the_model_raises_while_its_incident_is_on() -> None:
    scorer = FailingScorer(Constant(), lambda: MODEL_FAILS.begins_ms)

    with pytest.raises(ScorerUnavailableError, match="made to fail by the demo"):
        asyncio.run(scorer.score(TENSORS))


def test_the_model_answers_at_any_other_time() -> None:
    scorer = FailingScorer(Constant(), lambda: MODEL_FAILS.ends_ms)

    assert asyncio.run(scorer.score(TENSORS)) == {"rows": 3}


def test_closing_closes_the_model_itself() -> None:
    model = Constant()

    asyncio.run(FailingScorer(model, lambda: 0).close())

    assert model.closed
