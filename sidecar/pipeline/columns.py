"""From decoded events to columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

import numpy as np
from msgspec import Struct
from msgspec.structs import astuple

from sidecar.bundle.manifest import Feature, FeatureType
from sidecar.events import (
    BoolColumn,
    EventBatch,
    Features,
    Float64Column,
    Int64Column,
    RecordBatch,
    UpstreamPrediction,
)
from sidecar.pipeline.signature import EARLIEST_MS, LATEST_MS

AHEAD_MS = 300_000
"""How far an event's time may be ahead of its record's timestamp: clocks of producers differ,
and a time far ahead would end every window at once."""


class FeatureColumns:
    """Turns the features of many events into columns, in the order of the signature."""

    def __init__(self, features: Sequence[Feature]) -> None:
        """Number the categories of each text feature.

        Args:
            features: The signature.
        """
        self._width = len(features)
        self._texts = {
            at: (feature.name, _Codes(feature.categories or ()))
            for at, feature in enumerate(features)
            if feature.type is FeatureType.STRING
        }

    def build(self, features: Sequence[Struct]) -> Features:
        """Give the columns of these events.

        Args:
            features: The decoded `features` of each event.

        Returns:
            NaN where a value is missing; texts as codes, and as themselves in `text`.
        """
        shape = len(features), self._width
        values = map(astuple, features)
        if not self._texts:
            flat = chain.from_iterable(values)
            return Features(
                np.fromiter(flat, np.float64, shape[0] * shape[1]).reshape(shape), {}
            )
        matrix = np.empty(shape, np.float64)
        text: dict[str, list[str | None]] = {}
        for at, column in enumerate(zip(*values, strict=True)):
            matrix[:, at] = self._numbers(at, column)
            if at in self._texts:
                text[self._texts[at][0]] = list(column)
        if not features:
            text = {name: [] for name, _ in self._texts.values()}
        return Features(matrix, text)

    def _numbers(self, at: int, column: Sequence[object]) -> Float64Column:
        numbers: Iterable[object] = column
        if at in self._texts:
            numbers = map(self._texts[at][1].__getitem__, column)
        return np.fromiter(numbers, np.float64, len(column))


@dataclass(slots=True)
class EventColumns:
    """The columns of the events of a batch, as they are found."""

    rows: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    times: list[datetime | int | None] = field(default_factory=list)
    upstream: list[UpstreamPrediction | None] = field(default_factory=list)
    features: list[Features] = field(default_factory=list)

    def batch(self, records: RecordBatch) -> EventBatch:
        """Give them as one batch."""
        rows, count = np.array(self.rows, np.int64), len(self.rows)
        times_ms, future = event_times(self.times, records.timestamps_ms[rows])
        return EventBatch(
            records=records,
            rows=rows,
            ids=self.ids,
            event_time_ms=times_ms,
            features=joined(self.features),
            upstream=self.upstream if any(self.upstream) else None,
            missing=np.zeros(count, np.bool_),
            out_of_range=np.zeros(count, np.bool_),
            future=future,
        )


class _Codes(dict[object, float]):
    """The code of each category; one past the last for all others, NaN for none."""

    def __init__(self, categories: Sequence[object]) -> None:
        super().__init__((category, float(code)) for code, category in enumerate(categories))
        self[None] = np.nan
        self._unseen = float(len(categories))

    def __missing__(self, category: object) -> float:
        return self._unseen


def joined(parts: Sequence[Features]) -> Features:
    """Give the rows of all parts as one.

    Args:
        parts: At least one, all of one `FeatureColumns`.
    """
    return Features(
        np.concatenate([part.matrix for part in parts]),
        {
            name: list(chain.from_iterable(part.text[name] for part in parts))
            for name in parts[0].text
        },
    )


def event_times(
    times: Sequence[datetime | int | None], timestamps_ms: Int64Column
) -> tuple[Int64Column, BoolColumn]:
    """Give the event time of each event.

    Args:
        times: What the events say.
        timestamps_ms: Timestamps of their records.

    Returns:
        Unix epoch milliseconds, at most `AHEAD_MS` after the record; and where that cap cut.
    """
    recorded = np.clip(timestamps_ms, EARLIEST_MS, LATEST_MS)
    said = np.clip(_epoch_ms(times, recorded), EARLIEST_MS, LATEST_MS)
    latest = np.minimum(recorded + AHEAD_MS, LATEST_MS)
    return np.minimum(said, latest), said > latest


def _epoch_ms(times: Sequence[datetime | int | None], default: Int64Column) -> Int64Column:
    kinds = set(map(type, times))
    if kinds <= {datetime}:
        seconds = np.fromiter(map(datetime.timestamp, times), np.float64, len(times))  # type: ignore[arg-type]
        return np.rint(seconds * 1000).astype(np.int64)
    said = default.copy()
    if kinds != {type(None)}:
        for row, time in enumerate(times):
            if isinstance(time, datetime):
                said[row] = round(time.timestamp() * 1000)
            elif time is not None:
                said[row] = time
    return said
