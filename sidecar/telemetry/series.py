"""Numbers by label, and how Prometheus is told about them.

The client library's own `Counter` and `Histogram` take one observation at a time and add a
`_created` series to each; here a whole batch is one call. Writing the exposition stays the
library's work: everything here gives it metric families.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from sidecar.events import Float64Column
from sidecar.telemetry.spec import Kind, Spec

Labels = tuple[str, ...]


def family(spec: Spec, rows: Iterable[tuple[Labels, float]]) -> Metric:
    """Give a counter, gauge or info with these series, in the order of `rows`.

    Args:
        spec: The metric.
        rows: Label values in the order of `spec.labels`, and the number. The number of an info
            is not looked at: it is always 1.
    """
    match spec.kind:
        case Kind.COUNTER:
            counter = CounterMetricFamily(spec.name, spec.help, labels=spec.labels)
            for labels, value in rows:
                counter.add_metric(labels, value)
            return counter
        case Kind.INFO:
            info = InfoMetricFamily(spec.name.removesuffix("_info"), spec.help)
            for labels, _ in rows:
                info.add_metric((), dict(zip(spec.labels, labels, strict=True)))
            return info
        case _:
            gauge = GaugeMetricFamily(
                spec.name, spec.help, labels=spec.labels, unit=suffix_unit(spec)
            )
            for labels, value in rows:
                gauge.add_metric(labels, value)
            return gauge


def suffix_unit(spec: Spec) -> str:
    """Give the unit where the name ends with it, which is what OpenMetrics may state."""
    return spec.unit if spec.name.endswith(f"_{spec.unit}") else ""


class Histogram:
    """Counts of values by size, one histogram per combination of label values."""

    def __init__(self, spec: Spec, labels: Iterable[Labels]) -> None:
        """Start with empty buckets for each known combination."""
        self._spec = spec
        self._names = [*map(floatToGoString, spec.buckets), "+Inf"]
        self._counts = {known: [0] * len(self._names) for known in labels}
        self._sums = dict.fromkeys(self._counts, 0.0)
        self._exemplars: dict[Labels, dict[int, Exemplar]] = {known: {} for known in labels}

    # In both, `left`: a value equal to a bound belongs to the bucket of that bound ("le").

    def observe(self, value: float, labels: Labels) -> None:
        """Count one value.

        Raises:
            KeyError: The combination of labels was not named at the start.
        """
        self._counts[labels][bisect_left(self._spec.buckets, value)] += 1
        self._sums[labels] += value

    def observe_column(self, values: Float64Column, labels: Labels) -> None:
        """Count a column of values.

        Raises:
            KeyError: The combination of labels was not named at the start.
        """
        counts = self._counts[labels]
        at = np.searchsorted(self._spec.buckets, values, side="left")
        for bucket, added in enumerate(np.bincount(at).tolist()):
            counts[bucket] += added
        self._sums[labels] += float(values.sum())

    def exemplify(self, exemplar: Exemplar, labels: Labels) -> None:
        """Keep a value as the example of its bucket, in the place of the one before."""
        at = bisect_left(self._spec.buckets, exemplar.value)
        self._exemplars[labels][at] = exemplar

    def counts(self, labels: Labels) -> Sequence[int]:
        """Give how many values each bucket holds, and behind them those above all bounds."""
        return tuple(self._counts[labels])

    def family(self) -> Metric:
        """Give what is exposed."""
        metric = HistogramMetricFamily(
            self._spec.name,
            self._spec.help,
            labels=self._spec.labels,
            unit=suffix_unit(self._spec),
        )
        for labels, counts in self._counts.items():
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = list(
                zip(self._names, accumulate(counts), strict=True)
            )
            for at, exemplar in self._exemplars[labels].items():
                buckets[at] = (*buckets[at][:2], exemplar)
            metric.add_metric(labels, buckets, self._sums[labels])
        return metric


class Board:
    """The counters, gauges and histograms that are told, by metric and label values."""

    def __init__(self, known: Mapping[Spec, Iterable[Labels]]) -> None:
        """Start with a 0 for each known combination of labels, so that no series is missing.

        Args:
            known: Every metric that will be told, with the label values that are known.
        """
        self._histograms = {
            spec: Histogram(spec, labels)
            for spec, labels in known.items()
            if spec.kind is Kind.HISTOGRAM
        }
        self._numbers: dict[Spec, dict[Labels, float]] = {
            spec: dict.fromkeys(labels, 0.0)
            for spec, labels in known.items()
            if spec.kind is not Kind.HISTOGRAM
        }

    def count(self, spec: Spec, *labels: str, by: float = 1.0) -> None:
        """Add to a counter."""
        numbers = self._numbers[spec]
        numbers[labels] = numbers.get(labels, 0.0) + by

    def set(self, spec: Spec, value: float, *labels: str) -> None:
        """State a gauge."""
        self._numbers[spec][labels] = float(value)

    def observe(self, spec: Spec, value: float, *labels: str) -> None:
        """Count one value in a histogram."""
        self._histograms[spec].observe(value, labels)

    def observe_column(self, spec: Spec, values: Float64Column, *labels: str) -> None:
        """Count a column of values in a histogram."""
        self._histograms[spec].observe_column(values, labels)

    def exemplify(self, spec: Spec, exemplar: Exemplar, *labels: str) -> None:
        """Keep a value as the example of its bucket of a histogram."""
        self._histograms[spec].exemplify(exemplar, labels)

    def value(self, spec: Spec, *labels: str) -> float | None:
        """Give a counter or gauge; None when it has no series yet."""
        return self._numbers[spec].get(labels)

    def buckets(self, spec: Spec, *labels: str) -> Sequence[int]:
        """Give how many values each bucket of a histogram holds."""
        return self._histograms[spec].counts(labels)

    def totals(self, spec: Spec, label: str) -> dict[str, int]:
        """Sum a counter by one of its labels, leaving out what is 0."""
        position = spec.labels.index(label)
        sums: dict[str, int] = {}
        for labels, value in self._numbers[spec].items():
            if value:
                sums[labels[position]] = sums.get(labels[position], 0) + int(value)
        return sums

    def families(self) -> Iterator[Metric]:
        """Give what is exposed."""
        for spec, numbers in self._numbers.items():
            yield family(spec, numbers.items())
        for histogram in self._histograms.values():
            yield histogram.family()
