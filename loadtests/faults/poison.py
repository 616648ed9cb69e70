"""Records that must not be decided, made from one that may, and the codes that are due."""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MAX_RECORD_BYTES = 65_536
"""`limits.max_record_bytes` of the sidecars of the campaign."""
MAX_DEPTH = 32
"""`limits.max_depth` of them."""
HUGE_BYTES = 10_000_000
"""More than a broker takes unless told otherwise; the topics of the campaign take it."""

Event = Mapping[str, Any]


class Poison(NamedTuple):
    """One way to spoil an event."""

    spoil: Callable[[Event, random.Random], bytes | None]
    codes: frozenset[str]
    """Any of them is right; none at all: nothing may come of it."""


def _bytes(event: Event) -> bytes:
    return json.dumps(event).encode()


def _truncated(event: Event, rng: random.Random) -> bytes:
    whole = _bytes(event)
    return whole[: rng.randrange(1, len(whole) - 1)]


def _invalid_utf8(event: Event, rng: random.Random) -> bytes:
    # In a field that is read: what is ignored is not looked at.
    return _bytes({**event, "id": "?"}).replace(b'"?"', b'"%c\xff"' % rng.randrange(97, 122))


def _larger(size: int) -> Callable[[Event, random.Random], bytes]:
    return lambda event, _: _bytes({**event, "note": "x" * size})


def _wrong_type(event: Event, rng: random.Random) -> bytes:
    name = rng.choice(sorted(event["features"]))
    return _bytes({**event, "features": {**event["features"], name: "much"}})


def _without_feature(event: Event, _: random.Random) -> bytes:
    features = {k: v for k, v in event["features"].items() if k != "amount_eur"}
    return _bytes({**event, "features": features})


def _without_id(event: Event, _: random.Random) -> bytes:
    return _bytes({k: v for k, v in event.items() if k != "id"})


def _number(value: float) -> Callable[[Event, random.Random], bytes]:
    return lambda event, _: _bytes(
        {**event, "features": {**event["features"], "amount_eur": value}}
    )


def _nested(event: Event, rng: random.Random) -> bytes:
    depth = rng.randrange(MAX_DEPTH + 1, 2_000)
    return _bytes({**event, "note": "?"}).replace(b'"?"', b"[" * depth + b"]" * depth)


POISONS: dict[str, Poison] = {
    "truncated": Poison(_truncated, frozenset({"malformed_json"})),
    "invalid UTF-8": Poison(_invalid_utf8, frozenset({"invalid_utf8"})),
    "empty": Poison(lambda *_: b"", frozenset({"empty"})),
    "tombstone": Poison(lambda *_: None, frozenset()),
    "too large": Poison(_larger(MAX_RECORD_BYTES), frozenset({"too_large"})),
    "wrong type": Poison(_wrong_type, frozenset({"wrong_type"})),
    "without a feature": Poison(_without_feature, frozenset({"missing_feature"})),
    "without an id": Poison(_without_id, frozenset({"missing_field"})),
    "NaN": Poison(_number(float("nan")), frozenset({"malformed_json"})),
    "infinite": Poison(_number(float("inf")), frozenset({"malformed_json"})),
    "past a float": Poison(_number(1e39), frozenset({"number_out_of_range"})),
    "nested": Poison(_nested, frozenset({"too_deep"})),
}
"""By name. All of them are drawn with equal chances."""

HUGE = Poison(_larger(HUGE_BYTES), frozenset({"too_large"}))
"""Sent once where it is tried at all."""
