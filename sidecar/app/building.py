"""Makes a model bundle from an ONNX file and reference rows, and verifies one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from sidecar.adapters.onnx_model import OnnxModel
from sidecar.adapters.onnx_scorer import OnnxScorer
from sidecar.bundle.agree import manifest_faults
from sidecar.bundle.calibration import calibrate
from sidecar.bundle.card import write_card
from sidecar.bundle.evaluation import Answers, Evaluation, evaluate, true_classes, true_values
from sidecar.bundle.golden import choose_golden, golden_rows
from sidecar.bundle.graph import graph_faults
from sidecar.bundle.instants import instants
from sidecar.bundle.load import Bundle, load_bundle
from sidecar.bundle.manifest import (
    BUNDLE_FORMAT,
    Calibration,
    Manifest,
    ModelSpec,
    ReferenceProfile,
    Task,
)
from sidecar.bundle.outputs import AnswerChoice, infer_answers
from sidecar.bundle.profile import build_profile, reference_cells
from sidecar.bundle.seasonal import SlotCounts, encode_slots
from sidecar.bundle.signature import ColumnChoice, infer_inputs, table_columns
from sidecar.bundle.tables import Table, read_table
from sidecar.bundle.timed import add_time
from sidecar.bundle.write import check_free, encode_json, encode_jsonl, write_bundle
from sidecar.config.settings import ModelSettings, MonitorSettings
from sidecar.config.values import ByteSize
from sidecar.errors import (
    BundleError,
    Finding,
    ModelContractError,
    ScorerUnavailableError,
    UserError,
)
from sidecar.events import Features, Float64Column, Reason, ScoreBatch
from sidecar.pipeline.features import Vectoriser
from sidecar.pipeline.interpret import Interpreter
from sidecar.stats.probability import MEASURES, Measure, Probabilities

MAX_MODEL_BYTES = 1 << 30
WINDOWS_MS = tuple(length.ms for length in MonitorSettings().windows)
"""Those of `monitors.windows`, when nothing else is said."""

# Rows of one run: enough that the call itself costs nothing, small enough for any memory.
_BATCH_ROWS = 4_096
# Rows that show how the model answers; every class should be among them.
_PROBE_ROWS = 4_096
# What rounding may do to the sum of a row of probabilities.
_SUM_SLACK = 0.01

Progress = Callable[[int, int], None]
"""Told how many rows are done, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What a bundle is made of."""

    model: Path
    """The ONNX file."""
    reference: Path
    """Reference rows: CSV, Parquet or JSONL."""
    out: Path
    """The bundle's folder."""
    name: str
    version: str
    created: str
    """RFC 3339, UTC. All else in a bundle follows from the other fields."""
    columns: ColumnChoice = field(default_factory=ColumnChoice)
    answers: AnswerChoice = field(default_factory=AnswerChoice)
    owner: str = ""
    training_data: str = ""
    intended_use: str = ""
    windows_ms: tuple[int, ...] | None = None
    """Lengths of the windows whose overdispersion is measured; needs `columns.time`. None for
    those of `WINDOWS_MS`, where there is a time."""
    seasonal: bool = False
    """Keep the counts by hour of the week too; needs `columns.time`."""
    force: bool = False
    """Replace a bundle that is there."""
    max_model_bytes: int = MAX_MODEL_BYTES


def build_bundle(request: BuildRequest, progress: Progress = lambda done, of: None) -> Bundle:
    """Make a bundle: run the model over the reference rows and write down what it does.

    Args:
        request: What the bundle is made of.
        progress: Told after each batch of rows.

    Returns:
        The bundle as it was written, loaded and verified.

    Raises:
        UserError: With everything that must be mended: the model, the rows, the folder.
    """
    check_free(request.out, force=request.force)
    _check_time(request)
    content = _model_content(request)
    table = read_table(request.reference)
    # More threads would add float32 up in another order, and the bytes of the bundle would
    # depend on the machine.
    model = OnnxModel.open(content, threads=1)
    manifest = _manifest(request, model, table)
    columns = table_columns(table, manifest.features)
    run = _run_reference(model, manifest, columns, progress)
    _check_answers(run, columns)
    files = {"model.onnx": content, **_described(request, manifest, columns, run, table)}
    write_bundle(request.out, manifest, files, force=request.force)
    return verify_bundle(request.out, max_model_bytes=request.max_model_bytes)


def verify_bundle(path: Path, *, max_model_bytes: int = MAX_MODEL_BYTES) -> Bundle:
    """Check a bundle as the service does before it serves: files, graph, golden rows.

    Args:
        path: The bundle's folder.
        max_model_bytes: Largest model file that is taken.

    Raises:
        BundleError: With every fault.
    """
    bundle = load_bundle(path, max_model_bytes=max_model_bytes)
    settings = ModelSettings(bundle=path, max_bytes=ByteSize(max_model_bytes))
    OnnxScorer.open(bundle, settings).verify_golden()
    return bundle


def _check_time(request: BuildRequest) -> None:
    """Refuse what needs the time of the rows when no column has it."""
    asked = {
        "--seasonal": request.seasonal,
        "--windows": request.windows_ms is not None,
    }
    mend = "name the column with --time"
    findings = [
        Finding(option, "needs the time of the reference rows", mend)
        for option, there in asked.items()
        if there and not request.columns.time
    ]
    if findings:
        raise UserError("nothing can be told by time", findings)


def _model_content(request: BuildRequest) -> bytes:
    path, most = request.model, request.max_model_bytes
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as exc:
        finding = Finding(path.name, f"cannot be read: {exc.strerror}", "check the path")
        raise UserError(str(path), [finding]) from exc
    if len(content) > most:
        finding = Finding(path.name, f"is larger than {most} bytes", "give a smaller model")
        raise UserError(str(path), [finding])
    return content


# --- signature ------------------------------------------------------------------------------


def _manifest(request: BuildRequest, model: OnnxModel, table: Table) -> Manifest:
    """Find the signature; the digests come when the files are written."""
    choice = request.columns
    inputs, features = infer_inputs(model.graph, table, choice)
    draft = Manifest(
        format=BUNDLE_FORMAT,
        name=request.name,
        version=request.version,
        created=request.created,
        # Enough to call the model; how it answers is found by calling it.
        model=ModelSpec(task=Task.REGRESSION, inputs=inputs, scores=()),
        features=features,
        files={},
        owner=request.owner,
        training_data=request.training_data,
        intended_use=request.intended_use,
        label=choice.label,
        time=choice.time,
        groups=choice.groups,
    )
    _check_names(draft)
    probe = _probe(table_columns(table, features))
    try:
        outputs = model.run(Vectoriser(draft).tensors(probe))
    except ScorerUnavailableError as exc:
        raise _refused(f"cannot run on the reference rows: {exc}", "check --features") from exc
    spec = infer_answers(model.graph, inputs, outputs, request.answers)
    manifest = msgspec.structs.replace(draft, model=spec)
    if faults := [*manifest_faults(manifest), *graph_faults(model.graph, manifest)]:
        raise BundleError("the bundle cannot be built", faults)
    return manifest


def _check_names(draft: Manifest) -> None:
    """Hold name and version against the rules that reading a manifest has."""
    try:
        msgspec.convert(msgspec.to_builtins(draft), Manifest)
    except msgspec.ValidationError as exc:
        mend = "use letters, digits, `.`, `_` and `-`, at most 100"
        raise UserError(
            "the bundle has no name", [Finding("manifest.toml", str(exc), mend)]
        ) from exc


def _probe(columns: Features) -> Features:
    """Give rows from all over the table: files are often sorted by class or by time."""
    rows = min(len(columns), _PROBE_ROWS)
    return columns.take(np.linspace(0, len(columns) - 1, rows).round().astype(np.int64))


# --- answers --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Run:
    """What the model answered on all reference rows."""

    scores: ScoreBatch
    confidence: Mapping[str, Float64Column]
    """By measure, of which `scores` has the first; empty for a regression."""
    probabilities: Probabilities | None
    """None for a regression."""


def _run_reference(
    model: OnnxModel, manifest: Manifest, columns: Features, progress: Progress
) -> _Run:
    """Run the model over the rows, batch by batch."""
    vectoriser = Vectoriser(manifest)
    regression = manifest.model.task is Task.REGRESSION
    measures = MEASURES[:1] if regression else MEASURES
    readers = {measure: Interpreter(manifest.model, measure) for measure in measures}
    batches: dict[Measure, list[ScoreBatch]] = {measure: [] for measure in measures}
    probabilities: list[Probabilities] = []
    for start in range(0, len(columns), _BATCH_ROWS):
        stop = min(start + _BATCH_ROWS, len(columns))
        part = columns.take(np.arange(start, stop))
        try:
            outputs = model.run(vectoriser.tensors(part))
            for measure, reader in readers.items():
                batches[measure].append(reader.interpret(outputs, stop - start))
            if not regression:
                reader = readers[measures[0]]
                probabilities.append(reader.probabilities(outputs, stop - start))
        except (ScorerUnavailableError, ModelContractError) as exc:
            where = f"rows {start + 1} to {stop}"
            raise _refused(f"cannot answer {where}: {exc}", "check model and rows") from exc
        progress(stop, len(columns))
    joined = {measure: _joined(parts) for measure, parts in batches.items()}
    return _Run(
        joined[measures[0]],
        {} if regression else {str(name): each.confidence for name, each in joined.items()},
        None if regression else np.concatenate(probabilities),
    )


def _joined(parts: Sequence[ScoreBatch]) -> ScoreBatch:
    return ScoreBatch(
        label=np.concatenate([part.label for part in parts]),
        score=np.concatenate([part.score for part in parts]),
        confidence=np.concatenate([part.confidence for part in parts]),
        reason=np.concatenate([part.reason for part in parts]),
    )


def _check_answers(run: _Run, columns: Features) -> None:
    """Refuse a model that does not answer the rows it is meant for."""
    silent = run.scores.reason != Reason.CONFIDENT
    if silent.any():
        incomplete = np.asarray(np.isnan(columns.matrix).any(axis=1), np.bool_)
        count = int(silent.sum())
        if bool(np.all(incomplete[silent])):
            message = f"gives no finite score for {count} rows, all with missing values"
            mend = "use a model that bears missing values, or rows that are complete"
        else:
            message = f"gives no probabilities, or no finite score, for {count} rows"
            mend = "for raw scores give --activation softmax or sigmoid"
        raise _refused(message, mend)
    if run.probabilities is not None:
        off = np.abs(run.probabilities.sum(axis=1) - 1.0) > _SUM_SLACK
        if off.any():
            message = f"gives scores that do not add up to 1 for {int(off.sum())} rows"
            raise _refused(message, "for raw scores give --activation softmax")


# --- files ----------------------------------------------------------------------------------


def _described(
    request: BuildRequest, manifest: Manifest, columns: Features, run: _Run, table: Table
) -> dict[str, bytes]:
    """Write down what the reference rows show; a file per view of it."""
    spec, scores = manifest.model, run.scores
    reference, slots = _reference(request, manifest, columns, run, table)
    positions = choose_golden(columns, scores)
    golden = golden_rows(manifest.features, columns, scores, spec.labels, positions)
    calibration, evaluation = _judged(manifest, run, table)
    card = write_card(manifest, reference, calibration, evaluation)
    files = {
        "reference.json": encode_json(reference),
        "golden.jsonl": encode_jsonl(golden),
        "CARD.md": card.encode(),
    }
    if slots is not None:
        files["seasonal.npy"] = encode_slots(slots)
    if calibration is not None:
        files["calibration.json"] = encode_json(calibration)
    if evaluation is not None:
        files["evaluation.json"] = encode_json(evaluation)
    return files


def _reference(
    request: BuildRequest, manifest: Manifest, columns: Features, run: _Run, table: Table
) -> tuple[ReferenceProfile, SlotCounts | None]:
    """Count the reference rows, and their windows where they have a time."""
    spec, score, confidence = manifest.model, run.scores.score, run.confidence
    label = None if spec.task is Task.REGRESSION else run.scores.label
    profile = build_profile(
        manifest.features, columns, score, confidence, label, spec.labels, spec.task
    )
    if not manifest.time:
        return profile, None
    return add_time(
        profile,
        reference_cells(profile, columns, score, confidence, label),
        instants(manifest.time, table[manifest.time]),
        request.windows_ms or WINDOWS_MS,
        seasonal=request.seasonal,
    )


def _judged(
    manifest: Manifest, run: _Run, table: Table
) -> tuple[Calibration | None, Evaluation | None]:
    """Compare the answers with the truth, as far as it is known."""
    if not manifest.label:
        return None, None
    column, spec, scores = table[manifest.label], manifest.model, run.scores
    truth = true_values(column) if spec.task is Task.REGRESSION else true_classes(column, spec)
    labelled = ~np.isnan(truth) if spec.task is Task.REGRESSION else truth >= 0
    if not labelled.any():
        finding = Finding(
            "--label", f"no row has a value of `{manifest.label}`", "name another"
        )
        raise BundleError("the truth cannot be read", [finding])
    answers = Answers(truth, scores.label, scores.score, run.probabilities).take(labelled)
    groups = {name: table[name].take(labelled) for name in manifest.groups}
    evaluation = evaluate(spec.task, answers, groups)
    if spec.task is Task.REGRESSION:
        return None, evaluation
    confidence = {name: column[labelled] for name, column in run.confidence.items()}
    return calibrate(confidence, answers.label == answers.truth), evaluation


def _refused(message: str, mend: str) -> BundleError:
    return BundleError("the model is refused", [Finding("model.onnx", message, mend)])
