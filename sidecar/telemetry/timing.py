"""When each stage of a batch in flight began and ended."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sidecar.clock import Clock
from sidecar.events import RecordBatch

# More than can be in flight; what is older is forgotten, settled or not.
MOST_BATCHES = 64


class Mark(NamedTuple):
    """One stage of one batch, by the monotonic clock."""

    stage: str
    began_s: float
    ended_s: float


class StageTimes:
    """The stages that each of the last batches went through."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._marks: OrderedDict[int, list[Mark]] = OrderedDict()

    def begin(self, records: RecordBatch, marks: Sequence[Mark] = ()) -> None:
        """Note that a batch begins its way, with the stages that it went through before."""
        # A batch is told from the others in flight by what it is, not by what is in it. Its
        # number may be used again when it is gone, and then begins anew here.
        self._marks[id(records)] = list(marks)
        self._marks.move_to_end(id(records))
        while len(self._marks) > MOST_BATCHES:
            self._marks.popitem(last=False)

    @contextmanager
    def stage(self, records: RecordBatch, stage: str) -> Iterator[None]:
        """Note a stage, unless it raises."""
        began_s = self._clock.monotonic()
        yield
        marks = self._marks.get(id(records))
        if marks is not None:
            marks.append(Mark(stage, began_s, self._clock.monotonic()))

    def of(self, records: RecordBatch) -> list[Mark]:
        """Give a batch's stages in their order; empty for one that is forgotten."""
        return list(self._marks.get(id(records), ()))
