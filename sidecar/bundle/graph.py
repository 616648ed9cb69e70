"""The outside of an ONNX graph: its inputs and outputs, and whether a manifest fits them.

No model is read or run here: an adapter describes the graph, so that this stays pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.bundle.manifest import Manifest, ModelInput, ScoreForm
from sidecar.errors import Finding

ELEMENTS = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
}
"""ONNX types of inputs that features can be put into, and what the manifest calls them."""


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a graph."""

    name: str
    type: str
    """As ONNX writes it: `tensor(float)`, `seq(map(int64,tensor(float)))`."""
    shape: tuple[int | None, ...] | None
    """None for a size that the graph leaves open, or for the whole shape."""

    @property
    def is_label(self) -> bool:
        """Whether it can hold the chosen class of each row."""
        return self.type in ("tensor(int64)", "tensor(string)", "tensor(int32)")

    @property
    def is_score(self) -> bool:
        """Whether it can hold scores as a tensor."""
        return self.type in ("tensor(float)", "tensor(double)")

    @property
    def is_zipmap(self) -> bool:
        """Whether it holds a map from class to score for each row."""
        return self.type.startswith("seq(map(")

    def __str__(self) -> str:
        """Write it as people read it: `probabilities: tensor(float) [?, 2]`."""
        if self.shape is None:
            return f"{self.name}: {self.type}"
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.type} [{sizes}]"


@dataclass(frozen=True, slots=True)
class Graph:
    """What an ONNX file says about itself."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]


def graph_faults(graph: Graph, manifest: Manifest) -> list[Finding]:
    """Find where a graph is not what the manifest says.

    Args:
        graph: Of the model file.
        manifest: Of the same bundle.

    Returns:
        Nothing when they agree.
    """
    spec = manifest.model
    return [
        *_input_faults(graph.inputs, spec.inputs),
        *_output_faults(graph.outputs, spec.form, spec.scores, spec.label_output),
    ]


def _input_faults(ports: Sequence[Port], inputs: Sequence[ModelInput]) -> list[Finding]:
    there = {port.name: port for port in ports}
    planned = {each.name: each for each in inputs}
    faults = [
        _fault(f"the graph has an input `{name}` that the manifest does not name")
        for name in there.keys() - planned.keys()
    ]
    for name, each in planned.items():
        if name not in there:
            faults.append(_fault(f"the graph has no input `{name}`"))
            continue
        port = there[name]
        if ELEMENTS.get(port.type) != each.dtype:
            faults.append(_fault(f"input `{name}` is {port.type}, not {each.dtype}"))
        if not _takes(port.shape, each):
            wanted = "[n]" if each.rank == 1 else f"[n, {len(each.features)}]"
            faults.append(_fault(f"the input {port} does not take {wanted}"))
    return faults


def _takes(shape: tuple[int | None, ...] | None, each: ModelInput) -> bool:
    """Tell whether rows of this input fit the shape of the graph."""
    if shape is None:
        return True
    wanted = (None,) if each.rank == 1 else (None, len(each.features))
    return len(shape) == len(wanted) and all(
        has is None or has == wants for has, wants in zip(shape, wanted, strict=True)
    )


def _output_faults(
    ports: Sequence[Port], form: ScoreForm, scores: Sequence[str], label: str | None
) -> list[Finding]:
    there = {port.name: port for port in ports}
    faults = [
        _fault(f"the graph has no output `{name}`")
        for name in (*scores, *([label] if label else []))
        if name not in there
    ]
    for name in scores:
        port = there.get(name)
        fits = port is None or (port.is_zipmap if form is ScoreForm.ZIPMAP else port.is_score)
        if not fits:
            faults.append(_fault(f"the output {port} does not hold scores as a {form.value}"))
    if label in there and not there[label].is_label:
        faults.append(_fault(f"the output {there[label]} does not hold labels"))
    return faults


def _fault(message: str) -> Finding:
    return Finding("model.onnx", message, "build the bundle again from this model")
