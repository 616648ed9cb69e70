"""An ONNX model in onnxruntime, opened with care: a model file is untrusted input."""

import os
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import RunOptions

from sidecar.bundle.graph import Graph, Port
from sidecar.errors import BundleError, Finding, ScorerUnavailableError
from sidecar.ports import RawOutputs, Tensors

__all__ = ["OnnxModel", "RunOptions"]

# onnxruntime adds in another order for few rows, so that the last digit of an answer depends on
# who else is in the batch: linear models for one row, tree ensembles on several threads for up
# to 50 (they share out the trees then, and the rows above). A batch that is filled up answers
# each row as any other batch does.
_LEAST_ROWS = 2
_LEAST_ROWS_OF_TREES = 64
_TREES = b"TreeEnsemble"

_ONE_FILE = "save the model in one file, with its weights inside, and only standard operators"


class OnnxModel:
    """A session on one processor or more. Runs are blocking; nothing here knows of asyncio."""

    def __init__(self, session: onnxruntime.InferenceSession, least_rows: int) -> None:
        """Describe an open session; see `open`."""
        self._session = session
        self._least_rows = least_rows
        meta = session.get_modelmeta()
        self.graph = Graph(
            inputs=tuple(map(_port, session.get_inputs())),
            outputs=tuple(map(_port, session.get_outputs())),
            metadata=dict(meta.custom_metadata_map),
        )
        self._names = [port.name for port in self.graph.outputs]

    @classmethod
    def open(cls, content: bytes, *, threads: int) -> "OnnxModel":
        """Open a model.

        It must be one file: weights in other files are refused wherever they lie, since no
        digest would cover them. Operators outside onnxruntime are refused, for no library of
        them is ever loaded.

        Args:
            content: The bytes of the ONNX file, after their digest was checked.
            threads: Processors that one run may use.

        Raises:
            BundleError: onnxruntime does not take the model.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # every fault is raised; onnxruntime need not print it
        # Threads that wait for work by spinning take the CPU of the service beside us.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Weights in other files are looked for in this folder, and no file can be in it, for it
        # is none. Without the entry they would be read from the working directory.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", os.devnull
        )
        try:
            session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # onnxruntime's exceptions have no base class
            finding = Finding("model.onnx", f"cannot be loaded: {_first_line(exc)}", _ONE_FILE)
            raise BundleError("the model is refused", [finding]) from exc
        trees = threads > 1 and _TREES in content
        return cls(session, _LEAST_ROWS_OF_TREES if trees else _LEAST_ROWS)

    def run(self, tensors: Tensors, options: RunOptions | None = None) -> RawOutputs:
        """Run the model on one batch. The answer of a row does not depend on the others.

        Args:
            tensors: One per input, by name.
            options: For ending the run from another thread.

        Returns:
            The outputs by name: arrays, or a list of dicts for a map per row.

        Raises:
            ScorerUnavailableError: onnxruntime refuses or fails; its reason is in the message.
        """
        rows = len(next(iter(tensors.values())))
        filled = {name: _fill(tensor, self._least_rows) for name, tensor in tensors.items()}
        try:
            outputs: list[Any] = self._session.run(self._names, filled, options)
        except Exception as exc:  # onnxruntime's exceptions have no base class
            raise ScorerUnavailableError(_first_line(exc)) from exc
        return {name: output[:rows] for name, output in zip(self._names, outputs, strict=True)}


def _fill(tensor: NDArray[Any], least: int) -> NDArray[Any]:
    """Repeat the last row until there are enough."""
    missing = least - len(tensor)
    if missing <= 0 or not len(tensor):
        return tensor
    return np.concatenate((tensor, np.repeat(tensor[-1:], missing, axis=0)))


def _port(arg: Any) -> Port:
    # A size that is left open is None or has a name; a scalar and an unknown shape look alike.
    sizes = [size if isinstance(size, int) else None for size in arg.shape or ()]
    return Port(arg.name, arg.type, tuple(sizes) or None)


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0][:500]
