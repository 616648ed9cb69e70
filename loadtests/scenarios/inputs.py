"""The events of the scenarios, by name: what is on the topic that a scenario reads."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from loadtests import data
from loadtests.scenarios.bundles import WIDTHS, confidence, wide_columns

Records = Iterator[tuple[bytes, bytes]]
Source = Callable[[int, int], Records]
"""From the number of events and the time after the last one."""

CUSTOMERS = 20_000
_DISTINCT = 50_000
"""Rows, more than customers: one customer has several."""
_SPREAD_S = 3 * 3_600
_WIDE_DISTINCT = 2_000
_SHOP = Path(__file__).parents[2] / "tests" / "data" / "tables" / "shop.csv"
_SHOP_KINDS: Mapping[str, Callable[[str], Any]] = {
    "price": float,
    "items": int,
    "channel": str,
    "size": str,
}


def _json(count: int, end_ms: int) -> Records:
    return data.records(count, first_ms=_first_ms(count, end_ms), distinct=_DISTINCT)


def _spread(count: int, end_ms: int) -> Records:
    first_ms = end_ms - _SPREAD_S * 1_000
    return data.records(count, first_ms=first_ms, distinct=_DISTINCT, rate=count / _SPREAD_S)


def _first_ms(count: int, end_ms: int) -> int:
    return end_ms - count * 1_000 // data.EVENT_RATE


def _malformed(every: int) -> Source:
    """Give events of which one in so many is cut off by a byte."""

    def malformed(count: int, end_ms: int) -> Records:
        for number, (key, value) in enumerate(_json(count, end_ms)):
            yield key, value if number % every else value[:-1]

    return malformed


def _msgpack(count: int, end_ms: int) -> Records:
    encode = msgspec.msgpack.encode
    rows = [encode(row) for row in data.features(data.columns(_DISTINCT))]
    for number, (key, value) in enumerate(_json(count, end_ms)):
        event: dict[str, object] = msgspec.json.decode(value, type=dict[str, object])
        event["features"] = msgspec.Raw(rows[number % _DISTINCT])
        yield key, encode(event)


def _cached(count: int, end_ms: int) -> Records:
    """Give an event of each customer that the model is sure of, then only others.

    All are scored; what the model is not sure of finds its customer in the cache.
    """
    first_ms = _first_ms(count, end_ms)
    table = data.columns(2 * CUSTOMERS)
    sure = confidence(table) >= median_confidence()
    rows = encoded(data.features(table))
    keep = [row for row, known in zip(rows, sure, strict=True) if known]
    ask = [row for row, known in zip(rows, sure, strict=True) if not known]
    return chain(
        data.events(keep, CUSTOMERS, first_ms=first_ms, customers=CUSTOMERS),
        data.events(
            ask, count - CUSTOMERS, first_ms=first_ms, customers=CUSTOMERS, begin=CUSTOMERS
        ),
    )


def _shop(count: int, end_ms: int) -> Records:
    with _SHOP.open(newline="") as file:
        rows = [
            {name: kind(row[name]) for name, kind in _SHOP_KINDS.items()}
            for row in csv.DictReader(file)
        ]
    return data.events(encoded(rows), count, first_ms=_first_ms(count, end_ms))


def _wide(width: int) -> Source:
    def wide(count: int, end_ms: int) -> Records:
        table = wide_columns(width, _WIDE_DISTINCT)
        return data.events(
            encoded(data.features(table)), count, first_ms=_first_ms(count, end_ms)
        )

    return wide


def encoded(rows: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Give features as JSON."""
    return [msgspec.json.encode(row) for row in rows]


def median_confidence() -> float:
    """Give the confidence that half of the events have at least."""
    return float(np.median(confidence(data.columns(2 * CUSTOMERS))))


SOURCES: Mapping[str, Source] = {
    "json": _json,
    "spread": _spread,
    "malformed-1": _malformed(100),
    "malformed-100": _malformed(1),
    "msgpack": _msgpack,
    "cached": _cached,
    "shop": _shop,
    **{f"wide{width}": _wide(width) for width in WIDTHS},
}
