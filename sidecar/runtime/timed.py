"""The stages with the times of each batch, for those who ask how one event went through."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from sidecar.clock import Clock
from sidecar.events import DecisionBatch, Decoded, OutboundBatch, RecordBatch, Rejection
from sidecar.pipeline.framing import NO_SCHEMAS
from sidecar.pipeline.join import Joined, Joiner
from sidecar.ports import Schemas
from sidecar.runtime.stages import Stages
from sidecar.telemetry.decisions import StageView

# More than can be in flight; what never settles is forgotten behind it.
_MOST_BATCHES = 64
_Mark = tuple[str, float, float]


class StageTimes:
    """When each stage of the batches in flight began and ended."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._marks: OrderedDict[int, list[_Mark]] = OrderedDict()

    def now(self) -> float:
        """Give the time that stages are measured by."""
        return self._clock.monotonic()

    def begin(self, records: RecordBatch, stage: str, began_s: float) -> None:
        """Note a batch's first stage, which ends now."""
        # A batch is told from the others in flight by what it is, not by what is in it. Its
        # number may be used again when it is gone, and then begins anew here.
        self._marks[id(records)] = [(stage, began_s, self.now())]
        self._marks.move_to_end(id(records))
        while len(self._marks) > _MOST_BATCHES:
            self._marks.popitem(last=False)

    def add(self, records: RecordBatch, stage: str, began_s: float) -> None:
        """Note a further stage, which ends now."""
        marks = self._marks.get(id(records))
        if marks is not None:
            marks.append((stage, began_s, self.now()))

    def settled(self, records: RecordBatch) -> list[StageView]:
        """Give a batch's stages, and forget them."""
        marks = self._marks.pop(id(records), [])
        if not marks:
            return []
        marks.append(("settle", marks[-1][2], self.now()))
        start_s = marks[0][1]
        return [
            StageView(
                stage=stage,
                began_ms=round((began_s - start_s) * 1000, 3),
                took_ms=round((ended_s - began_s) * 1000, 3),
            )
            for stage, began_s, ended_s in marks
        ]


@dataclass(frozen=True)
class TimedStages(Stages):
    """The same stages, each noting its time."""

    times: StageTimes = field(kw_only=True)

    @classmethod
    def around(cls, stages: Stages, times: StageTimes) -> "TimedStages":
        """Give the same stages with a clock on them."""
        parts = {each.name: getattr(stages, each.name) for each in fields(stages)}
        return cls(**parts, times=times)

    def decode(self, records: RecordBatch, schemas: Schemas = NO_SCHEMAS) -> Decoded:
        """Turn records into events and rejections."""
        began_s = self.times.now()
        decoded = super().decode(records, schemas)
        self.times.begin(records, "decode", began_s)
        return decoded

    def join(self, joiner: Joiner, records: RecordBatch) -> Joined:
        """Turn records, and those that waited, into events and rejections."""
        began_s = self.times.now()
        joined = super().join(joiner, records)
        self.times.begin(joined.records, "decode", began_s)
        return joined

    async def decide(self, decoded: Decoded) -> DecisionBatch:
        """Answer every event."""
        began_s = self.times.now()
        decisions = await super().decide(decoded)
        self.times.add(decoded.events.records, "score", began_s)
        return decisions

    def encode(
        self, decisions: DecisionBatch, rejections: Sequence[Rejection]
    ) -> OutboundBatch:
        """Turn the outcome of a batch into records to send."""
        began_s = self.times.now()
        outbound = super().encode(decisions, rejections)
        self.times.add(decisions.events.records, "encode", began_s)
        return outbound
