"""Whether the parts of a bundle say the same."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from sidecar.bundle.graph import ELEMENTS
from sidecar.bundle.manifest import (
    Activation,
    Feature,
    FeatureType,
    Golden,
    Manifest,
    ModelInput,
    NumericProfile,
    Profile,
    ReferenceProfile,
    ScoreForm,
    SubjectDispersions,
    Task,
)
from sidecar.bundle.profile import entries
from sidecar.bundle.seasonal import SlotCounts, slot_faults
from sidecar.errors import Finding
from sidecar.stats.probability import MEASURES

_REBUILD = "build the bundle again"


def manifest_faults(manifest: Manifest) -> list[Finding]:
    """Find where a manifest contradicts itself."""
    messages = [
        *_feature_faults(manifest.features),
        *_input_faults(manifest),
        *_answer_faults(manifest),
    ]
    return [Finding("manifest.toml", message, _REBUILD) for message in messages]


def disagreements(
    manifest: Manifest,
    reference: ReferenceProfile,
    golden: Sequence[Golden],
    slots: SlotCounts | None,
) -> list[Finding]:
    """Find where reference and golden rows are of another signature than the manifest."""
    return [
        *(Finding("reference.json", m, _REBUILD) for m in _profile_faults(manifest, reference)),
        *(Finding("reference.json", m, _REBUILD) for m in _calibration_faults(reference)),
        *(Finding("seasonal.npy", m, _REBUILD) for m in _season_faults(reference, slots)),
        *(Finding("golden.jsonl", m, _REBUILD) for m in _golden_faults(manifest, golden)),
    ]


def _feature_faults(features: Sequence[Feature]) -> Iterator[str]:
    names = [feature.name for feature in features]
    yield from (f"names the feature `{name}` twice" for name in _twice(names))
    if not names:
        yield "names no features"
    for feature in features:
        if feature.type is FeatureType.STRING and feature.categories is None:
            yield f"names no categories of the string feature `{feature.name}`"
        if feature.limits is not None and not feature.limits[0] <= feature.limits[1]:
            yield f"has limits of `{feature.name}` that no value is within"


def _input_faults(manifest: Manifest) -> Iterator[str]:
    features = {feature.name: feature for feature in manifest.features}
    inputs = manifest.model.inputs
    if not inputs:
        yield "names no inputs of the model"
    yield from (f"names the input `{name}` twice" for name in _twice([i.name for i in inputs]))
    for each in inputs:
        if each.dtype not in ELEMENTS.values():
            yield f"has an unknown type `{each.dtype}` for the input `{each.name}`"
        if each.rank not in (1, 2) or (each.rank == 1 and len(each.features) != 1):
            yield f"has a rank that does not fit the features of the input `{each.name}`"
        for name in each.features:
            if name not in features:
                yield f"puts `{name}`, which is no feature, into the input `{each.name}`"
            elif fault := input_fault(features[name], each):
                yield fault


def input_fault(feature: Feature, each: ModelInput) -> str | None:
    """Say why a feature cannot be put into an input; None when it can."""
    if (feature.type is FeatureType.STRING) != (each.dtype == "string"):
        return (
            f"has the feature `{feature.name}` of type {feature.type} "
            f"for the {each.dtype} input `{each.name}`"
        )
    if each.dtype in ("int32", "int64", "bool") and not feature.required:
        return (
            f"lets the feature `{feature.name}` be missing, which the {each.dtype} input "
            f"`{each.name}` cannot say"
        )
    return None


def _answer_faults(manifest: Manifest) -> Iterator[str]:
    spec = manifest.model
    labels = len(spec.labels)
    fits = {
        Task.BINARY: labels == 2,
        Task.MULTICLASS: labels > 2,
        Task.REGRESSION: labels == 0,
    }
    if not fits[spec.task]:
        yield f"has {labels} labels for the task {spec.task}"
    yield from (f"names the label `{label}` twice" for label in _twice(spec.labels))
    if spec.classes and len(spec.classes) != labels:
        yield f"has {len(spec.classes)} classes for {labels} labels"
    if not spec.classes and (spec.label_output or spec.form is ScoreForm.ZIPMAP):
        yield "names no classes, though the model answers with them"
    wanted = labels if spec.form is ScoreForm.COLUMNS else 1
    if len(spec.scores) != wanted:
        yield f"names {len(spec.scores)} outputs with scores; expected {wanted}"
    if spec.activation is Activation.SIGMOID and spec.task is not Task.BINARY:
        yield "has the activation sigmoid, which is for two classes only"
    if spec.activation is not Activation.NONE and spec.task is Task.REGRESSION:
        yield "has an activation, which a regression does not have"


def _profile_faults(manifest: Manifest, reference: ReferenceProfile) -> Iterator[str]:
    names = {feature.name for feature in manifest.features}
    yield from (f"has no profile of `{n}`" for n in sorted(names - reference.features.keys()))
    yield from (f"has `{n}`, no feature" for n in sorted(reference.features.keys() - names))
    for feature in manifest.features:
        profile = reference.features.get(feature.name)
        if profile is None:
            continue
        has = None if isinstance(profile, NumericProfile) else profile.categories
        if has != feature.categories:
            yield f"has other categories of `{feature.name}` than the manifest"
        yield from _count_faults(feature.name, profile, reference.records)
    yield from _count_faults("score", reference.score, reference.records)
    measures = () if manifest.model.task is Task.REGRESSION else MEASURES
    if set(measures) != reference.confidence.keys():
        yield f"has other measures of confidence than {', '.join(measures) or 'none'}"
    for measure, confidence in reference.confidence.items():
        yield from _count_faults(f"confidence.{measure}", confidence, reference.records)
    if reference.label is not None:
        yield from _count_faults("label", reference.label, reference.records)
    labels = reference.label.categories if reference.label is not None else ()
    if labels != manifest.model.labels:
        yield "has other labels than the manifest"


def _count_faults(name: str, profile: Profile, records: int) -> Iterator[str]:
    if isinstance(profile, NumericProfile):
        wanted = len(profile.edges) + 4
        if any(low >= high for low, high in pairwise(profile.edges)):
            yield f"has edges of `{name}` that do not ascend"
    else:
        wanted = len(profile.categories) + 2
    if len(profile.counts) != wanted:
        yield f"has {len(profile.counts)} counts of `{name}` for {wanted} cells"
    elif sum(profile.counts) != records or min(profile.counts) < 0:
        yield f"has counts of `{name}` that do not add up to its {records} records"


def _calibration_faults(reference: ReferenceProfile) -> Iterator[str]:
    wanted = [(each.kind, each.name) for each in entries(reference)]
    keys = [(each.reference, each.length_ms) for each in reference.calibration]
    if len(set(keys)) < len(keys):
        yield "has two calibrations of windows of the same length"
    for each in reference.calibration:
        if each.reference == "seasonal" and reference.season is None:
            yield "has a seasonal calibration and no season"
        if each.subjects is not None and set(_calibrated(each.subjects)) != set(wanted):
            yield f"has a calibration of windows of {each.length_ms} ms of other subjects"


def _calibrated(subjects: SubjectDispersions) -> list[tuple[str, str]]:
    return [
        *(("feature", name) for name in subjects.features),
        ("score", "score"),
        *(("confidence", name) for name in subjects.confidence),
        *([("label", "label")] if subjects.label is not None else []),
    ]


def _season_faults(reference: ReferenceProfile, slots: SlotCounts | None) -> Iterator[str]:
    if (slots is not None) != (reference.season is not None):
        yield "is there without a season in reference.json, or lacks with one"
    elif slots is not None:
        yield from slot_faults(reference, slots)


def _golden_faults(manifest: Manifest, golden: Sequence[Golden]) -> Iterator[str]:
    names = {feature.name for feature in manifest.features}
    strings = {f.name for f in manifest.features if f.type is FeatureType.STRING}
    labels: tuple[str | None, ...] = manifest.model.labels or (None,)
    if not golden:
        yield "holds no rows"
    for line, row in enumerate(golden, start=1):
        if row.features.keys() != names:
            yield f"line {line} has other features than the manifest"
            continue
        for name, value in row.features.items():
            if value is not None and isinstance(value, str) != (name in strings):
                yield f"line {line} has a value of `{name}` of another type"
        if row.label not in labels:
            yield f"line {line} has a label that is none of the model's"


def _twice(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
