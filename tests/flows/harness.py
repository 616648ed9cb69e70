"""The whole sidecar in memory: bytes in, bytes and metrics out; tests steer the model."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from opentelemetry.trace import Tracer

from sidecar.bundle.manifest import (
    Feature,
    FeatureType,
    Manifest,
    ModelInput,
    ModelSpec,
    ReferenceProfile,
    SubjectDispersions,
    Task,
    WindowCalibration,
)
from sidecar.bundle.profile import build_profile
from sidecar.clock import Clock, SystemClock
from sidecar.config.settings import RegistrySettings, SidecarSettings
from sidecar.errors import ScorerUnavailableError
from sidecar.events import Features, Headers, RejectCode, Signal
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.quality import QualityMonitor
from sidecar.pipeline.breaker import CircuitBreaker
from sidecar.pipeline.check import Checker
from sidecar.pipeline.decide import Decider
from sidecar.pipeline.decode import EventDecoder
from sidecar.pipeline.encode import CONTENT_TYPE, Encoder
from sidecar.pipeline.envelope import envelope
from sidecar.pipeline.features import Vectoriser
from sidecar.pipeline.interpret import Interpreter
from sidecar.pipeline.join import Joiner
from sidecar.ports import Observer, RawOutputs, Tensors
from sidecar.runtime.health import Health, State
from sidecar.runtime.observers import Observers
from sidecar.runtime.retry import backoff
from sidecar.runtime.schemas import SchemaBook
from sidecar.runtime.scoring import Scoring
from sidecar.runtime.signals import SignalOutbox, SignalWriter
from sidecar.runtime.stages import Stages
from sidecar.runtime.state import StateKeeper
from sidecar.runtime.worker import Worker
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.spans import BatchSpans
from sidecar.telemetry.status import ModelView, TopicsView
from sidecar.telemetry.timing import StageTimes
from tests.fakes import (
    MemoryLog,
    MemoryRegistry,
    MemorySink,
    MemorySource,
    MemoryStateLog,
    MemoryTransactions,
    Stored,
)

EVENTS, DECISIONS, LETTERS = "credit.events", "credit.decisions", "credit.dead-letters"
STATE = "credit.state"
SIGNALS = "credit.signals"
REGISTRY = RegistrySettings(url="http://registry:8081")
POISON = 666.0
"""An amount that the model cannot bear."""

MANIFEST = Manifest(
    format=1,
    name="credit",
    version="7",
    created="2026-01-01T00:00:00Z",
    model=ModelSpec(
        task=Task.BINARY,
        inputs=(ModelInput(name="X", dtype="float32", features=("amount",)),),
        scores=("probabilities",),
        labels=("refuse", "approve"),
    ),
    features=(Feature(name="amount", type=FeatureType.FLOAT),),
    files={"model.onnx": "0" * 64},
)


def reference() -> ReferenceProfile:
    amounts = np.linspace(0.0, 100.0, 1_001)
    approve = amounts / 100
    return build_profile(
        MANIFEST.features,
        Features(amounts[:, None], {}),
        approve,
        {"max_probability": np.maximum(approve, 1 - approve)},
        (approve >= 0.5).astype(np.int32),
        MANIFEST.model.labels,
        Task.BINARY,
    )


def calibrated(profile: ReferenceProfile, *lengths_ms: int) -> ReferenceProfile:
    """Give a reference that knows windows of these lengths: its events are independent."""
    one = 1.0
    subjects = SubjectDispersions(
        features=dict.fromkeys(profile.features, one),
        score=one,
        confidence=dict.fromkeys(profile.confidence, one),
        label=one,
    )
    known = tuple(
        WindowCalibration(
            reference="overall", length_ms=length, windows=100, records=300, subjects=subjects
        )
        for length in lengths_ms
    )
    return replace(profile, calibration=known)


class SteeredScorer:
    """Approves with probability amount / 100; fails when told, or when a row is poison."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.calls: list[int] = []
        self.thinks: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)
        """How long a call takes."""

    async def score(self, tensors: Tensors) -> RawOutputs:
        amounts = tensors["X"][:, 0].astype(np.float64)
        self.calls.append(len(amounts))
        await self.thinks()
        if self.failure is not None:
            raise self.failure
        if np.any(amounts == POISON):
            raise ScorerUnavailableError("poison")
        approve = np.clip(amounts / 100, 0, 1)
        return {"probabilities": np.column_stack([1 - approve, approve])}

    async def close(self) -> None:
        return None


@dataclass
class Sidecar:
    """A running worker and everything around it."""

    log: MemoryLog
    source: MemorySource
    sink: MemorySink | MemoryTransactions
    scorer: SteeredScorer
    worker: Worker
    metrics: Metrics
    health: Health
    drift: DriftMonitor
    quality: QualityMonitor
    keeper: StateKeeper | None = None
    spans: BatchSpans | None = None
    ended: "asyncio.Task[bool] | None" = None
    sent: int = field(default=0)

    def send(
        self,
        *events: Mapping[str, Any] | bytes | None,
        key: bytes | None = b"k",
        headers: Headers = (),
    ) -> None:
        """Put events on the topic, round robin over its partitions."""
        for event in events:
            value = event if isinstance(event, bytes | None) else msgspec.json.encode(event)
            partition = self.sent % len(self.log.topics[EVENTS])
            self.log.write(EVENTS, partition, Stored(key, value, tuple(headers)))
            self.sent += 1

    def send_amounts(self, *amounts: float) -> None:
        for at, amount in enumerate(amounts, start=self.sent):
            self.send({"id": f"e{at}", "features": {"amount": amount}})

    def decisions(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(value) for value in self.log.values(DECISIONS) if value]

    def signals(self) -> list[Signal]:
        return [msgspec.json.decode(v, type=Signal) for v in self.log.values(SIGNALS) if v]

    def letters(self) -> list[Stored]:
        return [record for part in self.log.topics[LETTERS] for record in part]

    def codes(self) -> list[str]:
        codes = [dict(letter.headers)["sidecar.error.code"] for letter in self.letters()]
        return [code.decode() for code in codes if code is not None]

    def answers(self) -> dict[str, tuple[str, str, str | None]]:
        """Give (source, reason, label) by event id."""
        return {
            d["event_id"]: (d["source"], d["reason"], d.get("label")) for d in self.decisions()
        }

    def sample(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(name, labels)
        return 0.0 if value is None else value

    def books(self) -> tuple[float, float]:
        """Give (received, what became of them): equal when idle."""
        out = 0.0
        for family in self.metrics.registry.collect():
            if family.name in (
                "sidecar_decisions",
                "sidecar_records_rejected",
                "sidecar_tombstones",
                "sidecar_records_joined",
                "sidecar_records_returned",
            ):
                out += sum(s.value for s in family.samples if s.name.endswith("_total"))
        return self.sample("sidecar_records_received_total"), out

    async def until(self, fact: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Let the loop run until something is so."""
        async with asyncio.timeout(timeout_s):
            while not fact():  # noqa: ASYNC110  the fact may be any, so nobody can set an event
                await asyncio.sleep(0.002)

    async def drained(self) -> None:
        """Wait until every record has an outcome."""
        await self.until(
            lambda: (
                sum(self.worker.tracker.positions().values()) >= self.sent
                and not self.worker.tracker.unsettled()
            )
        )


def settings(**sections: Any) -> SidecarSettings:
    tree: dict[str, Any] = {
        "kafka": {"bootstrap_servers": ["memory:1"], "group": "credit-sidecar"},
        "topics": {"events": EVENTS, "decisions": DECISIONS, "dead_letters": LETTERS},
        "model": {"bundle": "unused"},
        "name": "credit",
        "delivery": {"commit_interval": "20ms"},
    }
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section}
    return msgspec.convert(tree, SidecarSettings, dec_hook=_value)


def _value(kind: Any, raw: Any) -> Any:
    if kind is object:
        return raw
    return kind.parse(raw) if hasattr(kind, "parse") else kind(raw)


def written(log: MemoryLog, partitions: int, topics: tuple[str, ...]) -> MemoryLog:
    """Create the topics of a sidecar."""
    log.create(EVENTS, partitions)
    for topic in topics:
        log.create(topic, partitions)
    return log


@asynccontextmanager
async def running(
    *,
    partitions: int = 1,
    threshold: float = 0.0,
    clock: Clock | None = None,
    topics: tuple[str, ...] = (DECISIONS, LETTERS),
    refuses: Callable[[str, bytes | None, bytes | None], bool] = lambda *_: False,
    observers: tuple[Observer, ...] = (),
    source: MemorySource | None = None,
    sink: MemorySink | MemoryTransactions | None = None,
    state: str | None = None,
    registry: MemoryRegistry | None = None,
    profile: ReferenceProfile | None = None,
    tracer: Tracer | None = None,
    **sections: Any,
) -> Any:
    """Run a sidecar; leaving the block drains it, and fails the test when that does not end."""
    made = build(
        partitions=partitions,
        threshold=threshold,
        clock=clock,
        topics=topics,
        refuses=refuses,
        observers=observers,
        source=source,
        sink=sink,
        state=state,
        registry=registry,
        profile=profile,
        tracer=tracer,
        **sections,
    )
    made.ended = asyncio.create_task(made.worker.run())
    try:
        yield made
    finally:
        made.worker.stop()
        async with asyncio.timeout(5):
            await asyncio.wait((made.ended,))
        made.ended.result()


def build(
    *,
    partitions: int,
    threshold: float,
    clock: Clock | None,
    topics: tuple[str, ...],
    refuses: Callable[[str, bytes | None, bytes | None], bool],
    observers: tuple[Observer, ...],
    source: MemorySource | None = None,
    sink: MemorySink | MemoryTransactions | None = None,
    state: str | None = None,
    registry: MemoryRegistry | None = None,
    profile: ReferenceProfile | None = None,
    tracer: Tracer | None = None,
    **sections: Any,
) -> Sidecar:
    config = settings(**sections)
    clock = clock or SystemClock()
    log = source.log if source is not None else written(MemoryLog(), partitions, topics)
    scorer = SteeredScorer()
    profile = profile or reference()
    drift = DriftMonitor(MANIFEST, profile, config.monitors)
    rules = [rule.name for rule in config.fallback.rules]
    quality = QualityMonitor(
        MANIFEST, profile, config.monitors, rules, compares=config.model.shadow
    )
    model = ModelView(name="credit", version="7", digest="0" * 64, task="binary")
    times = StageTimes(clock)
    spans = None
    if tracer is not None:
        topics_view = TopicsView(events=EVENTS, decisions=DECISIONS, dead_letters=LETTERS)
        links = config.traces.links
        spans = BatchSpans(
            clock, times, topics=topics_view, group="credit-sidecar", model=model, links=links
        )
        spans.start(tracer)
        observers = (*observers, spans)
    watching: tuple[Observer, ...] = (drift, quality, *observers)
    metrics = Metrics(
        clock,
        topic=EVENTS,
        model=model,
        rules=rules,
        observers=[observer.name for observer in watching],
    )
    if spans is not None:
        metrics.trace_by(spans.trace_of)
    checker = Checker(MANIFEST, profile, config.input)
    stages = Stages(
        decoder=EventDecoder(MANIFEST, config.input, config.limits),
        checker=checker,
        scoring=Scoring(
            checker=checker,
            vectoriser=Vectoriser(MANIFEST),
            scorer=scorer,
            interpreter=Interpreter(MANIFEST.model, config.confidence.measure),
            breaker=CircuitBreaker(config.breaker),
            clock=clock,
            metrics=metrics,
            shadow=CircuitBreaker(config.breaker) if config.model.shadow else None,
        ),
        decider=Decider(MANIFEST, config.fallback, threshold),
        encoder=Encoder(
            MANIFEST,
            DECISIONS,
            LETTERS,
            "0.1.0",
            config.output,
            envelope(config.output, "credit", CONTENT_TYPE),
            propagate=config.traces.propagate,
        ),
        metrics=metrics,
        times=times,
        spans=spans,
        joiner=(
            Joiner(MANIFEST, config.input, config.limits)
            if config.input.format == "kserve"
            else None
        ),
    )
    source = source or MemorySource(log, EVENTS)
    written_to = (DECISIONS, LETTERS) if state is None else (DECISIONS, LETTERS, STATE)
    sink = sink or MemorySink(log, written_to, refuses=refuses)
    health = Health(State.READY)
    guarded = Observers(watching, metrics)
    keeper = None
    if state is not None:
        keeper = StateKeeper(
            log=MemoryStateLog(log, STATE),
            topic=STATE,
            monitors=[drift, quality],
            observers=guarded,
            metrics=metrics,
            writer=state,
            clock=clock,
            backoff=lambda: backoff(random.Random(1)),
        )
    book = None
    if registry is not None:
        book = SchemaBook(registry, config.registry or REGISTRY, clock, metrics)
    outbox = SignalOutbox(
        drift.alerts,
        MemorySink(log, (SIGNALS,)),
        writer=SignalWriter(name="credit", model=MANIFEST.name, version=MANIFEST.version),
        topic=SIGNALS,
        stored=keeper is not None,
        metrics=metrics,
        backoff=lambda: backoff(random.Random(1)),
    )
    worker = Worker(
        source=source,
        sink=sink,
        stages=stages,
        observers=guarded,
        settings=config,
        clock=clock,
        metrics=metrics,
        health=health,
        jitter=random.Random(1),
        keeper=keeper,
        ledger=sink if isinstance(sink, MemoryTransactions) else None,
        schemas=book,
        outbox=outbox,
    )
    return Sidecar(
        log, source, sink, scorer, worker, metrics, health, drift, quality, keeper, spans
    )


CODES = frozenset(code.value for code in RejectCode)
