import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest
from onnx import helper

from sidecar.adapters.onnx_model import OnnxModel
from sidecar.adapters.onnx_scorer import OnnxScorer
from sidecar.bundle.load import Bundle
from sidecar.bundle.manifest import Golden, ModelInput
from sidecar.config.settings import ModelSettings
from sidecar.config.values import ByteSize, Duration
from sidecar.errors import BundleError, ScorerTimeoutError, ScorerUnavailableError
from sidecar.ports import Tensors
from tests.onnx_graphs import (
    FLOAT,
    bundle_of,
    doubling_model,
    external_model,
    graph_bytes,
    looping_model,
    regression_manifest,
)

MODELS = Path(__file__).parents[2] / "data" / "models"

FOR_EVER = 1e9
"""Rounds that take minutes; a run of them is always ended early."""


def opened(bundle: Bundle, *, timeout_ms: int = 5_000, max_bytes: int = 1 << 20) -> OnnxScorer:
    settings = ModelSettings(
        bundle=bundle.path,
        timeout=Duration(timeout_ms),
        threads=1,
        max_bytes=ByteSize(max_bytes),
    )
    return OnnxScorer.open(bundle, settings)


def column(*values: float) -> Tensors:
    return {"x": np.array(values, np.float32)[:, None]}


def faults(error: pytest.ExceptionInfo[BundleError]) -> list[str]:
    return [f"{finding.path}: {finding.message}" for finding in error.value.findings]


# --- running ---------------------------------------------------------------------------------


async def test_it_answers_by_output_name(tmp_path: Path) -> None:
    scorer = opened(bundle_of(tmp_path / "b", doubling_model()))

    outputs = await scorer.score(column(1.0, 2.5))

    await scorer.close()
    assert {name: values.tolist() for name, values in outputs.items()} == {"y": [[2.0], [5.0]]}


async def test_a_run_past_the_limit_is_ended_and_the_next_one_answers(tmp_path: Path) -> None:
    scorer = opened(bundle_of(tmp_path / "b", looping_model()), timeout_ms=50)
    scorer.warm_up(1)

    with pytest.raises(ScorerTimeoutError, match="no answer within"):
        await scorer.score(column(FOR_EVER))
    async with asyncio.timeout(10):
        outputs = await answer_when_free(scorer, column(3.0))

    await scorer.close()
    assert outputs == [[3.0]]


async def answer_when_free(scorer: OnnxScorer, tensors: Tensors) -> list[list[float]]:
    while True:
        try:
            answer: list[list[float]] = (await scorer.score(tensors))["y"].tolist()
        except ScorerTimeoutError:
            await asyncio.sleep(0)
        else:
            return answer


async def test_while_a_run_is_overdue_calls_fail_at_once(tmp_path: Path) -> None:
    scorer = opened(bundle_of(tmp_path / "b", looping_model()), timeout_ms=50)

    with pytest.raises(ScorerTimeoutError, match="no answer within"):
        await scorer.score(column(FOR_EVER))
    # Nothing was awaited in between, so the loop cannot have heard of the end of the run.
    with pytest.raises(ScorerTimeoutError, match="has not ended"):
        scorer.score(column(1.0)).send(None)

    await scorer.close()


async def test_a_caller_that_is_cancelled_frees_the_thread(tmp_path: Path) -> None:
    scorer = opened(bundle_of(tmp_path / "b", looping_model()), timeout_ms=60_000)
    call = asyncio.create_task(scorer.score(column(FOR_EVER)))
    await asyncio.sleep(0)

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(10):
        assert await answer_when_free(scorer, column(1.0)) == [[1.0]]
    await scorer.close()


async def test_what_the_model_raises_is_unavailable_and_not_a_timeout(tmp_path: Path) -> None:
    scorer = opened(bundle_of(tmp_path / "b", doubling_model()))

    with pytest.raises(ScorerUnavailableError) as error:
        await scorer.score({"x": np.zeros((2, 3), np.float32)})

    await scorer.close()
    assert type(error.value) is ScorerUnavailableError
    assert "invalid dimensions" in str(error.value)


# --- the graph against the manifest ----------------------------------------------------------


def test_a_graph_of_another_signature_is_refused_with_all_that_differs(tmp_path: Path) -> None:
    wide = ModelInput(name="x", dtype="float64", features=("size", "size"))
    manifest = regression_manifest()
    spec = msgspec.structs.replace(manifest.model, inputs=(wide,), scores=("z",))
    manifest = msgspec.structs.replace(manifest, model=spec)

    with pytest.raises(BundleError) as error:
        opened(bundle_of(tmp_path / "b", doubling_model(), manifest=manifest))

    assert faults(error) == [
        "model.onnx: input `x` is tensor(float), not float64",
        "model.onnx: the input x: tensor(float) [?, 1] does not take [n, 2]",
        "model.onnx: the graph has no output `z`",
    ]


def test_an_input_that_nobody_fills_is_refused(tmp_path: Path) -> None:
    inputs = [helper.make_tensor_value_info(name, FLOAT, ["n", 1]) for name in ("x", "other")]
    model = graph_bytes([helper.make_node("Add", ["x", "other"], ["y"])], inputs=inputs)

    with pytest.raises(BundleError) as error:
        opened(bundle_of(tmp_path / "b", model))

    assert faults(error) == [
        "model.onnx: the graph has an input `other` that the manifest does not name"
    ]


# --- golden rows -----------------------------------------------------------------------------


@pytest.mark.parametrize("score", [4.0, 4.0003, 3.9997], ids=["equal", "above", "below"])
def test_golden_rows_may_differ_by_rounding(tmp_path: Path, score: float) -> None:
    golden = [Golden(features={"size": 2.0}, score=score)]

    opened(bundle_of(tmp_path / "b", doubling_model(), golden=golden)).verify_golden()


def test_a_golden_row_that_disagrees_is_named(tmp_path: Path) -> None:
    golden = [
        Golden(features={"size": 2.0}, score=4.0),
        Golden(features={"size": 3.0}, score=6.01),
        Golden(features={"size": None}, score=0.0),
    ]
    scorer = opened(bundle_of(tmp_path / "b", doubling_model(), golden=golden))

    with pytest.raises(BundleError) as error:
        scorer.verify_golden()

    assert faults(error) == [
        "golden.jsonl: line 2: the model answers label None, score 6; "
        "expected label None, score 6.01",
        "golden.jsonl: line 3: the model answers no finite score; expected label None, score 0",
    ]


def test_a_model_that_raises_on_golden_rows_is_refused(tmp_path: Path) -> None:
    shape = np.array([7, 7], np.int64)
    model = graph_bytes(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        outputs=[helper.make_tensor_value_info("y", FLOAT, [7, 7])],
        initializers=[helper.make_tensor("shape", 7, [2], shape)],
    )

    with pytest.raises(BundleError, match="the model cannot answer"):
        opened(bundle_of(tmp_path / "b", model)).verify_golden()


# --- model files are untrusted ---------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a weight of 1 beside the bundle, in it, behind a link, and in the working folder."""
    folder = tmp_path / "b"
    folder.mkdir()
    weight = tmp_path / "weight.bin"
    for path in (weight, folder / "inside.bin", tmp_path / "here.bin"):
        path.write_bytes(np.float32(1.0).tobytes())
    (folder / "link.bin").symlink_to(weight)
    monkeypatch.chdir(tmp_path)
    return weight


def test_the_models_below_would_load_if_nobody_took_care(outside: Path) -> None:
    model = outside.parent / "plain.onnx"
    model.write_bytes(external_model("here.bin"))

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])

    assert session.run(["y"], dict(column(1.0)))[0].tolist() == [[2.0]]


@pytest.mark.parametrize(
    "location",
    ["../weight.bin", "link.bin", "inside.bin", "here.bin", "b/../weight.bin", "/etc/passwd"],
)
@pytest.mark.usefixtures("outside")
def test_weights_in_other_files_are_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(BundleError, match="cannot be loaded"):
        opened(bundle_in(tmp_path / "b", external_model(location)))


def test_an_absolute_path_to_a_real_weight_is_refused(outside: Path) -> None:
    with pytest.raises(BundleError, match="cannot be loaded"):
        opened(bundle_in(outside.parent / "b", external_model(str(outside))))


def bundle_in(folder: Path, model: bytes) -> Bundle:
    """Write a bundle beside the files that a folder has already."""
    written = bundle_of(folder.with_name("scratch"), model)
    for path in written.path.iterdir():
        path.rename(folder / path.name)
    return replace(written, path=folder)


def test_an_operator_of_a_foreign_library_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Evil", ["x"], ["y"], domain="com.evil")]
    model = graph_bytes(nodes, domains=("", "com.evil"))

    with pytest.raises(BundleError, match=r"com\.evil:Evil"):
        opened(bundle_of(tmp_path / "b", model))


@pytest.mark.parametrize("content", [b"", b"no model", doubling_model()[:-20]])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="cannot be loaded"):
        OnnxModel.open(content, threads=1)


def test_a_model_beyond_the_size_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as error:
        opened(bundle_of(tmp_path / "b", doubling_model()), max_bytes=20)

    assert faults(error) == ["model.onnx: is larger than 20 bytes"]


def test_a_file_that_changed_after_loading_is_refused(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "b", doubling_model())
    bundle.model_path.write_bytes(looping_model())

    with pytest.raises(BundleError) as error:
        opened(bundle)

    assert faults(error) == ["model.onnx: changed since the bundle was loaded"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "name", ["diabetes_lightgbm", "diabetes_sklearn", "wine_lightgbm", "iris_logits"]
)
def test_the_answer_of_a_row_does_not_depend_on_its_batch(name: str, threads: int) -> None:
    content = (MODELS / f"{name}.onnx").read_bytes()
    model = OnnxModel.open(content, threads=threads)
    (port,) = model.graph.inputs
    assert port.shape is not None
    width = port.shape[1] or 0
    matrix = np.random.default_rng(1).normal(size=(300, width)).astype(np.float32)

    together = model.run({port.name: matrix})
    apart = [
        model.run({port.name: part}) for part in np.split(matrix, [1, 3, 10, 40, 99, 163, 200])
    ]

    for output, whole in together.items():
        if isinstance(whole, np.ndarray):
            parts = np.concatenate([part[output] for part in apart])
            np.testing.assert_array_equal(parts, whole)
