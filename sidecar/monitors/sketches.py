"""Which values of categorical features the reference never had: how many, the most frequent.

Sketches of bounded size (Apache DataSketches) see unseen values alone, so they cost nothing
while there are none. They cannot give back what leaves a window, so they are kept by period of
event time: the running one and the one before.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from datasketches import (
    frequent_items_error_type,
    frequent_strings_sketch,
    hll_sketch,
    hll_union,
    tgt_hll_type,
)

from sidecar.bundle.manifest import Feature, FeatureType
from sidecar.events import BoolColumn, Features, Float64Column, Int64Column
from sidecar.monitors.quality_snapshot import UnseenValue, UnseenValues

_MOST_CHARS = 64
_TOP = 10
# 1,024 registers of 4 bits: a standard error of 3 %, in 600 bytes.
_HLL = 10, tgt_hll_type.HLL_4
# 256 counters: whatever makes up more than 1.4 % of the unseen values is among them.
_FREQUENT = 8


def _hll() -> hll_sketch:
    return hll_sketch(*_HLL)


def _frequent() -> frequent_strings_sketch:
    return frequent_strings_sketch(_FREQUENT)


@dataclass(slots=True)
class _Period:
    """The unseen values of one feature over one period."""

    distinct: hll_sketch = field(default_factory=_hll)
    frequent: frequent_strings_sketch = field(default_factory=_frequent)

    def update(self, values: Iterable[str]) -> None:
        for value, records in Counter(values).items():
            self.distinct.update(value)
            self.frequent.update(value, records)


class UnseenSketches:
    """The unseen values of all categorical features, over two periods."""

    def __init__(
        self, features: Sequence[Feature], watched: Sequence[str], period_ms: int
    ) -> None:
        """See nothing yet.

        Args:
            features: The signature, in the order of the columns.
            watched: Names of the features to watch.
            period_ms: Event time after which values begin to be forgotten.
        """
        self._columns = {
            feature.name: (at, _test(feature))
            for at, feature in enumerate(features)
            if feature.name in watched
            and (feature.categories is not None or feature.type is FeatureType.STRING)
        }
        self._period_ms = period_ms
        self._period: int | None = None
        self._now: dict[str, _Period] = {}
        self._before: dict[str, _Period] = {}

    def observe(
        self, features: Features, times_ms: Int64Column, first_time: BoolColumn
    ) -> None:
        """See the features of events, in any order of time.

        Args:
            features: One row per event.
            times_ms: Event time of each.
            first_time: Whether each is seen for the first time; others are passed over.
        """
        if not self._columns or not first_time.any():
            return
        periods = times_ms // self._period_ms
        newest = self._turn(int(periods.max()))
        for name, (at, is_unseen) in self._columns.items():
            column = features.matrix[:, at]
            rows = np.flatnonzero(is_unseen(column) & first_time)
            for by, period in ((self._now, newest), (self._before, newest - 1)):
                chosen = rows[periods[rows] == period] if rows.size else rows
                if chosen.size:
                    values = _texts(column, features.text.get(name), chosen)
                    by.setdefault(name, _Period()).update(values)

    def snapshot(self) -> tuple[UnseenValues, ...]:
        """Say what is known of each categorical feature."""
        return tuple(
            _summary(name, [by[name] for by in (self._now, self._before) if name in by])
            for name in self._columns
        )

    def _turn(self, period: int) -> int:
        """Let the newest period be the running one, and give it."""
        if self._period is None or period > self._period:
            self._before = self._now if self._period == period - 1 else {}
            self._now = {}
            self._period = period
        return self._period


def _test(feature: Feature) -> Callable[[Float64Column], BoolColumn]:
    """Give what tells unseen values from others; a missing one is NaN, and is not unseen."""
    categories = feature.categories or ()
    if feature.type is FeatureType.STRING:
        code = float(len(categories))
        return lambda column: column == code
    known = np.array([float(category) for category in categories])
    return lambda column: ~(np.isin(column, known) | np.isnan(column))


def _texts(
    column: Float64Column, text: Sequence[str | None] | None, rows: Int64Column
) -> Iterator[str]:
    """Give values as text; only what is unseen becomes an object here."""
    if text is None:
        return (f"{value:.17g}"[:_MOST_CHARS] for value in column[rows].tolist())
    return (str(text[row])[:_MOST_CHARS] for row in rows.tolist())


def _summary(feature: str, periods: Sequence[_Period]) -> UnseenValues:
    distinct, frequent = hll_union(_HLL[0]), _frequent()
    for period in periods:
        distinct.update(period.distinct)
        frequent.merge(period.frequent)
    found = frequent.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
    counted = sorted(((value, least) for value, _, least, _ in found), key=_by_count)
    return UnseenValues(
        feature=feature,
        records=frequent.total_weight,
        distinct=distinct.get_estimate(),
        error=max((most - least for _, _, least, most in found), default=0),
        top=tuple(UnseenValue(value=value, records=least) for value, least in counted[:_TOP]),
    )


def _by_count(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]
