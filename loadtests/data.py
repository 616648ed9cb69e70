"""The rows that the load tests send: sixteen numeric features, some of them missing.

All is seeded: the same call gives the same rows on every machine. `train.py` learns the model
from these rows, so a change here asks for a new `model.onnx`.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Column]

SEED = 20_260_301
NULL_SHARE = 0.05
NULLABLE = ("income_eur_year", "credit_score")
"""The two features that are null in `NULL_SHARE` of the rows, each in rows of its own."""

# Events per second of event time. It spreads a run over minutes of event time, so that panes
# are opened and closed as they are in service.
EVENT_RATE = 5_000


def _lognormal(mean: float, sigma: float, digits: int) -> Draw:
    return lambda rng, rows: np.round(rng.lognormal(mean, sigma, rows), digits)


def _normal(mean: float, sd: float, digits: int) -> Draw:
    return lambda rng, rows: np.round(rng.normal(mean, sd, rows), digits)


def _count(mean: float) -> Draw:
    return lambda rng, rows: rng.poisson(mean, rows).astype(np.float64)


def _share(alpha: float, beta: float) -> Draw:
    return lambda rng, rows: np.round(rng.beta(alpha, beta, rows), 6)


def _daytime(rng: np.random.Generator, rows: int) -> Column:
    return np.round(np.sin(rng.uniform(0.0, 2.0 * np.pi, rows)), 6).astype(np.float64)


FEATURES: dict[str, Draw] = {
    "amount_eur": _lognormal(6.5, 1.1, 2),
    "age_years": _normal(44.0, 12.0, 1),
    "account_days": _count(900),
    "income_eur_year": _lognormal(10.3, 0.5, 2),
    "credit_score": _normal(640.0, 80.0, 1),
    "balance_eur": _normal(2_100.0, 1_800.0, 2),
    "debt_ratio": _share(2.0, 5.0),
    "utilisation": _share(1.5, 3.0),
    "orders_last_30d": _count(6),
    "orders_last_day": _count(1),
    "distance_to_shop_km": _lognormal(2.0, 1.2, 3),
    "hour_of_day_sin": _daytime,
    "device_risk": _share(1.2, 8.0),
    "ip_risk": _share(1.1, 9.0),
    "basket_value_eur": _lognormal(4.0, 0.8, 2),
    "session_seconds": _lognormal(4.5, 0.6, 1),
}
LABELS = np.array(["default", "repaid"])
"""The two classes, in the order of the model."""
INTEGERS = ("account_days", "orders_last_30d", "orders_last_day")


def columns(rows: int, seed: int = SEED) -> dict[str, Column]:
    """Give the features of `rows` events; NaN is a null."""
    rng = np.random.default_rng(seed)
    table = {name: draw(rng, rows) for name, draw in FEATURES.items()}
    for name in NULLABLE:
        table[name][rng.random(rows) < NULL_SHARE] = np.nan
    return table


def truth(table: dict[str, Column], seed: int = SEED + 1) -> NDArray[np.int64]:
    """Give what the model learns, 1 = repaid: a curved function of the features and a coin."""
    rng = np.random.default_rng(seed)
    income = np.nan_to_num(table["income_eur_year"], nan=20_000.0)
    rating = np.nan_to_num(table["credit_score"], nan=600.0)
    logit = (
        1.2
        + 0.022 * (rating - 640.0)
        + 0.9 * np.tanh(table["balance_eur"] / 2_000.0)
        - 4.0 * table["debt_ratio"]
        - 1.5 * np.log1p(table["amount_eur"] / income * 10.0)
        - 5.0 * table["device_risk"] * (table["orders_last_day"] > 1)
        - 3.0 * table["ip_risk"]
        + 0.04 * table["orders_last_30d"]
    )
    return (rng.random(len(logit)) < 1.0 / (1.0 + np.exp(-2.0 * logit))).astype(np.int64)


def features(table: dict[str, Column]) -> list[dict[str, float | int | None]]:
    """Give the features of each event as they go into JSON: null for NaN, whole counts."""
    as_objects = []
    for name, column in table.items():
        values: list[float | int | None] = column.tolist()
        if name in INTEGERS:
            values = [int(value) for value in column]
        elif name in NULLABLE:
            values = [None if value != value else value for value in column.tolist()]
        as_objects.append(values)
    return [dict(zip(table, row, strict=True)) for row in zip(*as_objects, strict=True)]


def records(
    count: int,
    *,
    first_ms: int,
    distinct: int = 50_000,
    customers: int = 20_000,
    rate: float = EVENT_RATE,
) -> Iterator[tuple[bytes, bytes]]:
    """Give `count` events as key and value, about 430 bytes of JSON each.

    Args:
        count: How many.
        first_ms: Event time of the first one.
        distinct: Different sets of features; ids, keys and times differ in every event.
        customers: Different keys.
        rate: Events per second of event time.
    """
    encoded = [msgspec.json.encode(row) for row in features(columns(distinct))]
    return events(encoded, count, first_ms=first_ms, customers=customers, rate=rate)


def events(
    encoded: Sequence[bytes],
    count: int,
    *,
    first_ms: int,
    customers: int = 20_000,
    rate: float = EVENT_RATE,
    begin: int = 0,
) -> Iterator[tuple[bytes, bytes]]:
    """Give events as key and value.

    Args:
        encoded: Features as JSON, taken in turn.
        count: How many events.
        first_ms: Event time of number 0.
        customers: Different keys.
        rate: Events per second of event time.
        begin: Number of the first one.
    """
    step = timedelta(seconds=1) / rate
    start = datetime(1970, 1, 1) + timedelta(milliseconds=first_ms)  # noqa: DTZ001 - written as Z
    for number in range(begin, begin + count):
        time = (start + number * step).isoformat(timespec="milliseconds")
        key = b"customer-%05d" % (number * 7_919 % customers)
        yield (
            key,
            b'{"id":"event-%09d","time":"%sZ","features":%s}'
            % (number, time.encode(), encoded[number % len(encoded)]),
        )
