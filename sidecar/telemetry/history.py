"""The last hour at a fixed step, for charts on a page that was opened only now."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from sidecar.events import SOURCE_NAMES
from sidecar.telemetry import labels
from sidecar.telemetry.rates import ratio

_FALLBACKS = frozenset(SOURCE_NAMES[source] for source in labels.FALLBACKS)


class Totals(NamedTuple):
    """Counts since the start at one moment, and the gauges of that moment."""

    decisions: Mapping[str, int]
    """By source."""
    rejections: int
    ages: Sequence[int]
    """Events by age when decided, one count for each of `age_bounds` and one above them."""
    age_bounds: Sequence[float]
    loop_lag_seconds: float


class HistoryView(Struct, frozen=True, kw_only=True):
    """Samples at a fixed step, oldest first, as columns. Null: nothing to measure then."""

    step_seconds: float
    """Time from one sample to the next."""
    length_seconds: float
    """How far back samples are kept."""
    time_ms: list[int]
    """End of each step, Unix milliseconds, UTC. The other columns are as long."""
    decisions_per_second: dict[str, list[float]]
    """Mean of the step, by source."""
    rejections_per_second: list[float]
    """Mean of the step."""
    lag_records: list[int | None]
    """Records waiting at the end of the step."""
    lag_seconds: list[float | None]
    """Lag of the partition that was furthest behind."""
    fallback_ratio: list[float | None]
    """Share of rule, cache and default in the decisions of the step."""
    reject_ratio: list[float | None]
    """Share of dead letters in the outcomes of the step."""
    event_age_p50_seconds: list[float | None]
    """Median age of the step's events when their decision was acknowledged, from buckets."""
    event_age_p99_seconds: list[float | None]
    """The same for the 99th percentile."""
    loop_lag_seconds: list[float]
    """By how much the event loop was late, at most, in the minute before."""


class _Sample(NamedTuple):
    time_ms: int
    decisions: tuple[float, ...]
    rejections: float
    lag_records: int | None
    lag_seconds: float | None
    fallback_ratio: float | None
    reject_ratio: float | None
    p50_seconds: float | None
    p99_seconds: float | None
    loop_lag_seconds: float


class History:
    """A ring of samples. Its memory is bounded by its length, whatever the load."""

    def __init__(self, step_seconds: float, samples: int) -> None:
        """Start empty.

        Args:
            step_seconds: Time from one sample to the next.
            samples: Most samples that are kept.
        """
        self._step_s = step_seconds
        self._samples: deque[_Sample] = deque(maxlen=samples)
        self._before: tuple[float, Totals] | None = None

    def add(
        self,
        now_s: float,
        now_ms: int,
        totals: Totals,
        lag_records: int | None,
        lag_seconds: float | None,
    ) -> None:
        """Note what was counted up to now; the first call only says where counting begins."""
        before, self._before = self._before, (now_s, totals)
        if before is None or now_s <= before[0]:
            return
        passed_s, was = now_s - before[0], before[1]
        counts = {
            name: totals.decisions.get(name, 0) - was.decisions.get(name, 0)
            for name in SOURCE_NAMES
        }
        rejections = totals.rejections - was.rejections
        ages = [now - then for now, then in zip(totals.ages, was.ages, strict=True)]
        decided = sum(counts.values())
        fallbacks = sum(counts[name] for name in _FALLBACKS)
        self._samples.append(
            _Sample(
                now_ms,
                tuple(round(count / passed_s, 2) for count in counts.values()),
                round(rejections / passed_s, 2),
                lag_records,
                lag_seconds,
                ratio(fallbacks, decided),
                ratio(rejections, decided + rejections),
                quantile(ages, totals.age_bounds, 0.5),
                quantile(ages, totals.age_bounds, 0.99),
                totals.loop_lag_seconds,
            )
        )

    def view(self, since_ms: int = 0) -> HistoryView:
        """Give the samples that are younger than a moment."""
        kept = [sample for sample in self._samples if sample.time_ms > since_ms]
        return HistoryView(
            step_seconds=self._step_s,
            length_seconds=self._step_s * (self._samples.maxlen or 0),
            time_ms=[each.time_ms for each in kept],
            decisions_per_second={
                name: [each.decisions[at] for each in kept]
                for at, name in enumerate(SOURCE_NAMES)
            },
            rejections_per_second=[each.rejections for each in kept],
            lag_records=[each.lag_records for each in kept],
            lag_seconds=[each.lag_seconds for each in kept],
            fallback_ratio=[each.fallback_ratio for each in kept],
            reject_ratio=[each.reject_ratio for each in kept],
            event_age_p50_seconds=[each.p50_seconds for each in kept],
            event_age_p99_seconds=[each.p99_seconds for each in kept],
            loop_lag_seconds=[each.loop_lag_seconds for each in kept],
        )


def quantile(counts: Sequence[int], bounds: Sequence[float], share: float) -> float | None:
    """Read a quantile off a histogram, evenly spread within each bucket.

    Above the last bound it is that bound. None without any value.

    Example:
        >>> quantile([10, 10, 0], [1.0, 2.0], 0.75)
        1.5
    """
    left = share * sum(counts)
    if not left:
        return None
    lower = 0.0
    for count, upper in zip(counts, bounds, strict=False):
        if count and left <= count:
            return lower + (upper - lower) * left / count
        left -= count
        lower = upper
    return lower
