"""Outcomes of single records from several batches, put together to one batch."""

from collections import Counter
from itertools import groupby
from typing import NamedTuple

import numpy as np

from sidecar.events import (
    Decoded,
    Headers,
    RecordBatch,
    RejectCode,
    Rejection,
    Span,
    Stage,
    UpstreamPrediction,
)
from sidecar.pipeline.columns import EventColumns, FeatureColumns
from sidecar.pipeline.kserve import Logged
from sidecar.pipeline.signature import WireData


class Place(NamedTuple):
    """Where a record stands in its topic."""

    partition: int
    offset: int


class Record(NamedTuple):
    """One record, as Kafka gave it."""

    place: Place
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def record_of(records: RecordBatch, row: int, span: Span) -> Record:
    """Take one record out of its batch."""
    return Record(
        Place(span.partition, int(records.offsets[row])),
        int(records.timestamps_ms[row]),
        records.keys[row],
        records.values[row],
        records.headers[row],
    )


class _Refused(NamedTuple):
    stage: Stage
    code: RejectCode
    message: str
    path: str
    unreadable: bool


class _Decided(NamedTuple):
    response: Logged
    request: Logged


class Outcomes:
    """What has an outcome, as it is found."""

    def __init__(self, topic: str) -> None:
        """Begin with nothing.

        Args:
            topic: Where the records are from.
        """
        self._topic = topic
        self._rows: list[tuple[Record, _Refused | _Decided | None]] = []
        self.joined: Counter[int] = Counter()
        """Requests that found their response, by partition."""
        self.ended: dict[int, list[int]] = {}
        """Offsets of records that came with earlier batches, by partition."""

    def pass_over(self, record: Record) -> None:
        """Add a tombstone."""
        self._rows.append((record, None))

    def refuse(
        self,
        record: Record,
        stage: Stage,
        code: RejectCode,
        message: str,
        path: str = "$",
        *,
        unreadable: bool = False,
    ) -> None:
        """Add a dead letter."""
        self._rows.append((record, _Refused(stage, code, message, path, unreadable)))

    def decide(self, record: Record, response: Logged, request: Logged) -> None:
        """Add an event that stands where the response stands."""
        self._rows.append((record, _Decided(response, request)))

    def batch(self, columns: FeatureColumns) -> tuple[RecordBatch, Decoded]:
        """Give the records in the order of the log, and what comes of them."""
        self._rows.sort(key=lambda row: row[0].place)
        records = self._records()
        events, features = EventColumns(), []
        rejections, tombstones = [], 0
        for row, (_, outcome) in enumerate(self._rows):
            match outcome:
                case None:
                    tombstones += 1
                case _Refused():
                    rejections.append(Rejection(row, *outcome[:4]))
                case _Decided(response, request):
                    features.append(_features(request).features)
                    events.rows.append(row)
                    events.ids.append(response.id)
                    events.times.append(request.time)
                    events.upstream.append(_prediction(response))
        events.features.append(columns.build(features))
        return records, Decoded(events.batch(records), rejections, tombstones)

    def _records(self) -> RecordBatch:
        records = [record for record, _ in self._rows]
        spans, start = [], 0
        for partition, group in groupby(record.place.partition for record in records):
            stop = start + len(list(group))
            spans.append(Span(partition, start, stop))
            start = stop
        return RecordBatch(
            topic=self._topic,
            spans=tuple(spans),
            offsets=np.array([record.place.offset for record in records], np.int64),
            timestamps_ms=np.array([record.timestamp_ms for record in records], np.int64),
            keys=[record.key for record in records],
            values=[record.value for record in records],
            headers=[record.headers for record in records],
            unreadable=tuple(
                row
                for row, (_, outcome) in enumerate(self._rows)
                if isinstance(outcome, _Refused) and outcome.unreadable
            ),
        )


def _features(logged: Logged) -> WireData:
    assert isinstance(logged.content, WireData)  # noqa: S101  the joiner asks for a request
    return logged.content


def _prediction(logged: Logged) -> UpstreamPrediction:
    assert isinstance(logged.content, UpstreamPrediction)  # noqa: S101  and for a response
    return logged.content
