"""What is known about one run: what was sent, what stands on the topics, what was seen.

All of it was written down by the campaign itself or read from Kafka by its own client; nothing
comes from the product.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

Headers = tuple[tuple[str, bytes | None], ...]
Place = tuple[int, int]
"""Partition and offset."""


class Ack(Enum):
    """What the broker said about a record of the driver."""

    ACKNOWLEDGED = "acknowledged"
    UNKNOWN = "unknown"
    """It may be on the topic or not: no answer came in time."""
    FAILED = "failed"
    """It is not on the topic: it never left, or was refused."""


class Sent(NamedTuple):
    """A record as the driver wrote it."""

    seq: int
    """Its number, which the record's header `seq` holds; the event's id is `e<seq>`."""
    partition: int
    ack: Ack
    offset: int = -1
    """Where the broker put it; -1 unless it is acknowledged."""
    codes: frozenset[str] | None = None
    """Of a poisoned record: the codes that its dead letter may have. None: it is to be decided.
    Empty: it is a tombstone, of which nothing comes."""


class Record(NamedTuple):
    """A record as the campaign's client reads it."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def place(self) -> Place:
        """Where it stands on its topic."""
        return self.partition, self.offset

    def header(self, name: str) -> str | None:
        """Give the last header of this name as text."""
        found = dict(self.headers).get(name)
        return None if found is None else found.decode()


class Sample(NamedTuple):
    """The committed offset of one partition, as the group's coordinator gave it."""

    at_ms: int
    """When the answer was there, by the wall clock."""
    partition: int
    offset: int
    era: int = 0
    """Counts how often the campaign itself deleted or set offsets: only within an era must they
    never go back."""


@dataclass(frozen=True)
class History:
    """One run."""

    sent: list[Sent]
    events: list[Record]
    """The events topic, as far as it still holds what was written."""
    decisions: list[Record]
    letters: list[Record]
    samples: list[Sample] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    """The events topic's end offsets after the last write."""
    aborted: set[tuple[str, int, int]] = field(default_factory=set)
    """What aborted transactions wrote: topic (`decisions`, `letters`), partition and offset."""
    expired: set[Place] = field(default_factory=set)
    """Events that the campaign deleted before they were read."""
    broker_times: bool = True
    """Whether the timestamps of outcomes are those of the broker's clock."""
