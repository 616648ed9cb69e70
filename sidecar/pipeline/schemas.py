"""JSON Schemas (2020-12) of the wire records, the config and its tests, from the Structs."""

import builtins
import functools
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, defstruct

from sidecar.config.cases import Suite
from sidecar.config.describe import describe
from sidecar.config.settings import SidecarSettings
from sidecar.config.values import Address, ByteSize, Duration, Secret
from sidecar.events import (
    REASON_NAMES,
    SOURCE_NAMES,
    Decision,
    RejectCode,
    Signal,
    Stage,
    UpstreamPrediction,
)
from sidecar.pipeline.encode import ERROR_PREFIX
from sidecar.pipeline.oip import DATATYPES, InferenceRequest
from sidecar.pipeline.oip_response import InferenceResponse
from sidecar.pipeline.signature import EventTime

Schema = dict[str, Any]

_Whole = Annotated[str, Meta(pattern=r"^-?[0-9]+$")]


class EventData(Struct, kw_only=True):
    """What an event says besides who it is: the data of a CloudEvent.

    A model's bundle says which features it needs, with their types and limits.
    """

    features: dict[str, float | bool | str | None]
    """Inputs of the model by name; null is the same as leaving one out."""
    time: EventTime = None
    """When it happened, with an offset from UTC, or Unix epoch milliseconds; the record's
    timestamp when absent."""
    prediction: UpstreamPrediction | None = None
    """What another model service decided already; the sidecar then watches and does not
    decide."""
    model: str | None = None
    """Name of the model that is meant; refused when it is not the bundle's."""


class PredictionEvent(EventData, kw_only=True):
    """One event, the value of a record of the events topic (JSON or MessagePack).

    A model's bundle says which features it needs, with their types and limits.
    """

    id: str
    """What the producer calls the event; comes back as `event_id` of its decision."""


class DeadLetterHeaders(Struct, rename=lambda name: f"{ERROR_PREFIX}{name}"):
    """Headers that a dead letter has besides those of the original record, all text.

    Key, value and other headers are the original's. A dead letter that the broker refuses is
    replaced by a stub: no key, an empty object, and only the headers that are required here.
    """

    code: RejectCode
    """Why the record was refused. Route on this one."""
    topic: str
    """Topic of the original record."""
    partition: _Whole
    """Partition of the original record."""
    offset: _Whole
    """Offset of the original record."""
    stage: Stage | None = None
    """Step that refused it."""
    message: str | None = None
    """For people; holds no value of the payload."""
    path: str | None = None
    """Where in the payload, as `$.features.amount`."""
    timestamp: _Whole | None = None
    """Timestamp of the original record, Unix epoch milliseconds."""
    attempts: _Whole | None = None
    """How often the record was refused, this time included: more than 1 after a replay."""
    version: str | None = None
    """Version of the sidecar that refused it."""


_ROOTS: Mapping[str, type[Struct]] = {
    "prediction-event": PredictionEvent,
    "decision": Decision,
    "signal": Signal,
    "inference-request": InferenceRequest,
    "inference-response": InferenceResponse,
    "dead-letter-headers": DeadLetterHeaders,
    "config": SidecarSettings,
    "tests": Suite,
}
NAMES = tuple(_ROOTS)
"""What there is a schema of."""

# Closed lists and formats of the wire that the Structs hold as plain text, for speed.
_INSTANT: Schema = {"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$"}
_OF_DECISIONS: Mapping[str, Schema] = {
    "source": {"enum": list(SOURCE_NAMES)},
    "reason": {"enum": list(REASON_NAMES)},
    "event_time": _INSTANT,
}
_NARROWER: Mapping[str, Mapping[str, Schema]] = {
    "Decision": _OF_DECISIONS,
    "DecisionParameters": _OF_DECISIONS,
    "Signal": {
        # No closed list of kinds: readers pass over those that they do not know.
        "kind": {"examples": ["drift_began", "drift_ended"]},
        "event_time": _INSTANT,
        "since": _INSTANT,
    },
    "SignalEvidence": {"window_start": _INSTANT, "window_end": _INSTANT},
    "InputTensor": {"datatype": {"enum": list(DATATYPES)}, "shape": {"maxItems": 2}},
    "OutputTensor": {
        "name": {"enum": ["label", "score", "confidence"]},
        "datatype": {"enum": ["BYTES", "FP64"]},
        "shape": {"const": [1]},
        "data": {"minItems": 1, "maxItems": 1},
    },
}

_VALUES: Mapping[type, Schema] = {
    Duration: {
        "anyOf": [
            {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*$"},
            {"const": 0},
        ],
        "examples": ["250ms", "5s", "10m", "24h", "7d"],
    },
    ByteSize: {
        "anyOf": [
            {
                "type": "string",
                "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(B|KiB|MiB|GiB|kB|MB|GB)?\s*$",
            },
            {"type": "integer", "minimum": 0},
        ],
        "examples": ["512KiB", "1MiB", "10MB"],
    },
    Address: {
        "type": "string",
        "pattern": r"^(\[[^\[\]\s]+\]|[^\[\]:\s]+):[0-9]{1,5}$",
        "examples": ["127.0.0.1:9465"],
    },
    Secret: {
        "oneOf": [
            {
                "type": "object",
                "properties": {place: {"type": "string", "minLength": 1}},
                "required": [place],
                "additionalProperties": False,
            }
            for place in ("file", "env")
        ]
    },
    Path: {"type": "string"},
    object: {"description": "A value, a list of values, or conditions."},
}


def schema(name: str) -> Schema:
    """Give one schema.

    Args:
        name: One of `NAMES`.

    Raises:
        KeyError: There is no such schema.
    """
    root = _ROOTS[name]
    components = components_of([root], "#/$defs/{name}")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:sidecar:schema:{name}",
        **components.pop(root.__name__),
    }
    return document | ({"$defs": components} if components else {})


def components_of(structs: Sequence[type[Struct]], ref_template: str) -> dict[str, Schema]:
    """Give the schemas of Structs and of all that they are made of, by name.

    Args:
        structs: The Structs.
        ref_template: How one refers to another, with `{name}` in it.
    """
    _, components = msgspec.json.schema_components(
        [_described(struct) for struct in structs],
        schema_hook=lambda kind: _VALUES[kind],
        ref_template=ref_template,
    )
    return components


def schema_text(name: str) -> str:
    """Give one schema as the text of its file, `schemas/<name>.json`.

    Args:
        name: One of `NAMES`.
    """
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


@functools.cache  # equal twins of one name would be two components
def _described(struct: type[Struct]) -> type[Struct]:
    """Give a Struct's twin that exists to be written as a schema, and never holds anything.

    Its fields carry their docstrings, and defaults as a config writes them: a schema has no
    other way to hold a duration.
    """
    texts, narrower = describe(struct), _NARROWER.get(struct.__name__, {})
    twins: list[Any] = []
    for each in msgspec.structs.fields(struct):
        stated = dict(narrower.get(each.name, {}))
        if (default := _default(each)) is not None:
            stated["default"] = default
        meta = Meta(description=texts.get(each.name), extra_json_schema=stated)
        kind: Any = Annotated[_twin(each.type), meta]
        optional = msgspec.field(default_factory=object, name=each.encode_name)
        required = msgspec.field(name=each.encode_name)
        twins.append((each.name, kind, required if each.required else optional))
    config = struct.__struct_config__
    return defstruct(
        struct.__name__,
        twins,
        kw_only=True,
        forbid_unknown_fields=config.forbid_unknown_fields,
        namespace={"__doc__": " ".join((struct.__doc__ or "").split())},
    )


def _twin(kind: Any) -> Any:
    """Put twins in the place of the Structs within a type."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _described(kind)
    inner = tuple(map(_twin, get_args(kind)))
    match get_origin(kind):
        case typing.Annotated:
            return Annotated[(inner[0], *kind.__metadata__)]
        case typing.Union | types.UnionType:
            return Union[inner]  # noqa: UP007 - built from values
        case builtins.list:
            return list[inner[0]]  # type: ignore[valid-type]
    return kind


def _default(each: msgspec.structs.FieldInfo) -> Any:
    """Give the default as JSON; None where none is to be shown, as for a whole section."""
    default = each.default
    if each.default_factory is not msgspec.NODEFAULT:
        default = each.default_factory()
    if isinstance(default, Struct) or default in (msgspec.NODEFAULT, msgspec.UNSET):
        return None
    return msgspec.to_builtins(default, enc_hook=str)
