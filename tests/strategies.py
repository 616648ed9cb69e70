"""Hypothesis strategies of the pipeline: events, bytes that are nearly one, scores, rules."""

import operator as comparisons
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from sidecar.config.settings import (
    CacheSettings,
    FallbackSettings,
    OutcomeSettings,
    RuleSettings,
)
from sidecar.config.values import Duration
from sidecar.events import Headers, Reason, ScoreBatch
from sidecar.pipeline.signature import EARLIEST_MS, FLOAT32_MAX
from tests.event_samples import NOON_MS, encoded, packed, tensor

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | texts
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)

amounts = st.floats(-FLOAT32_MAX, FLOAT32_MAX, allow_nan=False)
countries = st.sampled_from(["DE", "FR", "XX", "YY", ""])
predictions = st.fixed_dictionaries(
    {},
    optional={
        "label": st.sampled_from(["refuse", "approve", "escalate"]),
        "score": st.floats(0, 1),
        "confidence": st.floats(0, 1),
        "model": st.just("credit"),
        "version": texts,
    },
)


def feature_maps(*, gaps: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """Values of all four features; with `gaps` any of them may be left out."""
    needed: dict[str, st.SearchStrategy[Any]] = {
        "amount": amounts,
        "age": st.integers(0, 150),
        "country": countries,
    }
    optional: dict[str, st.SearchStrategy[Any]] = {"verified": st.booleans()}
    if gaps:
        needed, optional = {}, needed | optional
    return st.fixed_dictionaries(needed, optional=optional)


def wire_events(*, gaps: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    """Events that decode."""
    return st.fixed_dictionaries(
        {"id": texts, "features": feature_maps(gaps=gaps)},
        optional={
            "time": st.integers(EARLIEST_MS, NOON_MS),
            "prediction": predictions,
            "extra": anything,
        },
    )


_TENSORS: dict[str, tuple[str, ...]] = {
    "amount": ("FP32", "FP64"),
    "age": ("INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    "verified": ("BOOL",),
    "country": ("BYTES",),
}
_TOGETHER = ("amount", "age", "verified")


@st.composite
def requests_of(draw: st.DrawFn, event: Mapping[str, Any]) -> dict[str, Any]:
    """The request of the Open Inference Protocol that says what an event says, in any layout.

    Needs a model with the input `numbers` for the layout with one matrix.
    """
    features = event["features"]
    inputs: list[dict[str, Any]] = []
    if draw(st.booleans()):
        row = [features.get(name) for name in _TOGETHER]
        row = [int(value) if isinstance(value, bool) else value for value in row]
        datatype = draw(st.sampled_from(["FP32", "FP64"]))
        inputs.append(draw(_laid_out("numbers", datatype, row)))
        features = {name: features[name] for name in features.keys() - set(_TOGETHER)}
    for name, value in features.items():
        datatype = draw(st.sampled_from(_TENSORS[name]))
        inputs.append(draw(_laid_out(name, datatype, [value])))
    another = draw(st.booleans())
    if inputs and another:
        inputs.append(tensor("other", "FP16", shape=(0, 7)))
    said = {"id": event["id"], "inputs": draw(st.permutations(inputs))}
    return said | draw(st.fixed_dictionaries({}, optional={"parameters": anything}))


def _laid_out(name: str, datatype: str, row: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A tensor of one row with and without its first dimension, flat and nested."""
    width = len(row)
    shapes = [(width,), (1, width), *([()] if width == 1 else [])]
    forms = [tensor(name, datatype, *row, shape=shape) for shape in shapes]
    return st.sampled_from([*forms, tensor(name, datatype, row, shape=(1, width))])


@st.composite
def spoiled_requests(draw: st.DrawFn) -> bytes:
    """A request with anything in the place of one of its parts."""
    said = draw(wire_events(gaps=True).flatmap(requests_of))
    place = draw(st.sampled_from(["id", "inputs", "name", "shape", "datatype", "data"]))
    tensors = [each for each in said["inputs"] if place in each]
    target = draw(st.sampled_from(tensors)) if tensors else said
    target[place] = draw(anything | st.lists(st.integers(-1, 3) | scalars, max_size=3))
    return encoded(said)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """An event with anything in the place of one of its parts, and perhaps bytes replaced."""
    event = draw(wire_events())
    place = draw(st.sampled_from(["id", "time", "features", "prediction", "model", "amount"]))
    (event["features"] if place == "amount" else event)[place] = draw(anything)
    value = draw(st.sampled_from([encoded, packed]))(event)
    start = draw(st.integers(0, len(value)))
    stop = draw(st.integers(start, len(value)))
    whole, middle = draw(st.booleans()), draw(st.binary(max_size=4))
    return value if whole else value[:start] + middle + value[stop:]


values = (
    st.none()
    | st.binary(max_size=60)
    | spoiled()
    | spoiled_requests()
    | wire_events().map(encoded)
    | wire_events().flatmap(requests_of).map(encoded)
)

header_names = st.sampled_from(
    ["content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "other"]
)
header_values = (
    st.none()
    | st.binary(max_size=6)
    | st.sampled_from(
        [b"1.0", b"application/json", b"application/msgpack", b"application/cloudevents+json"]
    )
)
headers: st.SearchStrategy[Headers] = st.lists(
    st.tuples(header_names, header_values), max_size=6
)


# --- decisions -------------------------------------------------------------------------------


@st.composite
def score_batches(draw: st.DrawFn, count: int) -> ScoreBatch:
    """What a binary model may say about `count` rows, or why it says nothing."""

    def column(each: st.SearchStrategy[Any], dtype: type) -> Any:
        return np.array(draw(st.lists(each, min_size=count, max_size=count)), dtype)

    return ScoreBatch(
        label=column(st.sampled_from([0, 1]), np.int32),
        score=column(st.floats(0, 1), np.float64),
        confidence=column(st.just(np.nan) | st.floats(0, 1), np.float64),
        reason=column(
            st.sampled_from([reason for reason in Reason if reason is not Reason.UPSTREAM]),
            np.uint8,
        ),
    )


def _asked(of: st.SearchStrategy[Any], *operators: str) -> st.SearchStrategy[Any]:
    several = st.lists(of, min_size=1, max_size=3)
    return st.one_of(
        of,
        several,
        st.fixed_dictionaries({"missing": st.booleans()}),
        *(st.fixed_dictionaries({name: of}) for name in ("eq", "ne", *operators)),
        *(st.fixed_dictionaries({name: several}) for name in ("in", "not_in")),
    )


_numbers = st.sampled_from([-1, 0, 0.5, 40, 150, 1e30])
_order = ("gt", "ge", "lt", "le")
_entries = st.fixed_dictionaries(
    {},
    optional={
        "amount": _asked(_numbers, *_order),
        "age": _asked(_numbers, *_order),
        "country": _asked(countries),
        "verified": _asked(st.booleans()),
    },
)
conditions: st.SearchStrategy[dict[str, Any]] = st.recursive(
    _entries,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "any": st.lists(inner, min_size=1, max_size=3),
            "all": st.lists(inner, min_size=1, max_size=3),
            "not": inner.filter(bool),
            "age": _asked(_numbers, *_order),
        },
    ),
    max_leaves=6,
)


def holds(when: Mapping[str, Any], features: Mapping[str, Any]) -> bool:
    """What a condition means for one event: the law that the compiled columns must keep."""
    return all(_entry(name, asked, features) for name, asked in when.items())


def _entry(name: str, asked: Any, features: Mapping[str, Any]) -> bool:
    match name:
        case "any":
            return any(holds(each, features) for each in asked)
        case "all":
            return all(holds(each, features) for each in asked)
        case "not":
            return not holds(asked, features)
    if isinstance(asked, list):
        asked = {"in": asked}
    elif not isinstance(asked, dict):
        asked = {"eq": asked}
    value = features.get(name)
    return all(_operator(operator, value, bound) for operator, bound in asked.items())


def _operator(operator: str, value: Any, bound: Any) -> bool:
    if operator == "missing":
        return (value is None) is bound
    if value is None:
        return False
    if operator in ("in", "not_in"):
        return (value in bound) is (operator == "in")
    compare: Callable[[Any, Any], bool] = getattr(comparisons, operator)
    return compare(value, bound)


@st.composite
def fallbacks(draw: st.DrawFn) -> FallbackSettings:
    """Any chain: rules, perhaps a cache, perhaps a default."""
    label = st.sampled_from(["approve", "review", "manual"])
    rules = [
        RuleSettings(name=f"r{at}", when=when, label=draw(label))
        for at, when in enumerate(draw(st.lists(conditions, max_size=3)))
    ]
    ages, sizes = st.sampled_from([1, 60_000, 10**12]), st.integers(1, 4)
    cache = CacheSettings(max_age=Duration(draw(ages)), max_entries=draw(sizes))
    return FallbackSettings(
        rules=rules,
        cache=cache if draw(st.booleans()) else None,
        default=OutcomeSettings(label=draw(st.none() | label)),
    )
