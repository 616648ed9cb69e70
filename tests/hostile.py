"""A source and a sink that take their time in every call, so that everything can interleave.

They stand on the fakes of `tests.fakes` and are as contrary as the ports allow: a rebalance
runs while the worker does anything at all, records are handed out during a revocation unless
they are paused, a commit is judged when it arrives and not when it was sent, a batch that fails
may be written in part. They also keep the books that a broker cannot: what was handed out, what
was written in which order, and whether a commit came too early.
"""

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from sidecar.errors import OwnershipLostError, SinkUnavailableError, SourceUnavailableError
from sidecar.events import OutboundBatch, OutboundSlice, RecordBatch, Refusal
from sidecar.ports import Lag, PartitionListener
from tests.fakes import MemoryLog, MemorySink, MemorySource, Stored


class Place(NamedTuple):
    """Where a record stands on the events topic."""

    partition: int
    offset: int


@dataclass
class Journal:
    """What happened to each record of the events topic, in order of time."""

    log: MemoryLog
    events: str
    decided: list[Place] = field(default_factory=list)
    buried: list[Place] = field(default_factory=list)
    values: dict[Place, set[bytes]] = field(default_factory=dict)
    """Every value that was written as the decision of a record."""
    elsewhere: set[Place] = field(default_factory=set)
    """Finished by another member of the group."""

    def written(self, part: OutboundSlice, refused: Collection[int], *, decides: bool) -> None:
        """Note what a slice brought onto its topic."""
        headers = part.headers or [()] * len(part.rows)
        for value, head, row in zip(part.values, headers, part.rows, strict=True):
            if row in refused:
                continue
            if decides:
                assert value is not None
                place = place_of(msgspec.json.decode(value)["event_id"])
                self.decided.append(place)
                self.values.setdefault(place, set()).add(value)
            else:
                said = {name: text for name, text in head if text is not None}
                self.buried.append(
                    Place(
                        int(said["sidecar.error.partition"]), int(said["sidecar.error.offset"])
                    )
                )

    def finished(self) -> set[Place]:
        """Give the records that have an outcome; a tombstone needs none."""
        return self.elsewhere | set(self.decided) | set(self.buried) | self._tombstones()

    def unfinished(self) -> set[Place]:
        """Give the records that have none."""
        return {
            Place(partition, offset)
            for partition, records in enumerate(self.log.topics[self.events])
            for offset in range(len(records))
        } - self.finished()

    def _tombstones(self) -> set[Place]:
        return {
            Place(partition, offset)
            for partition, records in enumerate(self.log.topics[self.events])
            for offset, record in enumerate(records)
            if record.readable and record.value is None
        }


def event(partition: int, offset: int, amount: float) -> bytes:
    """Give an event that says where it stands."""
    name = f"{partition}-{offset}"
    return msgspec.json.encode({"id": name, "features": {"amount": amount}})


def place_of(event_id: str) -> Place:
    """Undo `event`."""
    partition, offset = event_id.split("-")
    return Place(int(partition), int(offset))


class Pace:
    """How long a call takes: mostly no time at all, sometimes long."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.quick = False
        """Whether calls end at once."""

    async def take(self) -> None:
        slow = self.rng.choice((0.0, 0.0, 0.001, 0.01, 0.2))
        await asyncio.sleep(0.0 if self.quick else slow)


class SlowSource(MemorySource):
    """A member of a group whose other members come and go at any moment."""

    def __init__(self, journal: Journal, pace: Pace) -> None:
        super().__init__(journal.log, journal.events)
        self._journal = journal
        self._pace = pace
        self._session = 0
        self._generation = 0
        self._turn = asyncio.Lock()
        self._call: asyncio.Future[None] | None = None
        self.handed: set[Place] = set()
        """What was handed out and not taken back by a rebalance."""

    @property
    def share(self) -> set[int]:
        """The partitions that are ours."""
        return set(self._positions)

    async def start(self, listener: PartitionListener) -> None:
        await self._pace.take()
        self._fail("start")
        self._session += 1
        self._listener = listener
        await self.deal(range(len(self.log.topics[self._topic])))

    async def deal(self, partitions: Collection[int]) -> None:
        async with self._turn:
            session, listener = self._session, self._listener
            if listener is None:
                return
            if self._positions:
                self._call = asyncio.ensure_future(listener.revoked(set(self._positions)))
                await asyncio.wait((self._call,))
                if session == self._session:
                    self._positions = {}
                    self.handed.clear()
            self._generation += 1
            await self._pace.take()
            if session != self._session or self._listener is None:
                return
            self._positions = {p: self._first(p) for p in partitions}
            self._paused = set(partitions)
            self.handed.clear()
            await listener.assigned(set(partitions))
            self.log.grown.set()

    async def poll(self, max_records: int, timeout_s: float) -> RecordBatch | None:
        batch = await super().poll(max_records, timeout_s)
        if batch is not None:
            for span in batch.spans:
                offsets = batch.offsets[span.start : span.stop].tolist()
                self.handed |= {Place(span.partition, offset) for offset in offsets}
        return batch

    async def rewind(self, partitions: Collection[int], positions: Mapping[int, int]) -> None:
        await super().rewind(partitions, positions)
        await self._pace.take()

    async def commit(self, offsets: Mapping[int, int]) -> None:
        self._alive()
        generation = self._generation
        await self._pace.take()
        self._fail("commit")
        if generation != self._generation:
            raise OwnershipLostError("the group has moved on")
        self._alive()
        unfinished = self._journal.unfinished()
        for partition, offset in offsets.items():
            early = [
                at for at in unfinished if at.partition == partition and at.offset < offset
            ]
            assert not early, f"{offset} was committed before {early} had an outcome"
            before = self.log.committed[self._topic, partition]
            assert offset >= before, f"partition {partition} went back: {before} to {offset}"
        await super().commit(offsets)
        await self._pace.take()  # the answer may be late

    async def lag(self) -> Mapping[int, Lag]:
        await self._pace.take()
        return await super().lag()

    async def close(self, timeout_s: float) -> None:
        self._session += 1
        await super().close(timeout_s)
        await self._pace.take()
        if self._call is not None:  # a client that is closed ends its tasks
            self._call.cancel()

    def break_down(self) -> None:
        """Make the next poll find the client broken."""
        if self._listener is not None:
            self.faults["poll"].append(SourceUnavailableError("the client broke"))
            self.log.grown.set()


class SlowSink(MemorySink):
    """Delivers one batch at a time, each after a while; a failure may leave half a batch."""

    def __init__(
        self, journal: Journal, pace: Pace, decisions: str, letters: str, worst: bytes
    ) -> None:
        super().__init__(journal.log, (decisions, letters), refuses=self._refused)
        self._journal = journal
        self._pace = pace
        self._decisions = decisions
        self._worst = worst
        self._line = asyncio.Lock()
        self._dead = False

    def _refused(self, topic: str, key: bytes | None, _value: bytes | None) -> bool:
        refused_decision = topic == self._decisions and key is not None and key[:3] == b"bad"
        return refused_decision or key == self._worst

    async def start(self) -> None:
        async with self._line:
            self._trouble = SinkUnavailableError("starting", "is being built")
            await self._pace.take()
            await super().start()

    async def _deliver(self, batch: OutboundBatch) -> Sequence[Refusal]:
        async with self._line:
            self._check()
            await self._open.wait()
            await self._pace.take()
            if self._trouble is not None and self._pace.rng.random() < 0.5:
                for part in batch.slices[: self._pace.rng.randrange(len(batch.slices) + 1)]:
                    self._write(part)
            return await super()._deliver(batch)

    def _write(self, part: OutboundSlice) -> list[Refusal]:
        refusals = super()._write(part)
        self._journal.written(
            part, {r.row for r in refusals}, decides=part.topic == self._decisions
        )
        return refusals

    def cut(self) -> None:
        """End as a killed process does: nothing more arrives."""
        self._dead = True

    def _check(self) -> None:
        if self._dead:
            raise SinkUnavailableError("dead", "the process was killed")
        super()._check()


__all__ = ["Journal", "Pace", "Place", "SlowSink", "SlowSource", "Stored", "event", "place_of"]
