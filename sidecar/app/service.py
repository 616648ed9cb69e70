"""The service: the concrete parts, joined, and their life from start to exit code."""

import asyncio
import random
from collections.abc import Callable

import structlog

from sidecar import __version__
from sidecar.adapters.http import HttpServer
from sidecar.adapters.kafka_sink import KafkaSink
from sidecar.adapters.kafka_source import KafkaSource
from sidecar.adapters.onnx_scorer import OnnxScorer
from sidecar.app.assembly import Assembly, assemble
from sidecar.clock import Clock, SystemClock
from sidecar.config.settings import SidecarSettings
from sidecar.config.values import Address
from sidecar.errors import SidecarError
from sidecar.monitors.snapshot import MonitorSnapshot
from sidecar.ports import Lag, Scorer
from sidecar.runtime.deadline import Deadline
from sidecar.runtime.health import Health, State, Trouble
from sidecar.runtime.worker import Worker
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.scrape import Readings
from sidecar.telemetry.status import Cause, PartitionView, StatusView, TopicsView, Verdict

# Kept back from the shutdown budget for leaving the group and closing what is open.
_CLOSING_S = 5.0
# What work that was cancelled gets to let go of what it holds.
_CANCEL_S = 1.0


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
        self.health = Health()
        self._began_s = self._clock.monotonic()
        self._since_ms = self._clock.now_ms()
        self._stop = asyncio.Event()
        self._worker: Worker | None = None
        self._http = HttpServer(self.settings.http, self)
        self._log = structlog.get_logger()
        self._parts.metrics.read_from(
            Readings(
                partitions=self._partitions,
                monitors=self._monitors,
                ready=lambda: self.ready().ok,
            )
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
        try:
            scorer = await asyncio.to_thread(self._open_model)
            try:
                return await self._serve(scorer)
            finally:
                await scorer.close()
        finally:
            self.health.phase = State.STOPPED
            await self._http.close(1.0)

    def _open_model(self) -> OnnxScorer:
        scorer = OnnxScorer.open(self._parts.bundle, self.settings.model)
        scorer.verify_golden()
        scorer.warm_up(self.settings.model.warm_up_runs)
        return scorer

    async def _serve(self, scorer: OnnxScorer) -> int:
        kafka = self.settings.kafka
        topics = self.settings.topics
        client_id = str(self.settings.name)
        source = KafkaSource(
            kafka, topics.events, kafka.group, client_id, self.settings.delivery.start
        )
        sink = KafkaSink(kafka, (topics.decisions, topics.dead_letters), client_id)
        worker = self._worker = Worker(
            source=source,
            sink=sink,
            stages=self._parts.stages(self._wrap_scorer(scorer)),
            observers=self._parts.observers,
            settings=self.settings,
            clock=self._clock,
            metrics=self._parts.metrics,
            health=self.health,
            jitter=random.Random(),  # noqa: S311  spreads retries, guards nothing
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
            await source.close(deadline.at_most(_CLOSING_S * 0.6))
            await sink.close(max(0.5, deadline.left()))
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

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Give the metrics and their content type."""
        return self._parts.metrics.exposition(accept)

    def status(self) -> StatusView:
        """Give the state of everything."""
        metrics = self._parts.metrics
        self._note_circuit()
        return StatusView(
            name=str(self.settings.name),
            version=__version__,
            state=self.health.state.value,
            reasons=tuple(Cause(t.code, t.message) for t in self.health.troubles.values()),
            since_ms=self._since_ms,
            now_ms=self._clock.now_ms(),
            model=self._parts.model_view,
            group=self.settings.kafka.group,
            topics=TopicsView(
                events=self.settings.topics.events,
                decisions=self.settings.topics.decisions,
                dead_letters=self.settings.topics.dead_letters,
            ),
            partitions=tuple(self._partitions()),
            rates=metrics.rates(),
            last_decision_ms=metrics.last_decision_ms,
            circuit_open=self._parts.breaker.is_open,
            monitors=self._monitors(),
        )

    def _note_circuit(self) -> None:
        if self._parts.breaker.is_open:
            message = "the model fails too often; the fallback chain answers"
            self.health.report("model", Trouble("circuit_open", message, blocks=False))
        else:
            self.health.clear("model")

    def _monitors(self) -> MonitorSnapshot | None:
        drift = self._parts.drift
        return self._parts.observers.read(drift, drift.snapshot)

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
    lag, read = worker.lag.get(partition), worker.last_read.get(partition)
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
    )


def _reachable(address: Address) -> str:
    """Turn an address to listen on into one to visit."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  read, not bound
    return str(Address(everywhere.get(address.host, address.host), address.port))
