"""From a model and a table of rows to a folder that runs: bundle, config, tests, events."""

import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.app.building import BuildRequest, Progress, build_bundle
from sidecar.app.starting_page import PAGE, page_text
from sidecar.bundle.calibration import resolve_threshold
from sidecar.bundle.load import Bundle
from sidecar.bundle.manifest import Calibration, Feature, FeatureType, Golden, NumericProfile
from sidecar.bundle.outputs import AnswerChoice
from sidecar.bundle.signature import ColumnChoice
from sidecar.config.settings import ConfidenceSettings, TargetError
from sidecar.errors import Finding, UserError

CONFIG = "sidecar.yaml"
TESTS = "sidecar.test.yaml"
EVENTS = "events.jsonl"
BROKERS = ("${KAFKA_BROKER:-localhost:9092}",)
"""Where the brokers are when nobody says so."""
DEFAULT_LABEL = "undecided"
"""What the config answers where the model does not; plainly none of a model's own classes."""

_MEASURE = "max_probability"
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What a folder is made of."""

    model: Path
    """The ONNX file."""
    reference: Path
    """Reference rows: CSV, Parquet or JSONL."""
    folder: Path
    """The folder to make."""
    name: str
    created: str
    """RFC 3339, UTC. All else follows from the other fields."""
    version: str = "1"
    brokers: tuple[str, ...] = BROKERS
    columns: ColumnChoice = field(default_factory=ColumnChoice)
    answers: AnswerChoice = field(default_factory=AnswerChoice)
    force: bool = False
    """Write into a folder that holds something; only the files of the same names are lost."""


def model_name(model: Path) -> str:
    """Give a name that bundles and topics may have, from the name of the file.

    Example:
        >>> model_name(Path("models/credit risk.onnx"))
        'credit-risk'
    """
    return _UNFIT.sub("-", model.stem).strip("._-")[:100] or "model"


def start_folder(request: StartRequest, progress: Progress = lambda done, of: None) -> Bundle:
    """Make a folder with a bundle, a config, tests of it that pass, events and a page.

    Args:
        request: What the folder is made of.
        progress: Told after each batch of rows.

    Returns:
        The bundle as it was written, in `models/VERSION` of the folder.

    Raises:
        UserError: The folder holds something, or with all that model and rows lack.
    """
    folder = request.folder
    if not request.force and folder.exists() and not _is_empty(folder):
        mend = "choose another folder, or write into this one with --force"
        raise UserError(str(folder), [Finding("FOLDER", "exists already", mend)])
    bundle = build_bundle(
        BuildRequest(
            model=request.model,
            reference=request.reference,
            out=folder / "models" / request.version,
            name=request.name,
            version=request.version,
            created=request.created,
            columns=request.columns,
            answers=request.answers,
            force=request.force,
        ),
        progress,
    )
    texts = {
        CONFIG: config_text(bundle, request.brokers),
        TESTS: cases_text(bundle),
        EVENTS: events_text(bundle),
        PAGE: page_text(bundle),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return bundle


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


# --- the config -------------------------------------------------------------------------------


def config_text(bundle: Bundle, brokers: tuple[str, ...] = BROKERS) -> str:
    """Write the config: what must be given, and what is most likely changed.

    Args:
        bundle: In `models/VERSION` beside the config.
        brokers: `host:port` of a few brokers.
    """
    return "\n".join((*_sources(bundle, brokers), *_confidence(bundle), *_fallback(bundle), ""))


def _sources(bundle: Bundle, brokers: tuple[str, ...]) -> Iterator[str]:
    name = bundle.manifest.name
    yield "# All settings: docs/configuration.md. What is wrong in here: `sidecar check`."
    yield "kafka:"
    yield f"  bootstrap_servers: {json.dumps(brokers)}"
    yield "topics:                             # the sidecar makes none of them"
    yield f"  events: {name}.events"
    yield f"  decisions: {name}.decisions"
    yield f"  dead_letters: {name}.dead-letters"
    yield "model:"
    yield f"  bundle: models/{bundle.manifest.version}                  # relative to this file"


def _confidence(bundle: Bundle) -> Iterator[str]:
    """Say when the model may answer; a regression has no confidence."""
    if not bundle.manifest.model.labels:
        return
    yield "confidence:"
    if bundle.calibration is None:
        yield "  # Below it the fallback chain answers; 0 lets the model answer always. What"
        yield "  # another number costs is not known: the reference rows have no --label."
        yield "  threshold: 0"
        return
    target, kept = _target(bundle.calibration)
    wrong = bundle.calibration.curves[_MEASURE].error[0]
    yield f"  # On the reference rows {wrong:.1%} of the model's answers are wrong. Where it is"
    yield f"  # sure enough for at most {target:.1%} it answers, {kept:.1%} of them; elsewhere"
    yield "  # the fallback chain does."
    yield f"  threshold: {{target_error: {target:g}}}"


def _target(calibration: Calibration) -> tuple[float, float]:
    """Give half the error of all rows, or the best there is, and the share of rows kept."""
    curve = calibration.curves[_MEASURE]
    wanted = max(curve.error[0] / 2, min(curve.error))
    # Rounded up, so that it can be reached; a target of 0 or 1 is none.
    target = min(max(math.ceil(wanted * 1000) / 1000, 0.001), 0.999)
    settings = ConfidenceSettings(threshold=TargetError(target_error=target))
    threshold = resolve_threshold(calibration, settings)
    return target, curve.coverage[curve.threshold.index(threshold)]


def _fallback(bundle: Bundle) -> Iterator[str]:
    answer = _default(bundle)
    condition = _condition(bundle)
    outcome = _flow({"label": "review"} if "label" in answer else answer)[1:-1]
    yield "fallback:"
    yield "  # Tried in order where the model may not answer. Each rule needs a test."
    yield "  # rules:"
    yield f"  #   - {{name: my-rule, when: {_flow(condition)}, {outcome}}}"
    if "label" in answer:
        yield "  # When no rule holds. The label need not be one of the model's."
    else:
        yield "  # When no rule holds. This is about the median of the model's answers."
    yield f"  default: {_flow(answer)}"


def _default(bundle: Bundle) -> dict[str, Any]:
    if bundle.manifest.model.labels:
        return {"label": DEFAULT_LABEL}
    # Golden rows are spread evenly over the answers to all rows.
    return {"score": float(f"{statistics.median(row.score for row in bundle.golden):.4g}")}


def _condition(bundle: Bundle) -> dict[str, Any]:
    """Give a condition on a real feature, of a number where the model takes one."""
    features, profiles = bundle.manifest.features, bundle.reference.features
    for feature in features:
        profile = profiles[feature.name]
        if isinstance(profile, NumericProfile):
            return {feature.name: {"gt": float(f"{profile.centre:.4g}")}}
    first = features[0]
    return {first.name: {"in": list((first.categories or ())[:1])}}


# --- the tests --------------------------------------------------------------------------------


def cases_text(bundle: Bundle) -> str:
    """Write tests that pass: an answer, two refusals, and the default.

    A model whose every feature may be missing has one refusal.

    Args:
        bundle: The one of the config.
    """
    surest = max(bundle.golden, key=lambda row: _confidence_of(bundle, row))
    cases = [
        {
            "name": "the model answers where it is sure",
            "event": _event("sure", surest.features),
            "expect": _answer(surest),
        },
        *_refusals(bundle, surest.features),
        {
            "name": "the default answers when the model fails",
            "event": _event("failing", surest.features),
            "stub": {"error": "model_error"},
            "expect": {"source": "default", "reason": "model_error", **_default(bundle)},
        },
    ]
    head = "# Run them with `sidecar test sidecar.yaml`. What a test may say: docs/testing.md."
    return f"{head}\ntests:\n" + "\n".join("\n".join(_case_lines(case)) for case in cases)


def _confidence_of(bundle: Bundle, row: Golden) -> float:
    """Give the probability of the chosen label; nothing is surer than another in a regression.

    The score of a binary model is the probability of its last label.
    """
    labels = bundle.manifest.model.labels
    if not labels:
        return 0.0
    return 1.0 - row.score if len(labels) == 2 and row.label == labels[0] else row.score


def _answer(row: Golden) -> dict[str, Any]:
    """Expect the answer of a golden row, as exactly as another machine gives it."""
    answer: dict[str, Any] = {"source": "model"}
    if row.label is not None:
        answer["label"] = row.label
    answer["score"] = float(f"{row.score:.7g}")
    if abs(row.score) > 1:
        answer["tolerance"] = float(f"{abs(row.score) * 1e-3:.1g}")
    return answer


def _refusals(bundle: Bundle, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    features = bundle.manifest.features
    typed = next((f for f in features if f.type is not FeatureType.STRING), features[0])
    yield {
        "name": f"{typed.name} of a wrong type is refused",
        "event": _event("wrong", {**values, typed.name: _wrong(typed)}),
        "expect": {"rejected": "wrong_type", "path": f"$.features.{typed.name}"},
    }
    needed = next((feature for feature in features if feature.required), None)
    if needed is not None:
        rest = {name: value for name, value in values.items() if name != needed.name}
        yield {
            "name": f"an event without {needed.name} is refused",
            "event": _event("incomplete", rest),
            "expect": {"rejected": "missing_feature", "path": f"$.features.{needed.name}"},
        }


def _wrong(feature: Feature) -> Any:
    return 12 if feature.type is FeatureType.STRING else "twelve"


def _case_lines(case: Mapping[str, Any]) -> Iterator[str]:
    """Write a test over a few lines, each value as JSON, which YAML reads."""
    for number, (name, value) in enumerate(case.items()):
        yield f"{'    ' if number else '  - '}{name}: {_flow(value)}"
    yield ""


# --- events -----------------------------------------------------------------------------------


def events_text(bundle: Bundle) -> str:
    """Write the golden rows as events, one line of JSON each.

    Args:
        bundle: Where they are.
    """
    events = (_event(f"golden-{n}", row.features) for n, row in enumerate(bundle.golden, 1))
    return "".join(f"{json.dumps(event, ensure_ascii=False)}\n" for event in events)


def _event(name: str, features: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": name, "features": dict(features)}


def _flow(value: Any) -> str:
    """Write a value in one line of YAML; plain words without quotes, no variables.

    Example:
        >>> _flow({"id": "a", "path": "$.x", "price": {"gt": 1.5}, "ok": "${no}"})
        '{id: a, path: $.x, price: {gt: 1.5}, ok: "$${no}"}'
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_word(k)}: {_flow(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str):
        return _word(_DOLLAR.sub("$$", value))
    return json.dumps(value)


# Words that YAML reads as text whatever its version: neither numbers nor times nor truth.
_PLAIN = re.compile(r"[A-Za-z$][A-Za-z0-9_.$ -]*[A-Za-z0-9_]|[A-Za-z]")
_SPECIAL = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_DOLLAR = re.compile(r"\$(?=[${])")


def _word(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _SPECIAL
    return text if plain else json.dumps(text)
