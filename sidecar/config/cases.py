"""The file of tests that stands beside a config: events, and the outcome that each must get.

`schemas/tests.json` is generated from these Structs. What a file says is held against the
config and its bundle in `app.testing`.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import UNSET, Meta, UnsetType, field

from sidecar.config.settings import Settings, Share
from sidecar.events import REASON_NAMES, SOURCE_NAMES, RejectCode

STUB_ERRORS = ("model_error", "model_timeout", "circuit_open")
REJECT_CODES = tuple(code.value for code in RejectCode)
FLAGS = ("missing_feature", "future_time")

# Plain text with the list beside it, so that a fault can suggest the nearest word.
StubError = Annotated[str, Meta(extra_json_schema={"enum": list(STUB_ERRORS)})]
SourceName = Annotated[str, Meta(extra_json_schema={"enum": list(SOURCE_NAMES)})]
ReasonName = Annotated[str, Meta(extra_json_schema={"enum": list(REASON_NAMES)})]
Code = Annotated[str, Meta(extra_json_schema={"enum": list(REJECT_CODES)})]
Flag = Annotated[str, Meta(extra_json_schema={"enum": list(FLAGS)})]

Kind = Literal["decision", "dead letter", "tombstone"]
"""What becomes of a record."""

Timestamp = (
    Annotated[datetime, Meta(tz=True, title="an RFC 3339 time")]
    | Annotated[int, Meta(ge=0, title="milliseconds since the Unix epoch")]
)


class Base64(Settings, frozen=True):
    """Bytes that are no text."""

    base64: Annotated[bytes, Meta(title="base64 text")]
    """The bytes in base64."""


class Stub(Settings, frozen=True):
    """What the model says about an event; it is not asked then."""

    label: str | None = None
    """The class that it chooses, one of the model's; a regression has none."""
    score: float | None = None
    """Binary: probability of the model's last label. Multiclass: of the chosen one.
    Regression: the value."""
    confidence: Share | None = None
    """How sure it is by `confidence.measure`. It follows from the score; with neither of them
    the model is wholly sure."""
    error: StubError | None = None
    """What happens instead of an answer: `model_error`, `model_timeout` or `circuit_open`."""


class Sent(Settings, frozen=True, kw_only=True):
    """One record as a producer sends it."""

    event: dict[str, Any] | UnsetType | None = UNSET
    """The event, sent as JSON, or as MessagePack where `input.format` says so. Null sends a
    tombstone."""
    raw: str | Base64 | None = None
    """The value as it is, in the place of `event`: text, or `{base64: ...}`."""
    key: str | None = None
    """Key of the record; the cache goes by it."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the record, all text."""
    timestamp: Timestamp | None = None
    """Timestamp of the record. Without it the `time` of `event`, or else the first instant of
    2026."""
    stub: Stub | None = None
    """What the model says; without it the model of the bundle runs."""


class Expectation(Settings, frozen=True):
    """The outcome that an event must get. What is not named may be anything."""

    label: str | UnsetType | None = UNSET
    """Label of the decision; null for none."""
    source: SourceName | UnsetType = UNSET
    """Who answers."""
    reason: ReasonName | UnsetType = UNSET
    """Why that source answers."""
    rule: str | UnsetType | None = UNSET
    """The fallback rule that fires; null for none."""
    score: float | UnsetType | None = UNSET
    """Score of the decision, within `tolerance`; null for none."""
    confidence: float | UnsetType | None = UNSET
    """Confidence of the decision, within `tolerance`; null for none."""
    tolerance: Annotated[float, Meta(ge=0)] = 0.001
    """How far score and confidence may be off: a model answers a little differently on another
    machine."""
    flags: list[Flag] | UnsetType = UNSET
    """All flags of the decision, in any order."""
    rejected: Code | UnsetType = UNSET
    """The event becomes a dead letter with this code."""
    path: str | UnsetType = UNSET
    """Where in the value the dead letter says the fault is, such as `$.features.amount`."""
    tombstone: bool = False
    """Nothing comes of the record."""

    @property
    def kind(self) -> Kind:
        """What must become of the record."""
        if self.tombstone:
            return "tombstone"
        is_refused = any(name in OF_DEAD_LETTERS for name in self.named())
        return "dead letter" if is_refused else "decision"

    def named(self) -> dict[str, object]:
        """Give what is asked of a decision or of a dead letter, by field."""
        fields = (*OF_DECISIONS, *OF_DEAD_LETTERS)
        asked = {name: getattr(self, name) for name in fields}
        return {name: value for name, value in asked.items() if value is not UNSET}


OF_DECISIONS = ("label", "source", "reason", "rule", "score", "confidence", "flags")
OF_DEAD_LETTERS = ("rejected", "path")


class Step(NamedTuple):
    """One record of a test and what must come of it, each with its place within the test."""

    sent_at: str
    sent: Sent
    expected_at: str
    expected: Expectation


def each_expectation(expect: Expectation | list[Expectation]) -> list[tuple[str, Expectation]]:
    """Give each expectation with its place within the test."""
    if isinstance(expect, Expectation):
        return [(".expect", expect)]
    return [(f".expect[{at}]", each) for at, each in enumerate(expect)]


class Case(Sent, frozen=True, kw_only=True):
    """One test: an event and its outcome, or several events in order and theirs."""

    name: Annotated[str, Meta(min_length=1)]
    """What is so, in words; no two tests have the same."""
    events: Annotated[list[Sent], Meta(min_length=1)] | None = None
    """Several records, decided in order, in the place of one."""
    expect: Expectation | list[Expectation]
    """What must come of it; a list for `events`, one for each."""

    def steps(self) -> list[Step]:
        """Give each record and what must come of it, in order."""
        sent: list[tuple[str, Sent]] = [("", self)]
        if self.events is not None:
            sent = [(f".events[{at}]", each) for at, each in enumerate(self.events)]
        pairs = zip(sent, each_expectation(self.expect), strict=True)
        return [Step(*record, *expected) for record, expected in pairs]


class Suite(Settings, frozen=True):
    """The file of tests beside a config."""

    tests: Annotated[list[Case], Meta(min_length=1)]
    """The tests; each begins with an empty cache and a closed circuit."""
