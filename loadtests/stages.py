"""`python -m loadtests.stages`: what each stage of the sidecar costs alone, without a broker.

Each stage is run on batches of the size that it gets under full load, the parts being those
that the service puts together for `contestants/sidecar.yaml`. The best of many turns counts:
what is above it is the machine's doing. When the race gets slower, this names the stage.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from loadtests import data
from loadtests.bundle import MODEL, build_bundle
from loadtests.contestants import HERE
from sidecar.adapters.kafka_batches import Run, pack
from sidecar.adapters.kafka_records import as_it_is, record_batch
from sidecar.adapters.onnx_model import OnnxModel
from sidecar.app.assembly import Assembly, assemble
from sidecar.cli.run import calm_collector
from sidecar.clock import SystemClock
from sidecar.config.load import load_settings
from sidecar.events import DecisionBatch, Decoded, OutboundBatch, RecordBatch, ScoreBatch
from sidecar.pipeline.features import Vectoriser
from sidecar.pipeline.interpret import Interpreter
from sidecar.ports import RawOutputs, Tensors

PARTITIONS = 4
BATCHES = 4
"""In a turn."""
RECORDS = 4_096
TURNS = 25
EVALUATIONS_A_MINUTE = 13
"""One for the pane and one for each scrape, at `data.EVENT_RATE` events per second."""
_BATCH_BYTES = 1_000_000

Wire = Mapping[TopicPartition, bytes]


class Line:
    """The stages in their order; each takes what the one before left, and leaves its own."""

    records: RecordBatch
    decoded: Decoded
    tensors: Tensors
    outputs: RawOutputs
    scores: ScoreBatch
    decisions: DecisionBatch
    outbound: OutboundBatch

    def __init__(self, parts: Assembly) -> None:
        """Take the parts of a service."""
        manifest = parts.bundle.manifest
        self._model = OnnxModel.open(MODEL.read_bytes(), threads=1)
        self._stages = parts.stages(_Direct(self._model))
        self._vectoriser = Vectoriser(manifest)
        self._interpreter = Interpreter(manifest.model, parts.settings.confidence.measure)
        self.parts = parts
        self.wire: Wire = {}

    def read(self) -> None:
        """Bytes of a fetch to a batch of records, checksums verified."""
        found = {tp: list(_fetched(tp, raw)) for tp, raw in self.wire.items()}
        self.records = record_batch("events", found)

    def decode(self) -> None:
        """JSON to columns."""
        self.decoded = self._stages.decoder.decode(self.records)

    def check(self) -> None:
        """Faults of quality."""
        self.decoded = self._stages.checker.check(self.decoded)

    def vectorise(self) -> None:
        """Columns to tensors."""
        self.tensors = self._vectoriser.tensors(self.decoded.events.features)

    def score(self) -> None:
        """The model, in one thread."""
        self.outputs = self._model.run(self.tensors)

    def interpret(self) -> None:
        """Label, score and confidence."""
        self.scores = self._interpreter.interpret(self.outputs, len(self.decoded.events))

    def decide(self) -> None:
        """The model's answer, or the fallback chain's."""
        self.decisions = self._stages.decider.decide(self.decoded.events, self.scores)

    def encode(self) -> None:
        """Decisions to JSON."""
        self.outbound = self._stages.encode(self.decisions, self.decoded.rejections)

    def write(self) -> None:
        """Records to the bytes of a produce request."""
        for part in self.outbound.slices:
            run = Run(part, part.partition, 0, len(part.rows))
            for packed in pack(run, _new_batch, _BATCH_BYTES, needs_key=False)[0]:
                packed.batch._build()  # what the client does before it sends

    def count(self) -> None:
        """The counters of the metrics."""
        self.parts.metrics.settled(
            self.decisions, self.decoded.rejections, tombstones=0, now_ms=_now_ms()
        )

    def observe(self) -> None:
        """Drift: into cells, panes and windows."""
        self.parts.observers.settled(self.decisions, self.decoded.rejections)

    def evaluate(self) -> None:
        """All drift statistics of all windows; once a pane and a scrape, not once a batch."""
        self.parts.drift.snapshot()

    @property
    def stages(self) -> tuple[Callable[[], None], ...]:
        """All of them, in order."""
        return (
            self.read, self.decode, self.check, self.vectorise, self.score, self.interpret,
            self.decide, self.encode, self.write, self.count, self.observe,
        )  # fmt: skip


class _Direct:
    """Runs the model where it is called."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model

    async def score(self, tensors: Tensors) -> RawOutputs:
        return self._model.run(tensors)

    async def close(self) -> None:
        """Has nothing to release."""


def line(bundle: Path) -> Line:
    """Put the stages of a service together.

    Args:
        bundle: As `bundle.build_bundle` made it.
    """
    environment = {
        "BENCH_BROKERS": "localhost:9092",
        "BENCH_GROUP": "stages",
        "BENCH_EVENTS": "events",
        "BENCH_DECISIONS": "decisions",
        "BENCH_DEAD_LETTERS": "dead-letters",
        "BENCH_STATE": "state",
        "BENCH_SIGNALS": "signals",
        "BENCH_METRICS": "1",
        "BENCH_ADMIN": "2",
        "BENCH_BUNDLE": str(bundle),
    }
    settings = load_settings(HERE / "sidecar.yaml", environment)
    return Line(assemble(settings, SystemClock()))


def measure(line: Line, records: int = RECORDS) -> dict[str, float]:
    """Give the CPU microseconds per event of each stage.

    Args:
        line: The stages.
        records: Of a batch; a multiple of `PARTITIONS`.
    """
    # Of records that were counted before, the observers would count nothing.
    batches = wire_batches(records, BATCHES * TURNS)
    calm_collector()  # as in the service
    turns = [_turn(line, list(islice(batches, BATCHES)), records) for _ in range(TURNS)]
    return {name: min(turn[name] for turn in turns) for name in turns[0]}


def evaluation_ms(line: Line) -> float:
    """Give the CPU milliseconds of all statistics of all windows, once: a turn of a pane."""
    spent = []
    for _ in range(TURNS):
        began = time.process_time()
        line.evaluate()
        spent.append(time.process_time() - began)
    return min(spent) * 1e3


def _turn(line: Line, batches: Sequence[Wire], records: int) -> dict[str, float]:
    """Send every batch down the line once."""
    spent = dict.fromkeys((stage.__name__ for stage in line.stages), 0.0)
    for wire in batches:
        line.wire = wire
        for stage in line.stages:
            began = time.process_time()
            stage()
            spent[stage.__name__] += time.process_time() - began
    return {name: cpu_s / (BATCHES * records) * 1e6 for name, cpu_s in spent.items()}


def wire_batches(records: int, batches: int) -> Iterator[Wire]:
    """Give batches as the broker sends them: one batch of the format for each partition.

    Args:
        records: Of a batch; a multiple of `PARTITIONS`.
        batches: How many; offsets and event times go on from one to the next.
    """
    now_ms = _now_ms()
    source = data.records(batches * records, first_ms=now_ms)
    share = records // PARTITIONS
    for number in range(batches):
        yield {
            TopicPartition("events", partition): _packed(
                islice(source, share), number * share, now_ms
            )
            for partition in range(PARTITIONS)
        }


def _packed(records: Iterator[tuple[bytes, bytes]], first_offset: int, now_ms: int) -> bytes:
    batch = _new_batch()
    for key, value in records:
        if batch.append(timestamp=now_ms, key=key, value=value) is None:
            raise ValueError("the records do not fit into one batch")
    # The broker writes the first offset, in front of what the checksum is of.
    return first_offset.to_bytes(8, "big") + bytes(batch._build())[8:]


def _new_batch() -> BatchBuilder:
    return BatchBuilder(_BATCH_BYTES, 0)


def _fetched(tp: TopicPartition, raw: bytes) -> PartitionRecords:
    return PartitionRecords(tp, MemoryRecords(raw), [], 0, as_it_is, None, True, READ_COMMITTED)


def _now_ms() -> int:
    return SystemClock().now_ms()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS, help="of a batch: 8, 4096 ...")
    records = max(PARTITIONS, parser.parse_args().records // PARTITIONS * PARTITIONS)
    with tempfile.TemporaryDirectory() as folder:
        parts = line(build_bundle(Path(folder)))
    stages = measure(parts, records)
    whole = sum(stages.values())
    for name, us in [*stages.items(), ("sum", whole)]:
        print(f"{name:10} {us:6.2f} µs/event")
    print(f"a batch of {records:,}: {whole * records / 1e3:.2f} ms")
    once_ms = evaluation_ms(parts)
    evaluated = once_ms * 1e3 * EVALUATIONS_A_MINUTE / (60 * data.EVENT_RATE)
    watching = stages["count"] + stages["observe"] + evaluated
    print(f"all statistics of all windows: {once_ms:.2f} ms, {evaluated:.2f} µs/event")
    print(f"observe, count and this: {watching / (whole + evaluated):.1%} of all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
