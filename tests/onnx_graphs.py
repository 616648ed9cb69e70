"""Graphs that tests write by hand: slow ones, hostile ones, and the bundle around them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from sidecar.bundle.load import Bundle
from sidecar.bundle.manifest import (
    Feature,
    FeatureType,
    Golden,
    Manifest,
    ModelInput,
    ModelSpec,
    ReferenceProfile,
    Task,
)
from sidecar.bundle.profile import build_profile
from sidecar.bundle.write import encode_json, encode_jsonl, write_bundle
from sidecar.events import Features

FLOAT = TensorProto.FLOAT


def graph_bytes(
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
    outputs: Sequence[onnx.ValueInfoProto] | None = None,
    initializers: Sequence[TensorProto] = (),
    domains: Sequence[str] = ("",),
) -> bytes:
    """Give a model from `x` [n, 1] to `y` [n, 1], unless it says otherwise."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        list(inputs or [helper.make_tensor_value_info("x", FLOAT, ["n", 1])]),
        list(outputs or [helper.make_tensor_value_info("y", FLOAT, ["n", 1])]),
        list(initializers),
    )
    opsets = [helper.make_opsetid(domain, 18 if domain == "" else 1) for domain in domains]
    content: bytes = helper.make_model(
        graph, opset_imports=opsets, ir_version=9
    ).SerializeToString()
    return content


def doubling_model() -> bytes:
    """Give y = 2 x."""
    return graph_bytes([helper.make_node("Add", ["x", "x"], ["y"])])


def looping_model() -> bytes:
    """Give y = x after as many idle rounds as the largest x says: slow at will."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Add", ["sum_in", "sum_in"], ["sum_out"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("round_number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_in", FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_out", FLOAT, []),
        ],
    )
    return graph_bytes(
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Cast", ["most"], ["rounds"], to=TensorProto.INT64),
            helper.make_node("Loop", ["rounds", "", "zero"], ["sum"], body=body),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        initializers=[onnx.numpy_helper.from_array(np.array(0.0, np.float32), "zero")],
    )


def external_model(location: str) -> bytes:
    """Give y = x + w, with w in another file."""
    weight = TensorProto(
        name="w", data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    return graph_bytes([helper.make_node("Add", ["x", "w"], ["y"])], initializers=[weight])


def regression_manifest() -> Manifest:
    """Give the manifest of a model from `x` to `y`."""
    return Manifest(
        format=1,
        name="double",
        version="1",
        created="2026-01-01T00:00:00Z",
        model=ModelSpec(
            task=Task.REGRESSION,
            inputs=(ModelInput(name="x", dtype="float32", features=("size",)),),
            scores=("y",),
        ),
        features=(Feature(name="size", type=FeatureType.FLOAT),),
        files={},
    )


def regression_reference(manifest: Manifest) -> ReferenceProfile:
    """Give a profile over sizes 0 to 100 that are doubled."""
    sizes = np.linspace(0.0, 100.0, 201)
    return build_profile(
        manifest.features,
        Features(sizes[:, None], {}),
        2 * sizes,
        {},
        None,
        (),
        Task.REGRESSION,
    )


def bundle_of(
    folder: Path,
    model: bytes,
    *,
    manifest: Manifest | None = None,
    golden: Sequence[Golden] = (Golden(features={"size": 2.0}, score=4.0),),
) -> Bundle:
    """Write a bundle around a model, without asking the model anything."""
    manifest = manifest or regression_manifest()
    reference = regression_reference(manifest)
    files = {
        "model.onnx": model,
        "reference.json": encode_json(reference),
        "golden.jsonl": encode_jsonl(list(golden)),
    }
    written = write_bundle(folder, manifest, files)
    return Bundle(folder, written, reference, None, tuple(golden))
