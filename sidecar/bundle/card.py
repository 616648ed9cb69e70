"""`CARD.md`: what a bundle is, for people."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sidecar.bundle.evaluation import Evaluation
from sidecar.bundle.manifest import (
    Calibration,
    Feature,
    Manifest,
    NumericProfile,
    Profile,
    ReferenceProfile,
    WindowCalibration,
)
from sidecar.bundle.windows import FEWEST_RECORDS, FEWEST_WINDOWS
from sidecar.config.values import Duration


def write_card(
    manifest: Manifest,
    reference: ReferenceProfile,
    calibration: Calibration | None,
    evaluation: Evaluation | None,
) -> str:
    """Write the card in Markdown, from the other parts of the bundle alone."""
    lines = [
        *_head(manifest, reference),
        *_signature(manifest, reference),
        *_windows(reference),
        *(_quality(evaluation) if evaluation is not None else ()),
        *(_confidence(calibration) if calibration is not None else ()),
    ]
    return "\n".join(lines) + "\n"


def _head(manifest: Manifest, reference: ReferenceProfile) -> Iterator[str]:
    yield f"# {manifest.name} {manifest.version}"
    yield ""
    spec = manifest.model
    facts = {
        "Task": spec.task.value,
        "Labels": ", ".join(spec.labels),
        "Intended use": manifest.intended_use,
        "Owner": manifest.owner,
        "Training data": manifest.training_data,
        "Reference": shown_rows(reference),
        "Created": manifest.created,
    }
    yield from _table(("", ""), [(name, value) for name, value in facts.items() if value])


def _signature(manifest: Manifest, reference: ReferenceProfile) -> Iterator[str]:
    yield "## Features"
    yield ""
    rows = [
        (
            f"`{feature.name}`",
            feature.type.value,
            "yes" if feature.required else "no",
            shown_values(feature, reference.features[feature.name]),
        )
        for feature in manifest.features
    ]
    yield from _table(("Name", "Type", "Required", "Values in the reference"), rows)


def shown_rows(reference: ReferenceProfile) -> str:
    """Say how many rows the reference has, and of which time."""
    if reference.span_ms is None:
        return f"{reference.records:,} rows"
    first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in reference.span_ms)
    return f"{reference.records:,} rows, {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def shown_calibration(reference: ReferenceProfile) -> list[tuple[str, str]]:
    """Say for each length of windows what is known of it.

    Returns:
        What, and a few words; one line that says so when nothing is known.
    """
    if not reference.calibration:
        return [("All windows", "uncalibrated: no time column")]
    return [(_length(each), _factors(each)) for each in reference.calibration]


def _length(each: WindowCalibration) -> str:
    season = ", by hour of the week" if each.reference == "seasonal" else ""
    return f"{Duration(each.length_ms)}{season}"


def _factors(each: WindowCalibration) -> str:
    found = each.subjects
    if found is None:
        fewest = f"{FEWEST_WINDOWS} with {FEWEST_RECORDS} rows or more are needed"
        return f"uncalibrated: {each.windows} windows, {fewest}"
    factors = {
        **found.features,
        "score": found.score,
        **{f"confidence {name}": factor for name, factor in found.confidence.items()},
        **({"label": found.label} if found.label is not None else {}),
    }
    worst = max(factors, key=lambda name: factors[name])
    return (
        f"calibrated on {each.windows:,} windows of about {each.records:,} rows: "
        f"overdispersion {min(factors.values()):.1f} to {factors[worst]:.1f} ({worst})"
    )


def _windows(reference: ReferenceProfile) -> Iterator[str]:
    yield "## Windows without drift"
    yield ""
    yield from _table(("Length", "What clean windows show"), shown_calibration(reference))


def shown_values(feature: Feature, profile: Profile) -> str:
    """Say in a few words which values of a feature the reference has."""
    unit = f" {feature.unit}" if feature.unit else ""
    if isinstance(profile, NumericProfile):
        return f"{profile.minimum:g} to {profile.maximum:g}{unit}, median {profile.centre:g}"
    shown = ", ".join(map(_word, profile.categories[:8]))
    more = len(profile.categories) - 8
    return f"{shown} and {more} more" if more > 0 else shown


def _word(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quality(evaluation: Evaluation) -> Iterator[str]:
    yield "## Quality on the reference rows"
    yield ""
    names = tuple(evaluation.metrics)
    rows = [("all", f"{evaluation.records:,}", *_numbers(evaluation, names))]
    for group, values in evaluation.groups.items():
        for value, part in values.items():
            rows.append((f"{group} = {value}", f"{part.records:,}", *_numbers(part, names)))
    yield from _table(("Rows", "Count", *names), rows)


def _numbers(evaluation: Evaluation, names: tuple[str, ...]) -> list[str]:
    metrics = evaluation.metrics
    return [f"{metrics[name]:.4g}" if name in metrics else "" for name in names]


def _confidence(calibration: Calibration) -> Iterator[str]:
    yield "## Confidence against accuracy"
    yield ""
    rows = [
        (
            f"{part.low:.1f} to {part.high:.1f}",
            f"{part.records:,}",
            f"{part.mean_confidence:.3f}",
            f"{part.accuracy:.3f}",
        )
        for part in calibration.reliability
    ]
    yield from _table(
        ("Probability of the answer", "Rows", "Mean", "Share that was right"), rows
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield _row(head)
    yield _row(("---",) * len(head))
    for row in rows:
        yield _row(row)
    yield ""


def _row(cells: tuple[str, ...]) -> str:
    return (
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    )
