"""All sidecars at a glance: a row each, and a line for all together."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sidecar.adapters.phrases import UNKNOWN, count, rate, share, span, times
from sidecar.telemetry.rates import ratio
from sidecar.telemetry.status import StatusView
from sidecar.top.layout import Column, Mood, Row, Table
from sidecar.top.reading import (
    age_of,
    fallbacks,
    in_flight,
    judged_features,
    name_of,
    state_of,
    window_of,
)
from sidecar.top.watch import Sighting

_COLUMNS = (
    Column("sidecar"),
    Column("state"),
    Column("rec/s", right=True, rank=5),
    Column("lag", right=True, rank=1),
    Column("behind", right=True, rank=6),
    Column("fallback", right=True, rank=2),
    Column("dead/min", right=True, rank=4),
    Column("drift", right=True, rank=3),
    Column("episodes", right=True, rank=7),
    Column("circuit", rank=8),
    Column("in flight", right=True, rank=10),
    Column("partitions", right=True, rank=11),
    Column("worst drift", rank=9),
    Column("address", rank=12),
    Column("model", rank=13),
    Column("up", right=True, rank=14),
)
_MOODS: Mapping[str, Mood] = {
    "ready": "plain",
    "asking": "plain",
    "blocked": "bad",
    "stopped": "bad",
    "away": "bad",
}
_GRAVITY = ("ready", "starting", "draining", "degraded", "stopped", "blocked", "asking", "away")


class Order(NamedTuple):
    """A way to sort the sidecars."""

    title: str
    key: Callable[[Sighting], float]
    """Smallest first."""


def mood_of(sighting: Sighting) -> Mood:
    """Say how much attention it needs."""
    return _MOODS.get(state_of(sighting), "warn")


def fleet(sightings: Iterable[Sighting], now_s: float, order: Order | None = None) -> Table:
    """Give a row for each sidecar, in the order given or in that of `order`."""
    shown = sorted(sightings, key=order.key) if order else list(sightings)
    names = Counter(name_of(sighting) for sighting in shown)
    rows = (_row(each, now_s, twins=names[name_of(each)] > 1) for each in shown)
    return Table(_COLUMNS, tuple(rows))


def _row(sighting: Sighting, now_s: float, *, twins: bool) -> Row:
    name, address = name_of(sighting), sighting.target.name
    # Replicas have one name, and only the address tells them apart.
    name = f"{address} {name}" if twins and name != address else name
    state, mood = state_of(sighting), mood_of(sighting)
    view = sighting.fresh
    if view is None:
        # Old numbers look like new ones in a table; they are in the view of the one.
        state = state if sighting.view is None else f"{state} {age_of(sighting, now_s)}"
        unknown = (UNKNOWN,) * (len(_COLUMNS) - 5)
        cells = (name, state, *unknown, address, UNKNOWN, UNKNOWN)
        return Row(cells, mood, sighting.target.url)
    judged = judged_features(window_of(view))
    drifting = sum(feature.drifting for feature in judged)
    cells = (
        name,
        state,
        rate(view.rates.records_per_second),
        count(view.lag_records),
        span(view.lag_seconds),
        share(view.rates.fallback_ratio),
        count(sum(view.rates.rejections.values())),
        f"{drifting} of {len(judged)}" if judged else UNKNOWN,
        count(len(view.monitors.episodes) if view.monitors else None),
        "open" if view.circuit_open else "closed",
        count(in_flight(view)),
        count(len(view.partitions)),
        f"{judged[0].name} {times(judged[0].severity)}" if judged else UNKNOWN,
        address,
        f"{view.model.name} {view.model.version}",
        span((view.now_ms - view.since_ms) / 1000),
    )
    return Row(cells, mood, sighting.target.url)


# --- sorting -------------------------------------------------------------------------------


def _largest(value: Callable[[StatusView], float | None]) -> Callable[[Sighting], float]:
    """Sort by a number, the largest first; where there is none comes last."""

    def key(sighting: Sighting) -> float:
        number = None if sighting.fresh is None else value(sighting.fresh)
        return float("inf") if number is None else -number

    return key


def _worst_severity(view: StatusView) -> float | None:
    judged = judged_features(window_of(view))
    return judged[0].severity if judged else None


ORDERS = (
    Order("as given", lambda sighting: 0),
    Order("state", lambda sighting: -_GRAVITY.index(state_of(sighting))),
    Order("rec/s", _largest(lambda view: view.rates.records_per_second)),
    Order("lag", _largest(lambda view: view.lag_records)),
    Order("fallback", _largest(lambda view: view.rates.fallback_ratio)),
    Order("dead/min", _largest(lambda view: sum(view.rates.rejections.values()))),
    Order("drift", _largest(_worst_severity)),
)


# --- all together --------------------------------------------------------------------------


def totals(sightings: Sequence[Sighting]) -> list[str]:
    """Say how all of them together do; who does not answer counts for nothing."""
    views = [sighting.fresh for sighting in sightings if sighting.fresh is not None]
    answer = f"{len(views)} of {len(sightings)} answer"
    if not views:
        return [answer]
    lags = [view.lag_records for view in views if view.lag_records is not None]
    behind = [view.lag_seconds for view in views if view.lag_seconds is not None]
    decisions = _sum(view.rates.decisions for view in views)
    return [
        answer,
        f"{rate(sum(view.rates.records_per_second for view in views))} rec/s",
        f"lag {count(sum(lags) if lags else None)}",
        f"behind {span(max(behind, default=None))}",
        f"fallback {share(ratio(fallbacks(decisions), decisions.total()))}",
        f"dead/min {count(_sum(view.rates.rejections for view in views).total())}",
        f"in flight {count(sum(map(in_flight, views)))}",
    ]


def _sum(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total
