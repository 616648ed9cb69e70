"""The model of a bundle, run in a thread of its own with a time limit."""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from sidecar.adapters.cpu_limit import cpu_limit
from sidecar.adapters.onnx_model import OnnxModel, RunOptions
from sidecar.bundle.golden import golden_faults
from sidecar.bundle.graph import graph_faults
from sidecar.bundle.load import Bundle
from sidecar.bundle.rows import columns_of
from sidecar.config.settings import ModelSettings
from sidecar.errors import (
    BundleError,
    Finding,
    ModelContractError,
    ScorerTimeoutError,
    ScorerUnavailableError,
)
from sidecar.pipeline.features import Vectoriser
from sidecar.pipeline.interpret import Interpreter
from sidecar.ports import RawOutputs, Tensors


class OnnxScorer:
    """Scores batches one after the other, off the event loop; see `ports.Scorer`.

    A run that passes the time limit is asked to end, which onnxruntime does between two
    operators. Until it has, every further call fails at once instead of waiting behind it.
    """

    def __init__(self, model: OnnxModel, bundle: Bundle, timeout_s: float) -> None:
        """Join the parts; see `open`."""
        self._model = model
        self._bundle = bundle
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._overdue: asyncio.Future[RawOutputs] | None = None

    @classmethod
    def open(cls, bundle: Bundle, settings: ModelSettings) -> Self:
        """Load the model and hold its graph against the manifest. Blocks.

        Args:
            bundle: As `load_bundle` gives it.
            settings: Time limit, threads and largest size.

        Raises:
            BundleError: The file changed since the bundle was loaded, is too large, is refused
                by onnxruntime, or has other inputs or outputs than the manifest says.
        """
        # One processor is the event loop's, which decodes the next batch meanwhile.
        auto = max(1, cpu_limit() - 1)
        threads = auto if settings.threads == "auto" else settings.threads
        model = OnnxModel.open(_content(bundle, settings.max_bytes.bytes), threads=threads)
        if faults := graph_faults(model.graph, bundle.manifest):
            raise BundleError(str(bundle.path), faults)
        return cls(model, bundle, settings.timeout.seconds)

    def verify_golden(self) -> None:
        """Ask the model for its golden rows, and refuse it when an answer differs. Blocks.

        Raises:
            BundleError: With each row that differs, or when the model cannot answer.
        """
        manifest, golden = self._bundle.manifest, self._bundle.golden
        try:
            scores = Interpreter(manifest.model, "max_probability").interpret(
                self._model.run(self._golden_tensors()), len(golden)
            )
        except (ScorerUnavailableError, ModelContractError) as exc:
            mend = "build the bundle again from this model"
            finding = Finding("golden.jsonl", f"the model cannot answer: {exc}", mend)
            raise BundleError(str(self._bundle.path), [finding]) from exc
        if faults := golden_faults(golden, scores, manifest.model.labels):
            raise BundleError(str(self._bundle.path), faults)

    def warm_up(self, runs: int) -> None:
        """Run the golden rows a few times, so that the first batch finds all memory in place.

        Args:
            runs: How often; 0 does nothing.

        Raises:
            ScorerUnavailableError: The model raised.
        """
        for _ in range(runs):
            self._model.run(self._golden_tensors())

    async def score(self, tensors: Tensors) -> RawOutputs:
        """Run the model on one batch.

        Raises:
            ScorerTimeoutError: No answer in time, or an earlier run is still under way.
            ScorerUnavailableError: The model raised.
        """
        if self._overdue is not None:
            raise ScorerTimeoutError("an earlier run that passed its time limit has not ended")
        options = RunOptions()
        loop = asyncio.get_running_loop()
        run = loop.run_in_executor(self._thread, self._model.run, tensors, options)
        try:
            await asyncio.wait((run,), timeout=self._timeout_s)
        finally:  # also when the caller is cancelled: the thread must come free
            if not run.done():
                self._give_up(run, options)
        if run is self._overdue:
            raise ScorerTimeoutError(f"no answer within {self._timeout_s:g} s")
        return run.result()

    async def close(self) -> None:
        """Release the thread; a run that is under way is left to end by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _give_up(self, run: "asyncio.Future[RawOutputs]", options: RunOptions) -> None:
        options.terminate = True
        self._overdue = run
        run.add_done_callback(self._ended)

    def _ended(self, run: "asyncio.Future[RawOutputs]") -> None:
        self._overdue = None
        if not run.cancelled():
            run.exception()  # nobody waits for it any more, so it counts as seen

    def _golden_tensors(self) -> Tensors:
        manifest = self._bundle.manifest
        rows = [row.features for row in self._bundle.golden]
        return Vectoriser(manifest).tensors(columns_of(manifest.features, rows))


def _content(bundle: Bundle, max_bytes: int) -> bytes:
    """Read the model file and check once more that it is the one of the manifest.

    What is handed to onnxruntime are the bytes that were checked, so that nobody can change
    the file between the check and its use.
    """
    with bundle.model_path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        message, mend = f"is larger than {max_bytes} bytes", "raise model.max_bytes"
    elif hashlib.sha256(content).hexdigest() != bundle.manifest.files["model.onnx"]:
        message, mend = "changed since the bundle was loaded", "start again"
    else:
        return content
    raise BundleError(str(bundle.path), [Finding("model.onnx", message, mend)])
