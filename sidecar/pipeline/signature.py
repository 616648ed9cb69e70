"""The wire types of one bundle: its signature's features, types and limits as Structs."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from msgspec import Meta, Struct, defstruct

from sidecar.bundle.manifest import Feature, FeatureType, Manifest
from sidecar.errors import BundleError, Finding
from sidecar.events import UpstreamPrediction

EARLIEST_MS = -62_135_596_800_000
"""0001-01-01T00:00:00Z, the first instant that RFC 3339 can write."""
LATEST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last one."""

FLOAT32_MAX = float(np.finfo(np.float32).max)
INTEGER_MAX = 2**53
"""Every integer up to here is exact as a float64."""

EventTime = (
    Annotated[datetime, Meta(tz=True)]
    | Annotated[int, Meta(ge=EARLIEST_MS, le=LATEST_MS)]
    | None
)


class WireData(Struct, kw_only=True, gc=False):
    """What an event says besides who it is: the data of a CloudEvent."""

    features: Struct
    time: EventTime = None
    prediction: UpstreamPrediction | None = None
    model: str | None = None


class WireEvent(WireData, kw_only=True, gc=False):
    """A bare event."""

    id: str


class WireTypes(NamedTuple):
    """The two types that a bundle's events are decoded into."""

    event: type[WireEvent]
    data: type[WireData]


def wire_types(manifest: Manifest, *, missing_allowed: bool) -> WireTypes:
    """Build the types of a bundle's events.

    Numbers that are NaN, infinite or past what a float32 (a float) or a float64 (an integer)
    can hold do not decode, nor do those outside the limits of the manifest.

    Args:
        manifest: Says the features and the model's name.
        missing_allowed: Whether an event may lack even a required feature.

    Raises:
        BundleError: A feature has a name that no decoder can look for.
    """
    if faults := [f"has the feature {f.name!r}" for f in manifest.features if _odd(f.name)]:
        mend = "rename it without quotes, backslashes and control characters"
        raise BundleError(
            "the signature cannot be decoded",
            [Finding("manifest.toml", fault, mend) for fault in faults],
        )
    features = _features_type(manifest.features, missing_allowed=missing_allowed)
    named: Any = Literal[manifest.name]
    fields: list[Any] = [("features", features), ("model", named | None, None)]
    event = defstruct("Event", fields, bases=(WireEvent,), kw_only=True, gc=False)
    data = defstruct("Data", fields, bases=(WireData,), kw_only=True, gc=False)
    return WireTypes(event, data)  # type: ignore[arg-type]


def _features_type(features: Sequence[Feature], *, missing_allowed: bool) -> type[Struct]:
    """Build the type of `features`. Fields are numbered, as names may be any text."""
    fields: list[Any] = []
    for at, feature in enumerate(features):
        kind = _wire_type(feature)
        strict = feature.required and not missing_allowed
        fields.append((f"f{at}", kind) if strict else (f"f{at}", kind | None, None))
    names = {f"f{at}": feature.name for at, feature in enumerate(features)}
    return defstruct("Features", fields, rename=names, kw_only=True, gc=False)


def _odd(name: str) -> bool:
    """Whether JSON writes a name with an escape, which is not looked for while decoding."""
    return any(char in '"\\' or char < " " for char in name)


def _wire_type(feature: Feature) -> Any:
    low, high = feature.limits or (-math.inf, math.inf)
    match feature.type:
        case FeatureType.FLOAT:
            return Annotated[float, Meta(ge=max(low, -FLOAT32_MAX), le=min(high, FLOAT32_MAX))]
        case FeatureType.INTEGER:
            smallest, largest = max(low, -INTEGER_MAX), min(high, INTEGER_MAX)
            return Annotated[int, Meta(ge=math.ceil(smallest), le=math.floor(largest))]
        case FeatureType.BOOLEAN:
            return bool
        case FeatureType.STRING:
            return str
