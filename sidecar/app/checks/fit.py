"""Checks of a config beside its bundle: what fits by the letter, and hardly by the meaning."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from sidecar.app.checks.check import Check, Severity, Spot
from sidecar.bundle.load import Bundle
from sidecar.bundle.manifest import Feature, Task
from sidecar.config.settings import OutcomeSettings, SidecarSettings
from sidecar.config.values import ByteSize, Duration
from sidecar.monitors.reference import compared_kind

MANY_BYTES = ByteSize(256 << 20)
"""Memory for windows that is more than most people mean to give to a sidecar."""

# What the process takes with a small model and nothing to do: 95 MiB, measured.
_BASE_BYTES = 95 << 20

_NESTING = ("any", "all", "not")
_LOWER, _UPPER = ("gt", "ge"), ("lt", "le")
# How alike two labels are when one is probably the other, misspelt.
_ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class Fit:
    """A config and its bundle, of which each is sound and speaks of the other."""

    settings: SidecarSettings
    """With every name filled in."""
    bundle: Bundle
    threshold: float
    """Of confidence, as resolved."""
    window_bytes: int
    """Memory that the windows of one input partition take when every pane has events."""
    model_bytes: int
    """Size of the model's file."""
    memory_bytes: int | None
    """Memory that this process may use; None when it is not known."""

    @property
    def regression(self) -> bool:
        """Whether the model answers a number, which has no confidence."""
        return self.bundle.manifest.model.task is Task.REGRESSION

    @property
    def falls_back(self) -> bool:
        """Whether something but a failing model sends events down the fallback chain."""
        sent = "fallback" in (
            self.settings.input.on_missing,
            self.settings.input.on_out_of_range,
        )
        return sent or (self.threshold > 0 and not self.regression)


# --- confidence ------------------------------------------------------------------------------


def rules_answer_failures_only(fit: Fit) -> Iterator[Spot]:
    """No event goes down the fallback chain but when the model fails: is that what is meant?"""
    if fit.settings.fallback.rules and not fit.falls_back:
        message = "with a threshold of 0 the model always answers; rules wait for its failures"
        yield Spot("$.confidence.threshold", message)


def threshold_has_no_effect(fit: Fit) -> Iterator[Spot]:
    """The model answers a number, which has no confidence that could be too low."""
    if fit.regression and fit.threshold > 0:
        yield Spot("$.confidence.threshold", "the model is a regression, always taken as sure")


def model_hardly_answers(fit: Fit) -> Iterator[Spot]:
    """The threshold is above what the model reaches on the labelled rows of its bundle."""
    measure, calibration = fit.settings.confidence.measure, fit.bundle.calibration
    curve = calibration and calibration.curves.get(measure)
    if curve and fit.threshold > curve.threshold[-1]:
        share = f"{curve.coverage[-1]:.2%}"
        message = f"less than {share} of the reference rows have a {measure} so high"
        yield Spot("$.confidence.threshold", message)


# --- answers ---------------------------------------------------------------------------------


def answer_may_be_empty(fit: Fit) -> Iterator[Spot]:
    """The fallback chain is used, and its default answers nothing."""
    fallback = fit.settings.fallback
    used = fit.falls_back or fallback.rules or fallback.cache
    empty = fallback.default.score is None if fit.regression else fallback.default.label is None
    if used and empty and not any(not rule.when for rule in fallback.rules):
        what = "score" if fit.regression else "label"
        message = f"has no `{what}`: where no rule holds, the decision has none either"
        yield Spot("$.fallback.default", message)


def label_looks_misspelt(fit: Fit) -> Iterator[Spot]:
    """An answer is almost a label of the model, and is none."""
    fallback, labels = fit.settings.fallback, fit.bundle.manifest.model.labels
    answers: dict[str, OutcomeSettings] = {
        f"$.fallback.rules[{index}].label": rule for index, rule in enumerate(fallback.rules)
    }
    for path, answer in {**answers, "$.fallback.default.label": fallback.default}.items():
        label = answer.label
        near = get_close_matches(label or "", labels, 1, _ALIKE)
        if near and label not in labels:
            yield Spot(path, f"`{label}` is no label of the model, and `{near[0]}` is one")


# --- rules -----------------------------------------------------------------------------------


class _Ask(NamedTuple):
    """What a rule asks of one feature."""

    path: str
    feature: Feature
    operators: Mapping[str, Any]


def rule_waits_for_what_is_rejected(fit: Fit) -> Iterator[Spot]:
    """A rule asks for events without a feature, and these become dead letters before."""
    if fit.settings.input.on_missing == "reject":
        for ask in _asks(fit, nested=False):
            if ask.feature.required and ask.operators.get("missing") is True:
                message = f"events without `{ask.feature.name}` are rejected before any rule"
                yield Spot(ask.path, message)


def rule_can_never_hold(fit: Fit) -> Iterator[Spot]:
    """A rule asks for a number above one bound and below another that is not above it."""
    for ask in _asks(fit, nested=True):
        low = max((ask.operators[o] for o in _LOWER if o in ask.operators), default=None)
        high = min((ask.operators[o] for o in _UPPER if o in ask.operators), default=None)
        if low is None or high is None or low < high:
            continue
        touches = low == high and {"ge", "le"} >= ask.operators.keys() & {*_LOWER, *_UPPER}
        if not touches:
            yield Spot(ask.path, f"no number lies above {low} and below {high}")


def category_was_never_seen(fit: Fit) -> Iterator[Spot]:
    """A rule names a category that no reference row has: it may be a slip."""
    for ask in _asks(fit, nested=True):
        known = ask.feature.categories
        for operator in ("eq", "ne", "in", "not_in"):
            named = ask.operators.get(operator, ())
            for value in named if isinstance(named, list | tuple) else (named,):
                if known is not None and value not in known:
                    message = f"`{ask.feature.name}` is never `{value}` in the reference"
                    yield Spot(ask.path, message)


def _asks(fit: Fit, *, nested: bool) -> Iterator[_Ask]:
    """Give what the rules ask of features, on request also below `any`, `all` and `not`."""
    features = {feature.name: feature for feature in fit.bundle.manifest.features}
    for index, rule in enumerate(fit.settings.fallback.rules):
        for path, name, asked in _entries(rule.when, f"$.fallback.rules[{index}].when", nested):
            yield _Ask(path, features[name], _operators(asked))


def _entries(when: Any, path: str, nested: bool) -> Iterator[tuple[str, str, object]]:
    for name, asked in when.items():
        here = f"{path}.{name}"
        if name not in _NESTING:
            yield here, name, asked
        elif nested and name == "not":
            yield from _entries(asked, here, nested)
        elif nested:
            for index, inner in enumerate(asked):
                yield from _entries(inner, f"{here}[{index}]", nested)


def _operators(asked: object) -> Mapping[str, Any]:
    """Give the short forms in full: a scalar means `eq`, a list `in`."""
    if isinstance(asked, Mapping):
        return asked
    return {"in" if isinstance(asked, list) else "eq": asked}


# --- the rest --------------------------------------------------------------------------------


def on_missing_has_no_effect(fit: Fit) -> Iterator[Spot]:
    """No feature is required, so no event ever lacks one."""
    features = fit.bundle.manifest.features
    if fit.settings.input.on_missing != "reject" and not any(f.required for f in features):
        message = "every feature of the model may be missing, so none is ever missed"
        yield Spot("$.input.on_missing", message)


def windows_were_not_measured(fit: Fit) -> Iterator[Spot]:
    """The rows of the bundle have a time, and it was built for windows of other lengths."""
    built = {each.length_ms for each in fit.bundle.reference.calibration}
    others = [str(length) for length in fit.settings.monitors.windows if length.ms not in built]
    if built and others:
        lengths = ", ".join(str(Duration(ms)) for ms in sorted(built))
        message = f"the bundle was built for windows of {lengths}, not of {', '.join(others)}"
        yield Spot("$.monitors.windows", message)


def windows_are_uncalibrated(fit: Fit) -> Iterator[Spot]:
    """How much windows differ without drift: the bundle's rows are too few, or timeless."""
    monitors, reference = fit.settings.monitors, fit.bundle.reference
    if not reference.calibration:
        yield Spot("$.monitors.windows", "uncalibrated: the reference rows have no time")
    kind = compared_kind(monitors.reference, fit.bundle.slots)
    unknown = {
        each.length_ms
        for each in reference.calibration
        if each.reference == kind and each.subjects is None
    }
    few = [str(length) for length in monitors.windows if length.ms in unknown]
    if few:
        message = f"uncalibrated: the bundle has too few windows of {', '.join(few)}"
        yield Spot("$.monitors.windows", message)


def windows_need_much_memory(fit: Fit) -> Iterator[Spot]:
    """The windows of one input partition take more than 256 MiB: panes times counts."""
    if fit.window_bytes > MANY_BYTES.bytes:
        monitors = fit.settings.monitors
        panes = monitors.windows[-1].ms // monitors.pane.ms
        message = f"{panes:,} panes take up to {fit.window_bytes >> 20:,} MiB per partition"
        yield Spot("$.monitors.windows", message)


def memory_is_short(fit: Fit) -> Iterator[Spot]:
    """What the process surely needs is more than it may use on the machine of the check."""
    needs = {
        "$.model.bundle": _BASE_BYTES + fit.model_bytes,
        "$.monitors.windows": fit.window_bytes,
        "$.kafka.fetch_max_bytes": fit.settings.kafka.fetch_max_bytes.bytes,
    }
    whole, limit = sum(needs.values()), fit.memory_bytes
    if limit is not None and whole > limit:
        message = (
            f"program, model, one partition's windows and one fetch take {whole >> 20:,} MiB,"
            f" and {limit >> 20:,} MiB are allowed"
        )
        yield Spot(max(needs, key=lambda path: needs[path]), message)


_W = Severity.WARNING

FIT_CHECKS: Sequence[Check[Fit]] = (
    Check(rules_answer_failures_only, _W, "give a threshold, or `{target_error: 0.05}`"),
    Check(threshold_has_no_effect, _W, "remove it; a rule on features can do the same"),
    Check(model_hardly_answers, _W, "lower it, or write `{target_error: 0.05}`"),
    Check(answer_may_be_empty, _W, "write for example `default: {label: review}`"),
    Check(label_looks_misspelt, _W, "write the model's label, or one that is unlike it"),
    Check(rule_waits_for_what_is_rejected, _W, "write `input.on_missing: fallback`"),
    Check(rule_can_never_hold, _W, "swap the bounds, or use `any`"),
    Check(category_was_never_seen, _W, "check its spelling against `sidecar bundle inspect`"),
    Check(on_missing_has_no_effect, _W, "remove it"),
    Check(windows_were_not_measured, _W, "build the bundle with these `--windows`"),
    Check(
        windows_are_uncalibrated,
        Severity.NOTE,
        "build the bundle with `--time`, from ten windows of 200 rows or more",
    ),
    Check(windows_need_much_memory, _W, "use a longer `pane`, or shorter windows"),
    Check(memory_is_short, _W, "raise the memory limit, or lower this setting"),
)
"""In the order of the reference page."""
