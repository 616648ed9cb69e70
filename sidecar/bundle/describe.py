"""A bundle as text for a terminal, and as data for scripts."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from sidecar.bundle.card import shown_calibration, shown_rows, shown_values
from sidecar.bundle.evaluation import Evaluation
from sidecar.bundle.load import Bundle, load_evaluation
from sidecar.bundle.manifest import ModelInput, ScoreForm

_ZIPMAP_HINT = (
    "The model answers with one map per row, which costs time on every event.\n"
    "Export it with zipmap=False to have one tensor."
)


def describe(bundle: Bundle) -> str:
    """Write what a bundle is, as plain text with aligned columns.

    Args:
        bundle: As `load_bundle` gives it.
    """
    manifest = bundle.manifest
    evaluation = load_evaluation(bundle)
    parts = [
        _lines(_facts(bundle)),
        "Features\n" + _lines(_features(bundle)),
        "Inputs of the graph\n" + _lines(map(_input, manifest.model.inputs)),
        "Windows without drift\n" + _lines(_windows(bundle)),
    ]
    if evaluation is not None:
        parts.append("Quality on the reference rows\n" + _lines(_quality(evaluation)))
    if manifest.model.form is ScoreForm.ZIPMAP:
        parts.append(_ZIPMAP_HINT)
    return "\n\n".join(parts)


def describe_json(bundle: Bundle) -> bytes:
    """Write what a bundle is, as one JSON object.

    Args:
        bundle: As `load_bundle` gives it.

    Returns:
        `path`, `manifest`, `records` (reference rows), `calibration` (of windows), `golden`
        (rows), `evaluation` (or null).
    """
    view: dict[str, Any] = {
        "path": str(bundle.path),
        "manifest": bundle.manifest,
        "records": bundle.reference.records,
        "calibration": bundle.reference.calibration,
        "golden": len(bundle.golden),
        "evaluation": load_evaluation(bundle),
    }
    return msgspec.json.format(msgspec.json.encode(view), indent=2)


def _facts(bundle: Bundle) -> list[tuple[str, ...]]:
    manifest, spec = bundle.manifest, bundle.manifest.model
    calibrated = "no, the reference rows have no labels"
    no_output = "none, the largest score decides"
    if bundle.calibration is not None:
        calibrated = f"on {bundle.calibration.records:,} labelled rows"
    facts = {
        "Bundle": f"{manifest.name} {manifest.version}",
        "Task": spec.task.value,
        "Labels": ", ".join(spec.labels),
        "Scores": f"{', '.join(spec.scores)} ({spec.form.value}, {spec.activation.value})",
        "Label output": (spec.label_output or no_output) if spec.labels else "",
        "Owner": manifest.owner,
        "Training data": manifest.training_data,
        "Intended use": manifest.intended_use,
        "Created": manifest.created,
        "Reference": shown_rows(bundle.reference),
        "Calibrated": calibrated if spec.labels else "",
        "Golden rows": str(len(bundle.golden)),
        "Model digest": f"sha256:{manifest.files['model.onnx']}",
    }
    return [(name, value) for name, value in facts.items() if value]


def _features(bundle: Bundle) -> Iterator[tuple[str, ...]]:
    profiles = bundle.reference.features
    for feature in bundle.manifest.features:
        need = "required" if feature.required else "may be missing"
        values = shown_values(feature, profiles[feature.name])
        yield f"  {feature.name}", feature.type.value, need, values


def _windows(bundle: Bundle) -> Iterator[tuple[str, ...]]:
    yield from ((f"  {length}", said) for length, said in shown_calibration(bundle.reference))


def _input(each: ModelInput) -> tuple[str, ...]:
    width = "n" if each.rank == 1 else f"n, {len(each.features)}"
    return f"  {each.name}", f"{each.dtype} [{width}]", ", ".join(each.features)


def _quality(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    names = tuple(evaluation.metrics)
    yield ("  rows", "count", *names)
    parts = [("all", evaluation)]
    for group, values in evaluation.groups.items():
        parts += [(f"{group} = {value}", part) for value, part in values.items()]
    for name, part in parts:
        numbers = [f"{part.metrics[n]:.4g}" if n in part.metrics else "" for n in names]
        yield (f"  {name}", f"{part.records:,}", *numbers)


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    """Align cells below each other, two spaces apart; the last column is as long as it is."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
