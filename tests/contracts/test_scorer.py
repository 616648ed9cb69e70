"""What `ports.Scorer` promises, of the real adapter and of the stand-in that flows use."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from sidecar.adapters.onnx_scorer import OnnxScorer
from sidecar.config.settings import ModelSettings
from sidecar.errors import ScorerTimeoutError, ScorerUnavailableError
from sidecar.ports import Scorer, Tensors
from tests.flows.harness import POISON, SteeredScorer
from tests.onnx_graphs import bundle_of, doubling_model


class Subject(NamedTuple):
    """A scorer, rows that it answers, and rows that it cannot bear."""

    scorer: Scorer
    good: Tensors
    bad: Tensors


def onnx(folder: Path) -> Subject:
    bundle = bundle_of(folder / "bundle", doubling_model())
    scorer = OnnxScorer.open(bundle, ModelSettings(bundle=bundle.path, threads=1))
    wrong_width = {"x": np.ones((2, 2), np.float32)}
    return Subject(scorer, {"x": np.ones((2, 1), np.float32)}, wrong_width)


def steered(folder: Path) -> Subject:
    poison = {"X": np.full((2, 1), POISON, np.float32)}
    return Subject(SteeredScorer(), {"X": np.ones((2, 1), np.float32)}, poison)


@asynccontextmanager
async def opened(make: Callable[[Path], Subject], folder: Path) -> AsyncIterator[Subject]:
    subject = make(folder)
    yield subject
    await subject.scorer.close()


pytestmark = pytest.mark.parametrize("make", [onnx, steered], ids=["onnx", "steered"])


async def test_it_answers_each_row(tmp_path: Path, make: Callable[[Path], Subject]) -> None:
    async with opened(make, tmp_path) as (scorer, good, _):
        outputs = await scorer.score(good)

    assert [len(output) for output in outputs.values()] == [2]


async def test_what_the_model_cannot_bear_makes_it_unavailable_and_no_timeout(
    tmp_path: Path, make: Callable[[Path], Subject]
) -> None:
    async with opened(make, tmp_path) as (scorer, _, bad):
        with pytest.raises(ScorerUnavailableError) as error:
            await scorer.score(bad)

    assert not isinstance(error.value, ScorerTimeoutError)


async def test_a_failure_leaves_it_able_to_answer(
    tmp_path: Path, make: Callable[[Path], Subject]
) -> None:
    async with opened(make, tmp_path) as (scorer, good, bad):
        with pytest.raises(ScorerUnavailableError):
            await scorer.score(bad)
        outputs = await scorer.score(good)

    assert len(outputs) == 1


async def test_equal_rows_get_equal_answers(
    tmp_path: Path, make: Callable[[Path], Subject]
) -> None:
    async with opened(make, tmp_path) as (scorer, good, _):
        first, second = await scorer.score(good), await scorer.score(good)

    for name, output in first.items():
        np.testing.assert_array_equal(output, second[name])


async def test_it_can_be_closed_twice(tmp_path: Path, make: Callable[[Path], Subject]) -> None:
    async with opened(make, tmp_path) as (scorer, _, _):
        await scorer.close()
