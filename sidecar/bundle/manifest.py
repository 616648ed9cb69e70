"""What a bundle says about itself: the Structs of its files."""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

BUNDLE_FORMAT = 1

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class FeatureType(StrEnum):
    """Type of a feature on the wire."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRING = "string"


class Task(StrEnum):
    """What the model answers."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class ScoreForm(StrEnum):
    """Shape in which the model gives its scores."""

    TENSOR = "tensor"
    """One tensor [n, classes], or [n] or [n, 1] (binary: of the last label; regression: the
    value)."""
    ZIPMAP = "zipmap"
    """A sequence of maps from label to probability (skl2onnx, onnxmltools by default)."""
    COLUMNS = "columns"
    """One tensor per class, in the order of the labels."""


class Activation(StrEnum):
    """What turns raw outputs into probabilities."""

    NONE = "none"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


class Feature(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One input of the model, as events carry it."""

    name: str
    type: FeatureType
    required: bool = True
    """False when the reference has rows without it: it may be missing and reaches the model as
    NaN."""
    categories: tuple[str | int | bool, ...] | None = None
    """Values that the reference has, when it is counted by value and not by size."""
    limits: tuple[float, float] | None = None
    """Lowest and highest value that is believed; beyond them the event is refused."""
    unit: str | None = None
    """For people: `years`, `EUR`."""


class ModelInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input tensor of the ONNX graph: [n, features] of one type."""

    name: str
    dtype: str
    """`float32`, `float64`, `int32`, `int64`, `bool` or `string`."""
    features: tuple[str, ...]
    """The columns in order; one for a graph with a named input per feature."""
    rank: int = 2
    """2 for [n, k], 1 for [n]."""


class ModelSpec(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How to call the model and how to read its answer."""

    task: Task
    inputs: tuple[ModelInput, ...]
    scores: tuple[str, ...]
    """Output that holds the scores; one per class for `columns`."""
    form: ScoreForm = ScoreForm.TENSOR
    label_output: str | None = None
    """Output that holds the chosen class; the largest score decides where there is none."""
    activation: Activation = Activation.NONE
    labels: tuple[str, ...] = ()
    """Class names in the order of the scores; empty for a regression."""
    classes: tuple[str | int, ...] = ()
    """The values that the graph itself uses for the classes, in the same order."""


class Manifest(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """`manifest.toml`."""

    format: Annotated[int, Meta(ge=1, le=BUNDLE_FORMAT)]
    name: Name
    version: Name
    created: str
    """RFC 3339, UTC."""
    model: ModelSpec
    features: tuple[Feature, ...]
    """In the order of the columns of `events.Features`."""
    files: dict[str, str]
    """sha256 of every other file, by name."""
    owner: str = ""
    training_data: str = ""
    intended_use: str = ""
    label: str = ""
    """Column of the reference rows that holds the truth."""
    time: str = ""
    groups: tuple[str, ...] = ()


class NumericProfile(
    Struct, frozen=True, kw_only=True, tag="numeric", forbid_unknown_fields=True
):
    """How the reference spreads over cells of size. See `stats.cells.NumericCells`."""

    centre: float
    """Median; the counting kernel is finest around it."""
    edges: tuple[float, ...]
    """Inner edges, ascending."""
    minimum: float
    maximum: float
    counts: tuple[int, ...]
    """Below the minimum, the cells in order, above the maximum, missing."""
    mean: float
    sd: float
    low: float
    """The point that 0.1 % of the values lie at or below."""
    high: float
    """The point that 99.9 % of the values lie at or below."""


class CategoryProfile(
    Struct, frozen=True, kw_only=True, tag="categories", forbid_unknown_fields=True
):
    """How the reference spreads over categories. See `stats.cells.CategoryCells`."""

    categories: tuple[str | int | bool, ...]
    counts: tuple[int, ...]
    """The categories in order, unseen, missing."""


Profile = NumericProfile | CategoryProfile


Factor = Annotated[float, Meta(ge=1)]
"""How many times as far as independent events a window lies. See `stats.overdispersion`."""


class SubjectDispersions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry for each profile of the reference."""

    features: dict[str, Factor]
    score: Factor
    confidence: dict[str, Factor]
    """By measure."""
    label: Factor | None


class WindowCalibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What windows of one length show while nothing drifts."""

    reference: Literal["overall", "seasonal"]
    """What each window was compared with: the rest of all rows, or of its hours of the week."""
    length_ms: Annotated[int, Meta(gt=0)]
    windows: int
    """Windows with enough rows for a verdict; they do not overlap."""
    records: int
    """Rows of a window, the median."""
    subjects: SubjectDispersions | None
    """None when there were too few windows to tell."""


class ReferenceProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reference.json`: what the monitors compare with."""

    records: int
    features: dict[str, Profile]
    score: Profile
    confidence: dict[str, Profile]
    """By measure: `max_probability`, `margin`, `entropy`; none for a regression."""
    label: CategoryProfile | None
    """The model's own answers on the reference rows; none for a regression."""
    season: Literal["hour-of-week"] | None = None
    """The slots of `seasonal.npy`; None when the bundle has no seasonal reference."""
    span_ms: tuple[int, int] | None = None
    """First and last time of the rows, Unix milliseconds; None when they have no time."""
    calibration: tuple[WindowCalibration, ...] = ()
    """Empty when the rows have no time."""


class Curve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a confidence threshold costs and buys, by confidence measure."""

    threshold: tuple[float, ...]
    """Ascending."""
    error: tuple[float, ...]
    """Share of wrong answers among the rows at or above the threshold."""
    coverage: tuple[float, ...]
    """Share of rows at or above the threshold."""


class ReliabilityBin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows whose confidence lies in one tenth, and how often they were right."""

    low: float
    high: float
    records: int
    mean_confidence: float
    accuracy: float


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`calibration.json`: from confidence to error, on the labelled reference rows."""

    records: int
    curves: dict[str, Curve]
    """By measure: `max_probability`, `margin`, `entropy`."""
    reliability: tuple[ReliabilityBin, ...]


class Golden(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of `golden.jsonl`: features in, what the model must answer."""

    features: dict[str, float | int | bool | str | None]
    label: str | None = None
    score: float
