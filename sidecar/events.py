"""What flows: batches of columns between the stages, and the records on the wire.

The unit of work is a batch: one poll slice of all partitions. Each stage takes one type and
gives another, so that a stage cannot be left out by accident:

    RecordBatch -> EventBatch -> (tensors) -> ScoreBatch -> DecisionBatch -> OutboundBatch

A column is a numpy array with one entry per row, or a list where numpy has no fitting type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Annotated, Literal, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

Int64Column = NDArray[np.int64]
Float64Column = NDArray[np.float64]
BoolColumn = NDArray[np.bool_]
CodeColumn = NDArray[np.int32]
Headers = Sequence[tuple[str, bytes | None]]

# --- closed lists: each becomes a metric label, so none may grow at run time ---------------


class Stage(StrEnum):
    """The step that refused a record."""

    DECODE = "decode"
    CHECK = "check"
    SEND = "send"


class RejectCode(StrEnum):
    """Why a record became a dead letter. Route on the code, not on the message."""

    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    EMPTY = "empty"
    MALFORMED_JSON = "malformed_json"
    MALFORMED_MSGPACK = "malformed_msgpack"
    INVALID_UTF8 = "invalid_utf8"
    MALFORMED_AVRO = "malformed_avro"
    MALFORMED_PROTOBUF = "malformed_protobuf"
    REGISTRY_PREFIX = "registry_prefix"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNSUPPORTED_FORMAT = "unsupported_format"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    MISSING_FEATURE = "missing_feature"
    OUT_OF_LIMITS = "out_of_limits"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    INVALID_TIME = "invalid_time"
    UNKNOWN_MODEL = "unknown_model"
    INVALID_TENSOR = "invalid_tensor"
    NOT_ONE_ROW = "not_one_row"
    NO_REQUEST = "no_request"
    NO_RESPONSE = "no_response"
    OUTPUT_REFUSED = "output_refused"
    UNREADABLE_RECORD = "unreadable_record"


class Source(IntEnum):
    """Who gave the answer. The number is the code in a column, the name goes on the wire."""

    MODEL = 0
    UPSTREAM = 1
    RULE = 2
    CACHE = 3
    DEFAULT = 4


class Reason(IntEnum):
    """Why that source gave it: a code in a column, a name on the wire."""

    CONFIDENT = 0
    UPSTREAM = 1
    LOW_CONFIDENCE = 2
    OUT_OF_DISTRIBUTION = 3
    MISSING_FEATURE = 4
    MODEL_ERROR = 5
    MODEL_TIMEOUT = 6
    CIRCUIT_OPEN = 7


SOURCE_NAMES: tuple[str, ...] = tuple(source.name.lower() for source in Source)
REASON_NAMES: tuple[str, ...] = tuple(reason.name.lower() for reason in Reason)


# --- batches -------------------------------------------------------------------------------


class Span(NamedTuple):
    """The rows `[start, stop)` of a batch that came from one partition, in offset order."""

    partition: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records as Kafka gave them: one poll slice, grouped by partition.

    `spans` cover all rows without a gap. Offsets rise within a span; they may have holes.
    """

    topic: str
    spans: tuple[Span, ...]
    offsets: Int64Column
    timestamps_ms: Int64Column
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]
    unreadable: tuple[int, ...] = ()
    """Rows that stand for a record which could not be read: a damaged batch, an unknown codec.
    They have an offset and nothing else: no key, value or headers, and -1 for the timestamp.
    They are no tombstones; each becomes a dead letter with the code `unreadable_record`."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.values)

    def partitions(self) -> Int64Column:
        """Give the partition of each row."""
        lengths = [span.stop - span.start for span in self.spans]
        return np.repeat(np.array([span.partition for span in self.spans], np.int64), lengths)

    def spans_of(self, rows: Int64Column) -> tuple[Span, ...]:
        """Give the partitions of some rows, as positions among these.

        Args:
            rows: Rising rows of this batch.
        """
        stops = np.searchsorted(rows, [span.stop for span in self.spans]).tolist()
        found = zip(self.spans, [0, *stops], stops, strict=False)
        return tuple(
            Span(span.partition, start, stop) for span, start, stop in found if stop > start
        )


class Rejection(NamedTuple):
    """One record that is refused for good."""

    row: int
    """Its row in the `RecordBatch`."""
    stage: Stage
    code: RejectCode
    message: str
    """For people. Never holds a value of the payload."""
    path: str = "$"
    """Where in the payload, as `$.features.amount`."""


@dataclass(frozen=True, slots=True)
class Features:
    """The features of each event, as columns in the order of the model's signature.

    `matrix` has one row per event and one column per feature, float64 so that every integer
    up to 2**53 is exact. A missing value is NaN. A string feature has its category code there
    (`len(categories)` for one that the reference never had) and its text in `text`.
    """

    matrix: Float64Column
    text: Mapping[str, list[str | None]]

    def __len__(self) -> int:
        """Count the rows."""
        return int(self.matrix.shape[0])

    def take(self, rows: Int64Column) -> "Features":
        """Give the named rows, in the order asked for."""
        wanted = rows.tolist()
        return Features(
            self.matrix[rows],
            {name: [column[row] for row in wanted] for name, column in self.text.items()},
        )


class UpstreamPrediction(Struct, frozen=True, gc=False):
    """What the model service beside the sidecar decided already (*monitor* use)."""

    label: str | None = None
    """The class it chose; none for a regression."""
    score: float | None = None
    """Binary: probability of the model's last label. Multiclass: of the chosen label.
    Regression: the value."""
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Probability that it gives to its answer, when it says so itself."""
    model: str | None = None
    """Name of the model that decided; refused when it is not the bundle's."""
    version: str | None = None
    """Version of the model that decided; goes on the decision."""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The events of a batch, as columns. Row k stands at `rows[k]` in `records`."""

    records: RecordBatch
    rows: Int64Column
    ids: list[str]
    event_time_ms: Int64Column
    """Unix epoch, UTC: the event's `time`, capped at its record's timestamp plus 5 minutes,
    or that timestamp where the event names none."""
    features: Features
    upstream: list[UpstreamPrediction | None] | None
    """None when no event of the batch brings a prediction."""
    missing: BoolColumn
    """A required feature has no value (only where `input.on_missing` lets such events pass)."""
    out_of_range: BoolColumn
    """A number lies beyond the range of the reference, or a category is one it never had."""
    future: BoolColumn
    """The event's `time` was ahead of its record by more than allowed, and was capped."""
    _spans: tuple[Span, ...] = field(init=False, repr=False, compare=False)
    """Found once, for a dozen stages and monitors ask for it."""

    def __post_init__(self) -> None:
        """Find the rows of each partition."""
        object.__setattr__(self, "_spans", self.records.spans_of(self.rows))

    def __len__(self) -> int:
        """Count the events."""
        return len(self.ids)

    def take(self, positions: Int64Column) -> "EventBatch":
        """Give the events at some positions, in the order asked for."""
        wanted = positions.tolist()
        return EventBatch(
            records=self.records,
            rows=self.rows[positions],
            ids=[self.ids[at] for at in wanted],
            event_time_ms=self.event_time_ms[positions],
            features=self.features.take(positions),
            upstream=None if self.upstream is None else [self.upstream[at] for at in wanted],
            missing=self.missing[positions],
            out_of_range=self.out_of_range[positions],
            future=self.future[positions],
        )

    def spans(self) -> tuple[Span, ...]:
        """Give the rows of each partition, as positions in this batch's columns."""
        return self._spans


@dataclass(frozen=True, slots=True)
class Decoded:
    """What `decode` and `check` make of a `RecordBatch`: every row is in one of the three."""

    events: EventBatch
    rejections: list[Rejection]
    tombstones: int


@dataclass(frozen=True, slots=True)
class ScoreBatch:
    """What the model said, one row per event.

    `label` is an index into the model's labels, -1 where there is none. `confidence` is NaN
    where the model gives none (a regression). `reason` is `Reason.CONFIDENT` where the model
    answered, else why it did not; the other columns mean nothing there, but for `label` where
    it is `Reason.UPSTREAM`: what the model would have said, -1 where it was not asked.
    """

    label: CodeColumn
    score: Float64Column
    confidence: Float64Column
    reason: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DecisionBatch:
    """The outcome of each event. `label`, `answer` and `rule` are indices, -1 for none."""

    events: EventBatch
    label: CodeColumn
    answer: CodeColumn
    """What the model or the upstream service said, whether it was taken or not."""
    score: Float64Column
    confidence: Float64Column
    source: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    rule: CodeColumn
    vocabulary: tuple[str, ...]
    """What `label` points into: the model's labels, those of the rules and the default, and
    behind them labels that only an upstream prediction of this batch has."""
    rules: tuple[str, ...]
    """What `rule` points into."""
    shadow: CodeColumn | None = None
    """What the model says where an upstream prediction was taken, -1 elsewhere and where it
    gave no answer; an index into the model's labels. None when it is not asked about those."""

    def __len__(self) -> int:
        """Count the decisions."""
        return len(self.events)

    def take(self, positions: Int64Column) -> "DecisionBatch":
        """Give the decisions at some positions, in the order asked for."""
        return replace(
            self,
            events=self.events.take(positions),
            label=self.label[positions],
            answer=self.answer[positions],
            score=self.score[positions],
            confidence=self.confidence[positions],
            source=self.source[positions],
            reason=self.reason[positions],
            rule=self.rule[positions],
            shadow=None if self.shadow is None else self.shadow[positions],
        )


@dataclass(frozen=True, slots=True)
class OutboundSlice:
    """Records for one partition of one topic, in order.

    `rows` names for each record the row of the `RecordBatch` that it came from, so that a
    refused one can be traced back.
    """

    topic: str
    partition: int
    """The input partition; the sink maps it onto the topic's partitions."""
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers] | None
    """None when no record of the slice has headers."""
    rows: Sequence[int]
    timestamps_ms: Sequence[int | None] | None = None
    """Unix milliseconds; None is the time of sending, of one record or of the whole slice."""


@dataclass(frozen=True, slots=True)
class OutboundBatch:
    """All that a batch sends."""

    slices: tuple[OutboundSlice, ...]

    def __len__(self) -> int:
        """Count the records."""
        return sum(len(part.rows) for part in self.slices)


class Refusal(NamedTuple):
    """One outbound record that the broker will never take."""

    topic: str
    row: int
    """Row of the `RecordBatch` that it came from."""
    message: str


# --- records on the wire -------------------------------------------------------------------


class Decision(Struct, omit_defaults=True, gc=False):
    """One decision, the value of a record of the decisions topic (JSON)."""

    id: str
    """Equal for every replay of the same record with the same model version."""
    event_id: str
    event_time: str
    """RFC 3339, UTC, milliseconds."""
    model: str
    version: str
    source: str
    """`model`, `upstream`, `rule`, `cache` or `default`."""
    reason: str
    """Why that source: `confident`, `low_confidence`, ..."""
    label: str | None = None
    score: float | None = None
    confidence: float | None = None
    rule: str | None = None
    """The fallback rule that fired, when `source` is `rule`."""
    flags: list[str] | None = None
    """Quality faults that did not stop the decision: `missing_feature`, `future_time`."""


Severity = Literal["warning", "critical"]
DriftKind = Literal["feature", "score", "confidence", "label", "dataset"]


class SignalBin(Struct, frozen=True, gc=False):
    """One bin of a feature or answer, with its share on both sides."""

    name: str
    """What is in it: a range of numbers, a category, `missing`, `unseen` or `out of range`."""
    reference: float
    """Share of the reference."""
    current: float
    """Share of the window."""


class SignalEvidence(Struct, omit_defaults=True, gc=False):
    """The numbers that a signal rests on: one window when it was evaluated."""

    window_start: str
    """Event time, RFC 3339, inclusive."""
    window_end: str
    """Event time, RFC 3339, exclusive."""
    records: int
    """Records of the window that were counted."""
    psi: float | None = None
    """Population stability index, in nats."""
    psi_excess: float | None = None
    """The same without what it is on average with nothing drifting."""
    critical_value: float | None = None
    """What `psi` passes by chance at `monitors.drift.false_discovery_rate`."""
    p_value: float | None = None
    """Chance of a `psi` this large while the true one is no larger than what is tolerated."""
    bins: list[SignalBin] | None = None
    """The bins that differ most, the worst first."""
    features: list[str] | None = None
    """Of the data set: the features that drift."""
    features_watched: int | None = None
    """Of the data set: how many features are watched."""


class Signal(Struct, omit_defaults=True, gc=False):
    """Something that the monitors found, the value of a record of the signals topic (JSON).

    Further kinds may come; a reader passes over those that it does not know.
    """

    id: str
    """The same whenever the same finding is told again."""
    kind: str
    """`drift_began` or `drift_ended`."""
    event_time: str
    """Event time at which it was found, RFC 3339, UTC, milliseconds: the end of the window."""
    name: str
    """The sidecar's name."""
    model: str
    version: str
    """Of the model."""
    subject: DriftKind
    """What drifts; `dataset` is the features together."""
    window: str
    """Length of the window as the config writes it, `5m`."""
    severity: Severity
    """`warning` or `critical`: past `monitors.drift.warning_delta`, or past `delta`."""
    since: str
    """Event time since when it was seen, RFC 3339."""
    evidence: SignalEvidence
    feature: str | None = None
    """The feature's name, where `subject` is `feature`."""
