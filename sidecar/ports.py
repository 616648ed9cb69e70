"""What the runtime needs from the outside, as protocols.

Real adapters and the fakes of the tests pass the same contract suites. Everything here may be
called from the event loop alone.
"""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from numpy.typing import NDArray

from sidecar.events import (
    DecisionBatch,
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


class Place(NamedTuple):
    """Where one partition of the events topic stands."""

    committed: int | None
    """Next offset that the group reads; None when it has none."""
    end: int
    """Offset that the next record of the partition will get."""


class StateRecord(NamedTuple):
    """A record of the state topic."""

    key: bytes | None
    value: bytes | None


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

    async def places(self, partitions: Collection[int]) -> Mapping[int, Place]:
        """Ask the brokers where partitions stand; those that are not ours are left out.

        Raises:
            SourceUnavailableError: No answer.
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


class StateLog(Protocol):
    """The state topic, read from its beginning and then followed; every partition of it."""

    async def start(self) -> None:
        """Connect; goes on where it stood when it is repeated.

        Raises:
            SourceUnavailableError: No broker answers, or the topic is missing.
        """
        ...

    async def poll(self, timeout_s: float) -> Sequence[StateRecord]:
        """Give what has been written, committed records alone; empty when nothing was.

        Raises:
            SourceUnavailableError: The client is broken; `start` may revive it.
        """
        ...

    async def remaining(self) -> int:
        """Count the offsets between where reading stands and what is written at this moment.

        Raises:
            SourceUnavailableError: No broker answers.
        """
        ...

    def reread(self) -> None:
        """Read everything again, from the beginning."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Disconnect. Ends within `timeout_s`, raises nothing."""
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


class Ledger(Protocol):
    """Makes what was sent final: offsets, and the state that belongs to them."""

    atomic: bool
    """Whether what is sent is seen only when its offsets are committed, both or neither."""

    async def begin(self, partitions: Collection[int]) -> None:
        """Get ready for these input partitions; whoever had them before can write no more.

        Raises:
            SinkUnavailableError: With the reason that `/readyz` shows.
        """
        ...

    async def commit(
        self, offsets: Mapping[int, int], state: OutboundBatch
    ) -> Sequence[Refusal]:
        """Write state, then commit the next offset to read, by input partition.

        There may be state of a partition without an offset.

        Returns:
            The state records that the broker refuses for good.

        Raises:
            OwnershipLostError: A partition belongs to another member.
            SourceUnavailableError: No answer in time; nothing is known about the commit.
            SinkUnavailableError: The state could not be written, and nothing is committed; or,
                where it is atomic, nothing is known about the commit.
        """
        ...

    async def end(self, partitions: Collection[int]) -> None:
        """Let go of these input partitions; what is not committed is given up."""
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


SchemaId = int | str
"""What names a schema in its registry: a number, or a GUID as text."""


class PayloadReader(Protocol):
    """A schema that reads payloads. Pure: what it needs of the registry it has."""

    encoding: Literal["avro", "protobuf"]

    def read(self, body: bytes) -> object:
        """Give a payload as maps, lists and scalars.

        Args:
            body: What follows the schema's id; for Protobuf it begins with the place of the
                message in its file.

        Raises:
            MalformedPayloadError: The bytes are not what the schema says.
        """
        ...


@dataclass(frozen=True, slots=True)
class PlainJson:
    """A JSON Schema: its payloads are JSON, which the model's own signature checks."""


@dataclass(frozen=True, slots=True)
class UnknownSchema:
    """The registry has no such schema, or one that cannot be used."""

    why: str
    """For people."""


Schema = PayloadReader | PlainJson | UnknownSchema
Schemas = Mapping[SchemaId, Schema]


class SchemaRegistry(Protocol):
    """Where producers keep the schemas of what they send."""

    async def schema(self, schema_id: SchemaId) -> Schema:
        """Ask for a schema and all that it refers to.

        Raises:
            RegistryUnavailableError: No answer, or a refusal; may be repeated.
        """
        ...

    async def close(self) -> None:
        """Disconnect; raises nothing."""
        ...


class Observer(Protocol):
    """Watches decided batches. What it raises switches it off, and nothing else happens."""

    name: str

    def observe(self, decisions: DecisionBatch, rejections: Sequence[Rejection]) -> None:
        """See a batch whose decisions and dead letters are acknowledged."""
        ...

    def revoked(self, partitions: Collection[int]) -> None:
        """Drop what belongs to these partitions."""
        ...

    def released(self, partitions: Collection[int]) -> None:
        """Drop what belongs to these partitions, but for counts, which go on elsewhere."""
        ...
