from typing import Any

import msgspec
import pytest

from sidecar.bundle.graph import Graph, Port, graph_faults
from sidecar.bundle.manifest import Manifest, ModelInput, ScoreForm, Task
from tests.onnx_graphs import regression_manifest

FLOATS = "tensor(float)"


def manifest(**changes: Any) -> Manifest:
    draft = regression_manifest()
    fields = {
        "task": Task.BINARY,
        "inputs": (ModelInput(name="x", dtype="float32", features=("size",)),),
        "scores": ("p",),
        "label_output": "label",
        **changes,
    }
    return msgspec.structs.replace(draft, model=msgspec.structs.replace(draft.model, **fields))


def graph(**types: str) -> Graph:
    outputs = {"label": "tensor(int64)", "p": FLOATS, **types}
    return Graph(
        inputs=(Port("x", outputs.pop("x", FLOATS), (None, 1)),),
        outputs=tuple(Port(name, kind, None) for name, kind in outputs.items()),
        metadata={},
    )


@pytest.mark.parametrize("shape", [(None, 1), (None, None), (None,), None])
def test_a_graph_may_leave_open_what_the_manifest_says(
    shape: tuple[int | None, ...] | None,
) -> None:
    rank = 1 if shape == (None,) else 2
    each = ModelInput(name="x", dtype="float32", features=("size",), rank=rank)
    found = Graph((Port("x", FLOATS, shape),), graph().outputs, {})

    assert graph_faults(found, manifest(inputs=(each,))) == []


FAULTS: dict[str, tuple[Graph, Manifest, str]] = {
    "an input of another name": (
        graph(),
        manifest(inputs=(ModelInput(name="z", dtype="float32", features=("size",)),)),
        "the graph has no input `z`",
    ),
    "an input of another type": (
        graph(x="tensor(double)"),
        manifest(),
        "input `x` is tensor(double), not float32",
    ),
    "no label": (
        graph(),
        manifest(label_output="class"),
        "the graph has no output `class`",
    ),
    "a label of another type": (
        graph(label=FLOATS),
        manifest(),
        "the output label: tensor(float) does not hold labels",
    ),
    "maps for a tensor": (
        graph(p="seq(map(string,tensor(float)))"),
        manifest(),
        "the output p: seq(map(string,tensor(float))) does not hold scores as a tensor",
    ),
    "a tensor for maps": (
        graph(),
        manifest(form=ScoreForm.ZIPMAP),
        "the output p: tensor(float) does not hold scores as a zipmap",
    ),
}


@pytest.mark.parametrize(("found", "wanted", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_graph_that_is_another_one_is_found_out(
    found: Graph, wanted: Manifest, fault: str
) -> None:
    assert fault in [finding.message for finding in graph_faults(found, wanted)]
