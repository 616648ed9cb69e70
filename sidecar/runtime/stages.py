"""The pure stages in their order. A live run and a replay go through the same two calls."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sidecar.events import (
    DecisionBatch,
    Decoded,
    OutboundBatch,
    RecordBatch,
    Refusal,
    RejectCode,
    Rejection,
    Stage,
)
from sidecar.pipeline.check import Checker
from sidecar.pipeline.decide import Decider
from sidecar.pipeline.decode import EventDecoder
from sidecar.pipeline.encode import Encoder
from sidecar.pipeline.framing import NO_SCHEMAS
from sidecar.pipeline.join import Joined, Joiner
from sidecar.ports import Schemas
from sidecar.runtime.scoring import Scoring
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.spans import BatchSpans
from sidecar.telemetry.timing import StageTimes


@dataclass(frozen=True, slots=True)
class Stages:
    """decode, check | score, decide, encode: the worker overlaps the two halves."""

    decoder: EventDecoder
    checker: Checker
    scoring: Scoring
    decider: Decider
    encoder: Encoder
    metrics: Metrics
    times: StageTimes
    """Of each batch, for those who ask how one went through."""
    joiner: Joiner | None = None
    """In the place of the decoder where an event is made of two records."""
    spans: BatchSpans | None = None
    """Of each batch, where they are asked for."""

    def decode(self, records: RecordBatch, schemas: Schemas = NO_SCHEMAS) -> Decoded:
        """Turn records into events and rejections; `schemas` are those that they name."""
        self.times.begin(records)
        with self._stage("decode", records):
            decoded = self.decoder.decode(records, schemas)
        with self._stage("check", records):
            return self.checker.check(decoded)

    def join(self, joiner: Joiner, records: RecordBatch) -> Joined:
        """Turn records, and those that waited, into events and rejections."""
        self.times.begin(records)
        with self._stage("decode", records):
            joined = joiner.join(records)
        self.metrics.waiting(joiner.pending)
        # What goes on is another batch than what came.
        self.times.begin(joined.records, self.times.of(records))
        with self._stage("check", joined.records):
            return replace(joined, decoded=self.checker.check(joined.decoded))

    async def decide(self, decoded: Decoded) -> DecisionBatch:
        """Answer every event."""
        records = decoded.events.records
        # The parts of scoring count in the metrics themselves.
        with self.times.stage(records, "score"):
            scores = await self.scoring.score(decoded.events)
        with self._stage("decide", records):
            return self.decider.decide(decoded.events, scores)

    def encode(
        self, decisions: DecisionBatch, rejections: Sequence[Rejection]
    ) -> OutboundBatch:
        """Turn the outcome of a batch into records to send."""
        records = decisions.events.records
        context = () if self.spans is None else self.spans.begin(decisions, rejections)
        with self._stage("encode", records):
            return OutboundBatch(
                (
                    *self.encoder.decisions(decisions, context),
                    *self.encoder.dead_letters(records, rejections),
                )
            )

    @contextmanager
    def _stage(self, name: str, records: RecordBatch) -> Iterator[None]:
        with self.metrics.stage(name), self.times.stage(records, name):
            yield

    def refused(self, records: RecordBatch, refusals: Sequence[Refusal]) -> OutboundBatch:
        """Turn decisions that the broker refused into dead letters of their events."""
        return OutboundBatch(tuple(self.encoder.dead_letters(records, rejected(refusals))))

    def stubs(self, records: RecordBatch, refusals: Sequence[Refusal]) -> OutboundBatch:
        """Turn dead letters that were refused themselves into stubs without the payload."""
        return OutboundBatch(tuple(self.encoder.stubs(records, rejected(refusals))))


def rejected(refusals: Sequence[Refusal]) -> list[Rejection]:
    """Say of each refused record why it becomes a dead letter."""
    return [
        Rejection(refusal.row, Stage.SEND, RejectCode.OUTPUT_REFUSED, refusal.message)
        for refusal in sorted(refusals, key=lambda refusal: refusal.row)
    ]
