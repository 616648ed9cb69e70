"""The service: the concrete parts, joined, and their life from start to exit code."""

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from uuid import uuid4

import structlog

from sidecar import __version__
from sidecar.adapters.http import HttpServer
from sidecar.adapters.kafka_sink import KafkaSink
from sidecar.adapters.kafka_source import KafkaSource
from sidecar.adapters.kafka_state import KafkaStateLog
from sidecar.adapters.kafka_transactions import KafkaTransactions
from sidecar.adapters.onnx_scorer import OnnxScorer
from sidecar.app.assembly import Assembly, assemble, topics_view
from sidecar.app.registry import schema_book
from sidecar.app.tracing import Tracing
from sidecar.clock import Clock, SystemClock
from sidecar.config.defaults import transactional_prefix
from sidecar.config.settings import SidecarSettings
from sidecar.config.values import Address
from sidecar.errors import SidecarError
from sidecar.ports import Lag, Scorer
from sidecar.runtime.deadline import Deadline
from sidecar.runtime.health import Health, State, Trouble
from sidecar.runtime.retry import backoff
from sidecar.runtime.signals import SignalOutbox, SignalWriter
from sidecar.runtime.state import StateKeeper
from sidecar.runtime.worker import Worker
from sidecar.telemetry.decisions import DecisionsView
from sidecar.telemetry.history import History, HistoryView
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.scrape import Readings
from sidecar.telemetry.status import (
    Cause,
    Exposition,
    PartitionView,
    StatusView,
    Verdict,
    lag_records,
    lag_seconds,
)

# Kept back from the shutdown budget for leaving the group and closing what is open.
_CLOSING_S = 5.0
# What work that was cancelled gets to let go of what it holds.
_CANCEL_S = 1.0
# Longest wait between two tries to write signals.
_SIGNALS_AGAIN_S = 60.0


class Service:
    """One sidecar. Built from settings, run once; also the `Surface` that HTTP asks."""

    def __init__(
        self,
        settings: SidecarSettings,
        *,
        clock: Clock | None = None,
        wrap_scorer: Callable[[Scorer], Scorer] = lambda scorer: scorer,
    ) -> None:
        """Load the bundle and check the config against it; nothing is connected yet.

        Args:
            settings: As `config.load` gives them.
            clock: The machine's own when absent.
            wrap_scorer: Put around the model; the demonstration makes it fail that way.

        Raises:
            UserError: The bundle must not serve, or the config does not fit it.
        """
        self._clock = clock or SystemClock()
        self._wrap_scorer = wrap_scorer
        self._parts: Assembly = assemble(settings, self._clock)
        self.settings = self._parts.settings
        self._schemas = schema_book(self._parts, os.environ)
        self._tracing = Tracing(self._parts, os.environ)
        self.health = Health()
        self._began_s = self._clock.monotonic()
        self._since_ms = self._clock.now_ms()
        self._stop = asyncio.Event()
        self._worker: Worker | None = None
        self._jitter = random.Random()  # noqa: S311  spreads retries, guards nothing
        self._keeper = self._build_keeper()
        self._outbox = self._build_outbox()
        http = self.settings.http
        samples = -(-http.history.ms // http.history_step.ms)
        self._history = History(http.history_step.seconds, samples)
        self._http = HttpServer(http, self)
        self._log = structlog.get_logger()
        self._parts.metrics.read_from(
            Readings(
                partitions=self._partitions,
                monitors=self._parts.drift_snapshot,
                ready=lambda: self.ready().ok,
                window_partitions=self._window_partitions,
                quality=self._parts.quality_snapshot,
            )
        )

    def _build_keeper(self) -> StateKeeper | None:
        settings, parts = self.settings, self._parts
        if settings.monitors.state == "memory":
            return None
        return StateKeeper(
            log=KafkaStateLog(settings.kafka, settings.topics.state, str(settings.name)),
            topic=settings.topics.state,
            monitors=[parts.drift, parts.quality],
            observers=parts.observers,
            metrics=parts.metrics,
            writer=f"{self._since_ms:013d}-{uuid4().hex}",
            clock=self._clock,
            backoff=lambda: backoff(self._jitter),
        )

    def _build_outbox(self) -> SignalOutbox:
        settings, manifest = self.settings, self._parts.bundle.manifest
        sink = None
        if settings.monitors.drift.signals == "topic":
            sink = KafkaSink(settings.kafka, [settings.topics.signals], str(settings.name))
        return SignalOutbox(
            self._parts.drift.alerts,
            sink,
            writer=SignalWriter(
                name=str(settings.name), model=manifest.name, version=manifest.version
            ),
            topic=settings.topics.signals,
            stored=self._keeper is not None,
            metrics=self._parts.metrics,
            backoff=lambda: backoff(self._jitter, first_s=1.0, top_s=_SIGNALS_AGAIN_S),
        )

    def _build_sink(self) -> KafkaSink | KafkaTransactions:
        kafka, topics = self.settings.kafka, self.settings.topics
        client_id = str(self.settings.name)
        written = [topics.decisions, topics.dead_letters]
        if self._keeper is not None:
            written.append(topics.state)
        if self.settings.delivery.mode == "at_least_once":
            return KafkaSink(kafka, written, client_id)
        return KafkaTransactions(
            kafka,
            written,
            client_id,
            events=topics.events,
            group=kafka.group,
            id_prefix=transactional_prefix(self.settings),
        )

    # --- life --------------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    @property
    def metrics(self) -> Metrics:
        """The numbers of the process."""
        return self._parts.metrics

    def stop(self) -> None:
        """Take nothing new; `run` returns when what is in flight is done, or time is up."""
        self._stop.set()

    async def run(self) -> int:
        """Serve until `stop`.

        Returns:
            The exit code: 0 when everything that was read has an outcome, else 1.

        Raises:
            UserError: The model's graph is refused, or a port is taken.
        """
        await self._http.start()
        sampling = asyncio.create_task(self._sample())
        try:
            scorer = await asyncio.to_thread(self._open_model)
            try:
                return await self._serve(scorer)
            finally:
                await scorer.close()
        finally:
            sampling.cancel()
            self.health.phase = State.STOPPED
            await self._http.close(1.0)

    async def _sample(self) -> None:
        """Keep the history that the charts of the status page show."""
        while True:
            views = self._partitions()
            self._history.add(
                self._clock.monotonic(),
                self._clock.now_ms(),
                self._parts.metrics.totals(),
                lag_records(views),
                lag_seconds(views),
            )
            await asyncio.sleep(self.settings.http.history_step.seconds)

    def _open_model(self) -> OnnxScorer:
        scorer = OnnxScorer.open(self._parts.bundle, self.settings.model)
        scorer.verify_golden()
        scorer.warm_up(self.settings.model.warm_up_runs)
        return scorer

    async def _serve(self, scorer: OnnxScorer) -> int:
        kafka = self.settings.kafka
        topics = self.settings.topics
        client_id = str(self.settings.name)
        self._tracing.start()
        source = KafkaSource(
            kafka,
            topics.events,
            kafka.group,
            client_id,
            self.settings.delivery.start,
            linger_s=self.settings.model.linger.seconds,
        )
        sink = self._build_sink()
        worker = self._worker = Worker(
            source=source,
            sink=sink,
            stages=self._parts.stages(self._wrap_scorer(scorer)),
            observers=self._parts.observers,
            settings=self.settings,
            clock=self._clock,
            metrics=self._parts.metrics,
            health=self.health,
            jitter=self._jitter,
            keeper=self._keeper,
            ledger=sink if isinstance(sink, KafkaTransactions) else None,
            schemas=self._schemas,
            outbox=self._outbox,
        )
        self.health.report(
            "source", Trouble("joining", "has not joined its group yet", kafka=True)
        )
        self.health.phase = State.READY
        self._parts.metrics.started()
        self._log.info("sidecar_started", **self._introduction())
        try:
            return await self._work(worker)
        finally:
            deadline = Deadline(self._clock, _CLOSING_S)
            leaving = deadline.at_most(_CLOSING_S * 0.6)
            await asyncio.gather(source.close(leaving), self._tracing.close(leaving))
            await sink.close(max(0.5, deadline.left()))
            if self._schemas is not None:
                await self._schemas.close()
            self._log.info("sidecar_stopped")

    async def _work(self, worker: Worker) -> int:
        """Run the worker until it ends or is asked to, and judge how it ended."""
        work = asyncio.create_task(worker.run())
        asked = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
            self.health.phase = State.DRAINING
            worker.stop()
            budget_s = max(1.0, self.settings.limits.shutdown.seconds - _CLOSING_S)
            await asyncio.wait((work,), timeout=budget_s)
        finally:
            asked.cancel()
            overran = work.cancel()
            # A client that does not let go must not hold up the rest of the shutdown.
            await asyncio.wait((work,), timeout=_CANCEL_S)
        if overran:
            if work.done() and not work.cancelled():
                work.exception()  # seen; what it was does not matter any more
            self._log.error("shutdown_overran", in_flight=worker.tracker.unsettled())
            return 1
        return self._judge(work)

    def _judge(self, work: "asyncio.Task[bool]") -> int:
        if work.cancelled():  # by nobody here: a client let its own cancellation out
            return self._failed("the work was cancelled from within", "CancelledError")
        error = work.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, SidecarError):
            return self._failed(str(error), type(error).__name__)
        if error is not None:
            raise error
        if not work.result():
            self._log.warning("stopped_with_unfinished_records")
            return 1
        return 0

    def _failed(self, error: str, kind: str) -> int:
        self.health.fatal = error
        self._log.error("sidecar_failed", error=error, kind=kind)
        return 1

    def _introduction(self) -> dict[str, object]:
        manifest = self._parts.bundle.manifest
        return {
            "version": __version__,
            "model": manifest.name,
            "model_version": manifest.version,
            "confidence_threshold": round(self._parts.threshold, 6),
            "group": self.settings.kafka.group,
            "events": self.settings.topics.events,
            "metrics_url": self.metrics_url,
            "status_url": self.status_url,
        }

    # --- surface -----------------------------------------------------------------------------

    @property
    def metrics_url(self) -> str:
        """Where Prometheus scrapes; known once `run` has begun."""
        return f"http://{_reachable(self._http.addresses.metrics)}/metrics"

    @property
    def status_url(self) -> str:
        """Where people look; known once `run` has begun."""
        return f"http://{_reachable(self._http.addresses.admin)}/"

    def live(self) -> Verdict:
        """Say whether the process should be left running: nothing fatal happened."""
        fatal = self.health.fatal
        return Verdict(fatal is None, () if fatal is None else (Cause("fatal", fatal),))

    def ready(self) -> Verdict:
        """Say whether events are taken, as far as the config lets Kafka count."""
        troubles = self.health.not_ready(needs_kafka=self.settings.http.ready_needs_kafka)
        return Verdict(not troubles, tuple(Cause(t.code, t.message) for t in troubles))

    def started(self) -> Verdict:
        """Say whether the model is loaded. A broker that is away must not restart the pod."""
        if self.health.phase is State.STARTING:
            return Verdict(False, (Cause("model_loading", "the model is being loaded"),))
        return Verdict(True)

    def exposition(self, accept: str) -> Exposition:
        """Give the metrics as they are."""
        return self._parts.metrics.exposition(accept)

    def history(self, since_ms: int) -> HistoryView:
        """Give the samples of the last hour that are younger than a moment."""
        return self._history.view(since_ms)

    def decisions(self) -> DecisionsView:
        """Give the last decisions, newest first."""
        return self._parts.recent_decisions()

    def status(self) -> StatusView:
        """Give the state of everything."""
        metrics = self._parts.metrics
        self._note_circuit()
        drift = self._parts.drift_snapshot()
        return StatusView(
            name=str(self.settings.name),
            version=__version__,
            state=self.health.state.value,
            reasons=tuple(Cause(t.code, t.message) for t in self.health.troubles.values()),
            since_ms=self._since_ms,
            now_ms=self._clock.now_ms(),
            model=self._parts.model_view,
            group=self.settings.kafka.group,
            topics=topics_view(self.settings),
            partitions=tuple(self._partitions()),
            rates=metrics.rates(),
            last_decision_ms=metrics.last_decision_ms,
            circuit_open=self._parts.breaker.is_open,
            monitors=drift,
            quality=self._parts.quality_snapshot(drift),
        )

    def _note_circuit(self) -> None:
        if self._parts.breaker.is_open:
            message = "the model fails too often; the fallback chain answers"
            self.health.report("model", Trouble("circuit_open", message, blocks=False))
        else:
            self.health.clear("model")

    def _window_partitions(self) -> Sequence[bool]:
        """Tell of each partition in the windows whether it is counted here."""
        if self._keeper is None:
            return [True] * len(self._parts.drift.windows.partitions)
        return [ours for _, ours in self._keeper.partitions()]

    def _partitions(self) -> list[PartitionView]:
        worker = self._worker
        if worker is None:
            return []
        now_ms = self._clock.now_ms()
        return [
            _partition(worker, partition, now_ms)
            for partition in sorted(worker.tracker.partitions)
        ]


def _partition(worker: Worker, partition: int, now_ms: int) -> PartitionView:
    watch = worker.watch
    lag, read = watch.lag.get(partition), watch.last_read.get(partition)
    if lag is not None and read is not None:
        # What was read since the brokers were asked is no lag any more.
        lag = Lag(max(lag.position, read[0]), max(lag.end, read[0]))
    seconds = None
    if lag is not None and not lag.records:
        seconds = 0.0
    elif read is not None and read[1] >= 0:
        seconds = max(0, now_ms - read[1]) / 1000
    return PartitionView(
        partition=partition,
        position=lag and lag.position,
        end=lag and lag.end,
        lag_records=lag and lag.records,
        lag_seconds=seconds,
        in_flight=worker.tracker.unsettled((partition,)),
        paused=partition in worker.flow.paused,
        restoring=partition in worker.flow.restoring,
    )


def _reachable(address: Address) -> str:
    """Turn an address to listen on into one to visit."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  read, not bound
    return str(Address(everywhere.get(address.host, address.host), address.port))
