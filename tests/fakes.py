"""Real small classes that stand in for the outside: a clock, a log, a source and a sink.

The source and the sink pass the same contract suites as the Kafka adapters.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sidecar.errors import (
    OwnershipLostError,
    RegistryUnavailableError,
    SinkUnavailableError,
    SourceUnavailableError,
)
from sidecar.events import Headers, OutboundBatch, OutboundSlice, RecordBatch, Refusal, Span
from sidecar.ports import (
    Lag,
    PartitionListener,
    Place,
    Schema,
    SchemaId,
    StateRecord,
    UnknownSchema,
)


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, *, monotonic: float = 0.0, now_ms: int = 1_700_000_000_000) -> None:
        self._monotonic = monotonic
        self._now_ms = now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, seconds: float) -> None:
        self._monotonic += seconds
        self._now_ms += round(seconds * 1000)


class Stored(NamedTuple):
    """A record in the log."""

    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()
    timestamp_ms: int = 1_700_000_000_000
    readable: bool = True


@dataclass
class MemoryLog:
    """Topics with partitions, and the offsets of one group: what a broker keeps."""

    topics: dict[str, list[list[Stored]]] = field(default_factory=dict)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    writers: dict[int, "MemoryTransactions"] = field(default_factory=dict)
    """Who may write by transactions, by input partition."""

    def create(self, topic: str, partitions: int = 1) -> None:
        self.topics[topic] = [[] for _ in range(partitions)]

    def write(self, topic: str, partition: int, *records: Stored) -> None:
        self.topics[topic][partition].extend(records)
        self.grown.set()

    def read(self, topic: str, partition: int = 0) -> list[Stored]:
        return list(self.topics[topic][partition])

    def values(self, topic: str) -> list[bytes | None]:
        """Give every value of a topic, partition after partition."""
        return [record.value for partition in self.topics[topic] for record in partition]


class MemorySource:
    """Reads a `MemoryLog` as the only member of a group, or as the test deals partitions out.

    `faults` holds errors for the next calls of a method, one each, in order:
    `source.faults["commit"].append(OwnershipLostError("gone"))`.
    """

    def __init__(self, log: MemoryLog, topic: str, *, begin: str = "earliest") -> None:
        self.log = log
        self._topic = topic
        self._begin = begin
        self._listener: PartitionListener | None = None
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()
        self.faults: dict[str, deque[Exception]] = {
            name: deque() for name in ("start", "poll", "commit", "rewind", "places")
        }

    async def start(self, listener: PartitionListener) -> None:
        self._fail("start")
        if self._topic not in self.log.topics:
            raise SourceUnavailableError(f"topic `{self._topic}` does not exist")
        self._listener = listener
        await self.deal(range(len(self.log.topics[self._topic])))

    async def deal(self, partitions: Collection[int]) -> None:
        """Give this member other partitions, as a rebalance does."""
        assert self._listener is not None
        if self._positions:
            await self._listener.revoked(set(self._positions))
        self._positions = {p: self._first(p) for p in partitions}
        self._paused = set(partitions)
        await self._listener.assigned(set(partitions))
        self.log.grown.set()

    async def poll(self, max_records: int, timeout_s: float) -> RecordBatch | None:
        self._alive()
        self._fail("poll")
        batch = self._take(max_records)
        if batch is None and timeout_s > 0:
            self.log.grown.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self.log.grown.wait()
            except TimeoutError:
                return None
            self._alive()
            batch = self._take(max_records)
        return batch

    def pause(self, partitions: Collection[int]) -> None:
        self._paused |= set(partitions) & set(self._positions)

    def resume(self, partitions: Collection[int]) -> None:
        self._paused -= set(partitions)
        self.log.grown.set()

    async def rewind(self, partitions: Collection[int], positions: Mapping[int, int]) -> None:
        self._alive()
        self._fail("rewind")
        for partition in set(partitions) & set(self._positions):
            self._positions[partition] = positions.get(partition, self._first(partition))
        self.log.grown.set()

    async def commit(self, offsets: Mapping[int, int]) -> None:
        self._alive()
        self._fail("commit")
        if not set(offsets) <= set(self._positions):
            raise OwnershipLostError("not assigned")
        for partition, offset in offsets.items():
            self.log.committed[self._topic, partition] = offset

    async def places(self, partitions: Collection[int]) -> Mapping[int, Place]:
        self._alive()
        self._fail("places")
        return {
            p: Place(
                self.log.committed.get((self._topic, p)),
                len(self.log.topics[self._topic][p]),
            )
            for p in set(partitions) & set(self._positions)
        }

    async def lag(self) -> Mapping[int, Lag]:
        ends = self.log.topics.get(self._topic, [])
        return {p: Lag(at, len(ends[p])) for p, at in self._positions.items()}

    async def close(self, timeout_s: float) -> None:
        self._listener = None
        self._positions.clear()
        self.log.grown.set()

    def _alive(self) -> None:
        if self._listener is None:
            raise SourceUnavailableError("not connected")

    def _fail(self, call: str) -> None:
        if self.faults[call]:
            error = self.faults[call].popleft()
            if call == "poll":
                self._listener = None
            raise error

    def _first(self, partition: int) -> int:
        """Give the committed offset, which a group without one gets at its beginning."""
        end = len(self.log.topics[self._topic][partition])
        begin = 0 if self._begin == "earliest" else end
        return self.log.committed.setdefault((self._topic, partition), begin)

    def _take(self, max_records: int) -> RecordBatch | None:
        spans: list[Span] = []
        rows: list[Stored] = []
        offsets: list[int] = []
        for partition in sorted(set(self._positions) - self._paused):
            at = self._positions[partition]
            found = self.log.topics[self._topic][partition][at:][: max_records - len(rows)]
            if found:
                spans.append(Span(partition, len(rows), len(rows) + len(found)))
                rows += found
                offsets += range(at, at + len(found))
                self._positions[partition] = at + len(found)
        return _batch(self._topic, spans, rows, offsets) if rows else None


def _batch(
    topic: str, spans: Sequence[Span], rows: Sequence[Stored], offsets: Sequence[int]
) -> RecordBatch:
    return RecordBatch(
        topic=topic,
        spans=tuple(spans),
        offsets=np.array(offsets, np.int64),
        timestamps_ms=np.array([r.timestamp_ms if r.readable else -1 for r in rows], np.int64),
        keys=[r.key if r.readable else None for r in rows],
        values=[r.value if r.readable else None for r in rows],
        headers=[r.headers if r.readable else () for r in rows],
        unreadable=tuple(at for at, r in enumerate(rows) if not r.readable),
    )


class MemorySink:
    """Writes to a `MemoryLog`.

    `refuses` says which records the log never takes; `fail` breaks the sink until `start`;
    `starts` holds errors for the next starts; while `held`, nothing is acknowledged.
    """

    def __init__(
        self,
        log: MemoryLog,
        topics: Sequence[str],
        *,
        refuses: Callable[[str, bytes | None, bytes | None], bool] = lambda *_: False,
    ) -> None:
        self._log = log
        self._topics = tuple(topics)
        self._refuses = refuses
        self._trouble: SinkUnavailableError | None = SinkUnavailableError("not_started", "")
        self._open = asyncio.Event()
        self._open.set()
        self._waiting: set[asyncio.Task[Sequence[Refusal]]] = set()
        self.starts: deque[SinkUnavailableError] = deque()
        self.started = 0

    async def start(self) -> None:
        if self.starts:
            raise self.starts.popleft()
        missing = [topic for topic in self._topics if topic not in self._log.topics]
        if missing:
            raise SinkUnavailableError("topic_missing", ", ".join(missing))
        self._trouble = None
        self.started += 1

    async def send(self, batch: OutboundBatch) -> Awaitable[Sequence[Refusal]]:
        self._check()
        task = asyncio.create_task(self._deliver(batch))
        self._waiting.add(task)
        task.add_done_callback(self._forget)
        return task

    async def close(self, timeout_s: float) -> None:
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=timeout_s)
        self._trouble = SinkUnavailableError("closed", "the sink was closed")

    def hold(self) -> None:
        """Acknowledge nothing until `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def fail(self, reason: str = "client_failed") -> None:
        """Break: what is under way is not written, nothing more is taken until `start`."""
        self._trouble = SinkUnavailableError(reason, "made to fail")
        self._open.set()

    async def _deliver(self, batch: OutboundBatch) -> Sequence[Refusal]:
        await self._open.wait()
        self._check()
        return [refusal for part in batch.slices for refusal in self._write(part)]

    def _write(self, part: OutboundSlice) -> list[Refusal]:
        partitions = self._log.topics[part.topic]
        refusals: list[Refusal] = []
        headers = part.headers or [()] * len(part.rows)
        for key, value, head, row in zip(
            part.keys, part.values, headers, part.rows, strict=True
        ):
            if self._refuses(part.topic, key, value):
                refusals.append(Refusal(part.topic, row, "refused by the test"))
            else:
                partitions[part.partition % len(partitions)].append(Stored(key, value, head))
        self._log.grown.set()
        return refusals

    def _check(self) -> None:
        if self._trouble is not None:
            raise SinkUnavailableError(self._trouble.reason, str(self._trouble))

    def _forget(self, task: asyncio.Task[Sequence[Refusal]]) -> None:
        self._waiting.discard(task)
        if not task.cancelled():
            task.exception()


class MemoryTransactions:
    """Writes to a `MemoryLog` by transactions, one at a time per input partition.

    What is sent is seen when its offsets are committed. `fail` breaks it until `start`; the
    partitions that somebody else began belong to that one.
    """

    atomic = True

    def __init__(self, log: MemoryLog, topics: Sequence[str], events: str) -> None:
        self._log = log
        self._topics = tuple(topics)
        self._events = events
        self._trouble: SinkUnavailableError | None = SinkUnavailableError("not_started", "")
        self._open: dict[int, list[OutboundSlice]] = {}
        self._commits = asyncio.Event()
        self._commits.set()
        self.began: list[frozenset[int]] = []
        self.commits = 0
        self.in_doubt = 0
        """So many of the next commits succeed, and the answer is lost."""

    async def start(self) -> None:
        self._open.clear()
        missing = [topic for topic in self._topics if topic not in self._log.topics]
        if missing:
            raise SinkUnavailableError("topic_missing", ", ".join(missing))
        self._trouble = None

    async def begin(self, partitions: Collection[int]) -> None:
        self._check()
        self.began.append(frozenset(partitions))
        for partition in partitions:
            self._open[partition] = []
            self._log.writers[partition] = self

    async def end(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self._open.pop(partition, None)

    async def send(self, batch: OutboundBatch) -> Awaitable[Sequence[Refusal]]:
        self._check()
        for part in batch.slices:
            self._mine(part.partition).append(part)
        answer: asyncio.Future[Sequence[Refusal]] = asyncio.get_running_loop().create_future()
        answer.set_result([])
        return answer

    async def commit(
        self, offsets: Mapping[int, int], state: OutboundBatch
    ) -> Sequence[Refusal]:
        self._check()
        await self._commits.wait()
        await asyncio.sleep(0)
        self._check()
        for part in state.slices:
            self._mine(part.partition).append(part)
        for partition in {*offsets, *(part.partition for part in state.slices)}:
            for part in self._mine(partition):
                self._write(part)
            self._open[partition] = []
        for partition, offset in offsets.items():
            self._log.committed[self._events, partition] = offset
        self._log.grown.set()
        self.commits += 1
        if self.in_doubt:
            self.in_doubt -= 1
            self.fail("timeout")
            self._check()
        return []

    def hold(self) -> None:
        """Let commits wait until `release`."""
        self._commits.clear()

    def release(self) -> None:
        self._commits.set()

    def fail(self, reason: str = "client_failed") -> None:
        self._trouble = SinkUnavailableError(reason, "made to fail")

    async def close(self, timeout_s: float) -> None:
        self._trouble = SinkUnavailableError("closed", "the sink was closed")

    def _mine(self, partition: int) -> list[OutboundSlice]:
        if self._log.writers.get(partition) is not self or partition not in self._open:
            self._trouble = SinkUnavailableError("fenced", f"{partition} is somebody else's")
            raise self._trouble
        return self._open[partition]

    def _write(self, part: OutboundSlice) -> None:
        partitions = self._log.topics[part.topic]
        headers = part.headers or [()] * len(part.rows)
        partitions[part.partition % len(partitions)].extend(
            Stored(key, value, head)
            for key, value, head in zip(part.keys, part.values, headers, strict=True)
        )

    def _check(self) -> None:
        if self._trouble is not None:
            raise SinkUnavailableError(self._trouble.reason, str(self._trouble))


class MemoryStateLog:
    """Follows a topic of a `MemoryLog` from its beginning."""

    def __init__(self, log: MemoryLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._next: dict[int, int] = {}
        self._connected = False
        self.starts: deque[SourceUnavailableError] = deque()

    async def start(self) -> None:
        if self.starts:
            raise self.starts.popleft()
        if self._topic not in self._log.topics:
            raise SourceUnavailableError(f"topic `{self._topic}` does not exist")
        for partition in range(len(self._log.topics[self._topic])):
            self._next.setdefault(partition, 0)
        self._connected = True

    async def poll(self, timeout_s: float) -> Sequence[StateRecord]:
        self._alive()
        await asyncio.sleep(0.005)  # other readers of the log wait for its event
        self._alive()
        return self._take()

    def _take(self) -> list[StateRecord]:
        found: list[StateRecord] = []
        for partition, at in self._next.items():
            records = self._log.topics[self._topic][partition][at:]
            found += [StateRecord(record.key, record.value) for record in records]
            self._next[partition] = at + len(records)
        return found

    async def remaining(self) -> int:
        self._alive()
        ends = self._log.topics[self._topic]
        return sum(len(ends[partition]) - at for partition, at in self._next.items())

    def reread(self) -> None:
        self._next = dict.fromkeys(self._next, 0)

    def break_(self) -> None:
        """Lose the connection until `start`."""
        self._connected = False

    async def close(self, timeout_s: float) -> None:
        self._connected = False

    def _alive(self) -> None:
        if not self._connected:
            raise SourceUnavailableError("not connected")


class MemoryRegistry:
    """A schema registry that can be away, and counts what it is asked.

    While `held`, no question gets an answer.
    """

    def __init__(self, schemas: Mapping[SchemaId, Schema]) -> None:
        self.schemas = dict(schemas)
        self.away: RegistryUnavailableError | None = None
        self.asked: list[SchemaId] = []
        self.closed = 0
        self._open = asyncio.Event()
        self._open.set()

    async def schema(self, schema_id: SchemaId) -> Schema:
        self.asked.append(schema_id)
        await self._open.wait()
        if self.away is not None:
            raise RegistryUnavailableError(self.away.reason, str(self.away))
        return self.schemas.get(schema_id, UnknownSchema("not there"))

    async def close(self) -> None:
        self.closed += 1

    def leave(self) -> None:
        """Refuse every connection until `come_back`."""
        self.away = RegistryUnavailableError("registry_unreachable", "connection refused")

    def come_back(self) -> None:
        self.away = None

    def hold(self) -> None:
        """Answer nothing until `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()
