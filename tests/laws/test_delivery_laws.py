"""Law: whatever fails, comes or goes, each record gets its outcome, and the books balance.

The whole worker runs between a source and a sink that interleave everything they may, through
any sequence of faults and in virtual time. Then all is mended, and it must drain.

`DELIVERY_EXAMPLES=5000` looks longer than the every-day run does.
"""

import asyncio
import os
import random
from collections.abc import Callable
from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.errors import OwnershipLostError, SinkUnavailableError, SourceUnavailableError
from tests.fakes import MemoryLog, Stored
from tests.flows.harness import DECISIONS, EVENTS, LETTERS, Sidecar, build, written
from tests.hostile import Journal, Pace, Place, SlowSink, SlowSource, event
from tests.virtual_time import LoopClock, run_virtually

PARTITIONS = 3
LIMIT, BATCH = 6, 4
WORST = b"worst"
"""A key that the broker takes on no topic."""
STOP_S = 20.0
"""What a sidecar gets for ending by itself."""
EXAMPLES = int(os.environ.get("DELIVERY_EXAMPLES", "150"))
DRAIN_S = 100.0
"""Below the time after which the worker thinks that its source is stuck."""

STEPS = (
    *("write",) * 4,
    "sink fails",
    "sink cannot start",
    "sink holds",
    "sink goes on",
    "rebalance",
    "rebalance",
    "source breaks",
    "source cannot start",
    "commit is refused",
    "commit is not answered",
    "rewind fails",
    "others work",
    "stop",
    "kill",
)
PAUSES_S = (0.0, 0.001, 0.01, 0.01, 0.1, 0.1, 1.0, 40.0)
Script = list[tuple[str, float]]


class World:
    """A topic, its group, and the sidecar that happens to run."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.log = written(MemoryLog(), PARTITIONS, (DECISIONS, LETTERS))
        self.journal = Journal(self.log, EVENTS)
        self.pace = Pace(self.rng)
        self.rebalances: set[asyncio.Task[None]] = set()
        self.begin()

    def begin(self) -> None:
        """Start a process."""
        self.source = SlowSource(self.journal, self.pace)
        self.sink = SlowSink(self.journal, self.pace, DECISIONS, LETTERS, WORST)
        self.sidecar: Sidecar = build(
            partitions=PARTITIONS,
            threshold=0.0,
            clock=LoopClock(),
            topics=(DECISIONS, LETTERS),
            refuses=lambda *_: False,
            observers=(),
            source=self.source,
            sink=self.sink,
            model={"max_batch_records": BATCH},
            limits={"in_flight_records": LIMIT, "dead_letter_pause": "1s"},
            delivery={"commit_interval": "50ms"},
        )
        self.sidecar.scorer.thinks = self.pace.take
        self.run = asyncio.create_task(self.sidecar.worker.run())

    # --- what may happen ---------------------------------------------------------------------

    async def act(self, step: str) -> None:
        if step == "write" or self.rng.random() < 0.5:  # a fault needs something to hit
            self.write(self.rng.randrange(PARTITIONS), self.rng.randrange(1, 9))
        if step == "rebalance":
            self.deal(self.rng.sample(range(PARTITIONS), self.rng.randrange(PARTITIONS + 1)))
        elif step == "others work":
            self.others_work()
        elif step == "stop":
            await self.stop()
            self.begin()
        elif step == "kill":
            await self.kill()
            self.begin()
        elif step != "write":
            self.fault(step)

    def fault(self, step: str) -> None:
        """Let the source or the sink fail, now or with the next call."""
        source, sink = self.source, self.sink
        some = self.rng.randrange(1, 4)
        no_broker = SourceUnavailableError("no broker")
        faults: dict[str, Callable[[], object]] = {
            "sink fails": sink.fail,
            "sink cannot start": lambda: sink.starts.extend(
                [SinkUnavailableError("broker_unreachable", "down")] * some
            ),
            "sink holds": sink.hold,
            "sink goes on": sink.release,
            "source breaks": source.break_down,
            "source cannot start": lambda: source.faults["start"].extend([no_broker] * some),
            "commit is refused": lambda: source.faults["commit"].append(
                OwnershipLostError("rebalancing")
            ),
            "commit is not answered": lambda: source.faults["commit"].append(no_broker),
            "rewind fails": lambda: source.faults["rewind"].append(no_broker),
        }
        faults[step]()

    def write(self, partition: int, count: int) -> None:
        for _ in range(count):
            offset = len(self.log.topics[EVENTS][partition])
            good = event(partition, offset, self.rng.uniform(1, 99))
            self.log.write(
                EVENTS,
                partition,
                self.rng.choice(
                    (
                        *(Stored(b"key", good),) * 8,
                        Stored(b"key", b"{"),
                        Stored(b"key", None),
                        Stored(b"bad", good),
                        Stored(WORST, b"{"),
                        Stored(b"", b"", readable=False),
                    )
                ),
            )

    def deal(self, partitions: list[int]) -> None:
        task = asyncio.create_task(self.source.deal(partitions))
        self.rebalances.add(task)
        task.add_done_callback(self.rebalances.discard)

    def others_work(self) -> None:
        """Let other members finish some records of what is theirs."""
        for partition in set(range(PARTITIONS)) - self.source.share:
            at = self.log.committed.get((EVENTS, partition), 0)
            end = min(len(self.log.topics[EVENTS][partition]), at + self.rng.randrange(5))
            self.journal.elsewhere |= {Place(partition, offset) for offset in range(at, end)}
            self.log.committed[EVENTS, partition] = end

    async def stop(self) -> None:
        """End the process as SIGTERM does, and see that it says the truth."""
        self.sidecar.worker.stop()
        await asyncio.wait((self.run,), timeout=STOP_S)
        if not self.run.done():
            await self.kill()
            return
        clean = self.run.result()
        self.check_books()
        if clean:
            assert not self.source.handed & self.journal.unfinished()
            assert not self.sidecar.worker.tracker.committable()
        await self.leave()
        await self.sink.close(1.0)

    async def kill(self) -> None:
        """End the process in the middle of whatever it does."""
        self.run.cancel()
        self.sink.cut()
        await asyncio.wait((self.run,), timeout=STOP_S)
        assert self.run.done(), "it does not end although it was cancelled"
        with suppress(asyncio.CancelledError):
            self.run.result()
        await self.leave()

    async def leave(self) -> None:
        """Close the source; a client that is closed calls nobody any more."""
        await self.source.close(1.0)
        for rebalance in self.rebalances:
            rebalance.cancel()

    # --- what must hold ----------------------------------------------------------------------

    def check_books(self) -> None:
        received, out = self.sidecar.books()
        assert received == out + self.sidecar.worker.tracker.unsettled()

    def check(self) -> None:
        """See to what holds at any moment."""
        if self.run.done():
            self.run.result()
            raise AssertionError("it ended by itself")
        self.check_books()
        tracker = self.sidecar.worker.tracker
        assert all(tracker.in_flight((p,)) < LIMIT + BATCH for p in range(PARTITIONS))

    async def mend(self) -> None:
        """Take all faults away and wait until everything is done."""
        self.sink.starts.clear()
        for faults in self.source.faults.values():
            faults.clear()
        self.sink.release()
        async with asyncio.timeout(STOP_S):
            if self.rebalances:
                await asyncio.wait(self.rebalances)
        while self.source.share != set(range(PARTITIONS)):
            await self.source.deal(range(PARTITIONS))
            await asyncio.sleep(0.1)
        async with asyncio.timeout(DRAIN_S):
            while self.journal.unfinished() or self.committed() != self.ends():
                await asyncio.sleep(0.1)
                self.check()

    def committed(self) -> list[int]:
        return [self.log.committed.get((EVENTS, p), 0) for p in range(PARTITIONS)]

    def ends(self) -> list[int]:
        return [len(records) for records in self.log.topics[EVENTS]]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    script=st.lists(
        st.tuples(st.sampled_from(STEPS), st.sampled_from(PAUSES_S)), min_size=1, max_size=40
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_record_gets_its_outcome_whatever_happens(script: Script, seed: int) -> None:
    async def story() -> None:
        world = World(seed)
        for step, pause_s in script:
            await world.act(step)
            await asyncio.sleep(pause_s)
            world.check()
        await world.mend()
        world.sidecar.worker.stop()
        assert await asyncio.wait_for(world.run, STOP_S)
        world.check_books()
        assert not world.journal.unfinished()
        for values in world.journal.values.values():
            assert len(values) == 1, "a record was decided again, and differently"
        in_order(world.journal)

    run_virtually(story())


def in_order(journal: Journal) -> None:
    """See that the first decisions of a partition's records rise with their offsets."""
    first = [at for at in dict.fromkeys(journal.decided) if at not in journal.elsewhere]
    for partition in range(PARTITIONS):
        offsets = [at.offset for at in first if at.partition == partition]
        assert offsets == sorted(offsets)
