"""A bundle's signature, and records of events that fit it, for tests of the pipeline."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from sidecar.bundle.manifest import (
    Feature,
    FeatureType,
    Manifest,
    ModelInput,
    ModelSpec,
    Task,
)
from sidecar.config.settings import InputSettings, LimitSettings
from sidecar.events import Decoded, EventBatch, Headers, RecordBatch, Rejection, Span
from sidecar.pipeline.decode import EventDecoder

NOON_MS = 1_793_534_400_000
"""2026-11-01T12:00:00Z."""

AMOUNT = Feature(name="amount", type=FeatureType.FLOAT)
AGE = Feature(name="age", type=FeatureType.INTEGER, limits=(0.0, 150.0))
VERIFIED = Feature(name="verified", type=FeatureType.BOOLEAN, required=False)
COUNTRY = Feature(name="country", type=FeatureType.STRING, categories=("DE", "FR"))
ALL_TYPES = (AMOUNT, AGE, VERIFIED, COUNTRY)

GOOD: Mapping[str, Any] = {"amount": 12.5, "age": 40, "verified": True, "country": "DE"}


def manifest(
    *features: Feature,
    task: Task = Task.BINARY,
    labels: tuple[str, ...] = ("refuse", "approve"),
    inputs: tuple[ModelInput, ...] = (),
) -> Manifest:
    """The manifest of `credit` version 7; with all types of features when none is named."""
    return Manifest(
        format=1,
        name="credit",
        version="7",
        created="2026-01-01T00:00:00Z",
        model=ModelSpec(task=task, inputs=inputs, scores=("probabilities",), labels=labels),
        features=features or ALL_TYPES,
        files={},
    )


def event(**fields: Any) -> dict[str, Any]:
    """A good event with some of its fields replaced."""
    return {"id": "e-1", "features": dict(GOOD), **fields}


def features(**values: Any) -> dict[str, Any]:
    """A good event with some of its features replaced."""
    return event(features={**GOOD, **values})


NUMBERS = ModelInput(name="numbers", dtype="float32", features=("amount", "age", "verified"))
"""An input of the graph that takes all numeric features side by side."""


def tensor(
    name: str, datatype: str, *data: Any, shape: Sequence[int] = (1,), **fields: Any
) -> dict[str, Any]:
    """One tensor of a request of the Open Inference Protocol."""
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **fields}


def request(**replaced: dict[str, Any] | None) -> dict[str, Any]:
    """A request with the features of a good event, some tensors replaced or left out."""
    tensors = {
        "amount": tensor("amount", "FP32", 12.5),
        "age": tensor("age", "INT64", 40),
        "verified": tensor("verified", "BOOL", True),
        "country": tensor("country", "BYTES", "DE"),
    } | replaced
    return {"id": "e-1", "inputs": [each for each in tensors.values() if each is not None]}


def encoded(value: object) -> bytes:
    """JSON."""
    return msgspec.json.encode(value)


def packed(value: object) -> bytes:
    """MessagePack."""
    return msgspec.msgpack.encode(value)


def records(
    *values: bytes | None,
    headers: Sequence[Headers] | None = None,
    keys: Sequence[bytes | None] | None = None,
    timestamp_ms: int = NOON_MS,
    spans: tuple[Span, ...] | None = None,
) -> RecordBatch:
    """One poll slice; of partition 3 from offset 100 when no spans are named."""
    count = len(values)
    return RecordBatch(
        topic="credit.events",
        spans=spans or (Span(3, 0, count),),
        offsets=np.arange(100, 100 + count),
        timestamps_ms=np.full(count, timestamp_ms, np.int64),
        keys=keys or [b"k-%d" % row for row in range(count)],
        values=values,
        headers=headers or [()] * count,
    )


def decoder(*of: Feature, limits: LimitSettings | None = None, **settings: Any) -> EventDecoder:
    return EventDecoder(manifest(*of), InputSettings(**settings), limits or LimitSettings())


def decode(*values: bytes | None, headers: Headers = (), **settings: Any) -> Decoded:
    """Decode records that all have the same headers."""
    return decoder(**settings).decode(records(*values, headers=[headers] * len(values)))


def refused(value: bytes, headers: Headers = (), **settings: Any) -> Rejection:
    """Decode one record that must be refused."""
    decoded = decode(value, headers=headers, **settings)
    (rejection,) = decoded.rejections
    assert (len(decoded.events), decoded.tombstones) == (0, 0)
    return rejection


def events(*of: Mapping[str, Any], **batch: Any) -> EventBatch:
    """Decode events that must all be good, whatever required features they lack."""
    decoded = decoder(on_missing="flag").decode(records(*map(encoded, of), **batch))
    assert decoded.rejections == []
    return decoded.events
