"""What the runtime needs from the outside, as protocols.

Real adapters and the fakes of the tests pass the same contract suites. Everything here may be
called from the event loop alone.
"""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from sidecar.events import (
    DecisionBatch,
    EventBatch,
    OutboundBatch,
    RecordBatch,
    Refusal,
    Rejection,
)

Tensors = Mapping[str, NDArray[Any]]
RawOutputs = Mapping[str, Any]


class PartitionListener(Protocol):
    """Told when partitions come and go. Neither call may raise."""

    async def assigned(self, partitions: Collection[int]) -> None:
        """Take over; must end within milliseconds, no heartbeats are sent meanwhile."""
        ...

    async def revoked(self, partitions: Collection[int]) -> None:
        """Finish what is in flight and commit it, within a deadline of one's own."""
        ...


class Lag(NamedTuple):
    """How far one partition is behind."""

    position: int
    """Next offset that is read."""
    end: int
    """Offset that the next record of the partition will get."""

    @property
    def records(self) -> int:
        """Records that are there and not read yet."""
        return max(0, self.end - self.position)


class Source(Protocol):
    """Where records come from: a consumer group's share of one topic."""

    async def start(self, listener: PartitionListener) -> None:
        """Connect and join.

        Raises:
            SourceUnavailableError: No broker answers, or the topic is missing; may be repeated.
        """
        ...

    async def poll(self, max_records: int, timeout_s: float) -> RecordBatch | None:
        """Give what has arrived, of all partitions that are not paused; None when nothing did.

        Never waits longer than `timeout_s`, never raises for a bad record.

        Raises:
            SourceUnavailableError: The client is broken and was closed; `start` may revive it.
        """
        ...

    def pause(self, partitions: Collection[int]) -> None:
        """Stop handing out records of these partitions; unknown ones are ignored."""
        ...

    def resume(self, partitions: Collection[int]) -> None:
        """Undo `pause`."""
        ...

    async def rewind(self, partitions: Collection[int], positions: Mapping[int, int]) -> None:
        """Read again from `positions`, or from the committed offset where it names none.

        Raises:
            SourceUnavailableError: The committed offset could not be read.
        """
        ...

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offset to read, by partition.

        Raises:
            OwnershipLostError: A partition belongs to another member.
            SourceUnavailableError: No answer in time; nothing is known about the commit.
        """
        ...

    async def lag(self) -> Mapping[int, Lag]:
        """Give how far each assigned partition is behind; empty when it cannot be known.

        Raises:
            SourceUnavailableError: No broker answers. The client goes on trying by itself.
        """
        ...

    async def close(self, timeout_s: float) -> None:
        """Leave the group. Ends within `timeout_s`, raises nothing."""
        ...


class Sink(Protocol):
    """Where records go to. Order is kept per partition of a topic."""

    async def start(self) -> None:
        """Connect, and see that every topic can be written to; may be repeated to recover.

        Raises:
            SinkUnavailableError: With the reason that `/readyz` shows.
        """
        ...

    async def send(self, batch: OutboundBatch) -> Awaitable[Sequence[Refusal]]:
        """Hand over a batch; waits only for room in the buffers.

        Returns:
            An awaitable that ends when every record is acknowledged. It gives the records that
            the broker refuses for good; the rest is written.

        Raises:
            SinkUnavailableError: From `send` or from the awaitable. Records may or may not
                have been written; the sink takes nothing more until `start` succeeded.
        """
        ...

    async def close(self, timeout_s: float) -> None:
        """Flush and disconnect. Ends within `timeout_s`, raises nothing."""
        ...


class Scorer(Protocol):
    """Runs the model."""

    async def score(self, tensors: Tensors) -> RawOutputs:
        """Run the model on one batch.

        Raises:
            ScorerTimeoutError: No answer in time.
            ScorerUnavailableError: The model raised.
        """
        ...

    async def close(self) -> None:
        """Release the model."""
        ...


class Observer(Protocol):
    """Watches decided batches. What it raises switches it off, and nothing else happens."""

    name: str

    def observe(self, decisions: DecisionBatch) -> None:
        """See a batch whose decisions are acknowledged."""
        ...

    def rejected(self, events: EventBatch, rejections: Sequence[Rejection]) -> None:
        """See the records of the same batch that were refused."""
        ...

    def revoked(self, partitions: Collection[int]) -> None:
        """Drop what belongs to these partitions."""
        ...
