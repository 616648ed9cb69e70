"""Picks the pure parts for a config and its bundle, and finds what does not fit together."""

from dataclasses import dataclass

from sidecar import __version__
from sidecar.bundle.calibration import resolve_threshold
from sidecar.bundle.load import Bundle, load_bundle
from sidecar.bundle.manifest import Manifest
from sidecar.clock import Clock
from sidecar.config.defaults import resolve
from sidecar.config.settings import HttpSettings, SidecarSettings
from sidecar.errors import ConfigError, Finding, did_you_mean
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.quality import QualityMonitor, usual_fallback
from sidecar.monitors.quality_snapshot import QualitySnapshot
from sidecar.monitors.snapshot import MonitorSnapshot
from sidecar.pipeline.breaker import CircuitBreaker
from sidecar.pipeline.check import Checker
from sidecar.pipeline.decide import Decider
from sidecar.pipeline.decode import EventDecoder
from sidecar.pipeline.encode import CONTENT_TYPE, Encoder
from sidecar.pipeline.envelope import envelope
from sidecar.pipeline.features import Vectoriser
from sidecar.pipeline.interpret import Interpreter
from sidecar.pipeline.join import Joiner
from sidecar.ports import Observer, Scorer
from sidecar.runtime.observers import Observers
from sidecar.runtime.scoring import Scoring
from sidecar.runtime.stages import Stages
from sidecar.telemetry.decisions import NO_DECISIONS, DecisionsView, RecentDecisions
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.spans import BatchSpans
from sidecar.telemetry.status import ModelView, TopicsView
from sidecar.telemetry.timing import StageTimes


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything but the connections."""

    settings: SidecarSettings
    """With every name filled in."""
    bundle: Bundle
    clock: Clock
    metrics: Metrics
    model_view: ModelView
    drift: DriftMonitor
    quality: QualityMonitor
    observers: Observers
    breaker: CircuitBreaker
    decider: Decider
    threshold: float
    """Confidence below which the fallback chain answers."""
    times: StageTimes
    """Of the batches in flight."""
    recent: RecentDecisions | None = None
    """What keeps the last decisions; None when the config asks for none."""
    spans: BatchSpans | None = None
    """What makes spans; None when the config names no place for them."""

    def drift_snapshot(self) -> MonitorSnapshot | None:
        """Give what the drift monitor says; None when it is switched off."""
        return self.observers.read(self.drift, self.drift.snapshot)

    def quality_snapshot(self, drift: MonitorSnapshot | None) -> QualitySnapshot | None:
        """Give what the quality monitor says; None when it is switched off.

        Args:
            drift: What the drift monitor says at the same moment.
        """
        return self.observers.read(self.quality, lambda: self.quality.snapshot(drift))

    def recent_decisions(self) -> DecisionsView:
        """Give the last decisions; none when they are not kept."""
        if self.recent is None:
            return NO_DECISIONS
        return self.observers.read(self.recent, self.recent.view) or NO_DECISIONS

    def stages(self, scorer: Scorer) -> Stages:
        """Give the stages around a scorer."""
        manifest, settings = self.bundle.manifest, self.settings
        checker = Checker(manifest, self.bundle.reference, settings.input)
        return Stages(
            decoder=EventDecoder(manifest, settings.input, settings.limits),
            checker=checker,
            scoring=Scoring(
                checker=checker,
                vectoriser=Vectoriser(manifest),
                scorer=scorer,
                interpreter=Interpreter(manifest.model, settings.confidence.measure),
                breaker=self.breaker,
                clock=self.clock,
                metrics=self.metrics,
                shadow=CircuitBreaker(settings.breaker) if settings.model.shadow else None,
            ),
            decider=self.decider,
            encoder=Encoder(
                manifest,
                settings.topics.decisions,
                settings.topics.dead_letters,
                __version__,
                settings.output,
                envelope(settings.output, str(settings.name), CONTENT_TYPE),
                propagate=settings.traces.propagate,
            ),
            metrics=self.metrics,
            times=self.times,
            spans=self.spans,
            joiner=(
                Joiner(manifest, settings.input, settings.limits)
                if settings.input.format == "kserve"
                else None
            ),
        )


def _recent(
    settings: HttpSettings,
    manifest: Manifest,
    threshold: float,
    clock: Clock,
    times: StageTimes,
) -> RecentDecisions | None:
    """Give what keeps the last decisions, if the config asks for it."""
    names = [feature.name for feature in manifest.features]
    unknown = [name for name in settings.decision_fields if name not in names]
    if unknown:
        raise ConfigError(
            "http.decision_fields",
            [
                Finding(
                    "$.http.decision_fields",
                    f"The model has no feature `{name}`",
                    did_you_mean(name, names, "remove it"),
                )
                for name in unknown
            ],
        )
    if not settings.decisions:
        return None
    fields = {name: names.index(name) for name in settings.decision_fields}
    return RecentDecisions(
        clock, kept=settings.decisions, threshold=threshold, fields=fields, times=times
    )


def topics_view(settings: SidecarSettings) -> TopicsView:
    """Give the names of the topics in use."""
    topics = settings.topics
    return TopicsView(
        events=topics.events, decisions=topics.decisions, dead_letters=topics.dead_letters
    )


def _spans(
    settings: SidecarSettings, model: ModelView, clock: Clock, times: StageTimes
) -> BatchSpans | None:
    """Give what makes spans, if the config says where they go."""
    if settings.traces.endpoint is None:
        return None
    return BatchSpans(
        clock,
        times,
        topics=topics_view(settings),
        group=settings.kafka.group,
        model=model,
        links=settings.traces.links,
    )


def assemble(settings: SidecarSettings, clock: Clock) -> Assembly:
    """Load the bundle and build every part that needs no connection.

    Raises:
        UserError: The bundle is refused, or the config does not fit it.
    """
    bundle = load_bundle(settings.model.bundle, max_model_bytes=settings.model.max_bytes.bytes)
    manifest = bundle.manifest
    settings = resolve(settings, manifest.name, settings.model.bundle.parent)
    threshold = resolve_threshold(bundle.calibration, settings.confidence)
    decider = Decider(manifest, settings.fallback, threshold)
    drift = DriftMonitor(
        manifest,
        bundle.reference,
        settings.monitors,
        settings.confidence.measure,
        bundle.slots,
    )
    rules = [rule.name for rule in settings.fallback.rules]
    quality = QualityMonitor(
        manifest,
        bundle.reference,
        settings.monitors,
        rules,
        usual_fallback(bundle.calibration, settings.confidence.measure, threshold),
        compares=settings.model.shadow,
    )
    model_view = ModelView(
        name=manifest.name,
        version=manifest.version,
        digest=manifest.files["model.onnx"],
        task=manifest.model.task.value,
    )
    times = StageTimes(clock)
    recent = _recent(settings.http, manifest, threshold, clock, times)
    spans = _spans(settings, model_view, clock, times)
    wanted: tuple[Observer | None, ...] = (drift, quality, recent, spans)
    observers = [observer for observer in wanted if observer is not None]
    metrics = Metrics(
        clock,
        topic=settings.topics.events,
        model=model_view,
        rules=rules,
        observers=[observer.name for observer in observers],
    )
    if spans is not None:
        metrics.trace_by(spans.trace_of)
    return Assembly(
        settings=settings,
        bundle=bundle,
        clock=clock,
        metrics=metrics,
        model_view=model_view,
        drift=drift,
        quality=quality,
        observers=Observers(observers, metrics),
        breaker=CircuitBreaker(settings.breaker),
        decider=decider,
        threshold=threshold,
        times=times,
        recent=recent,
        spans=spans,
    )
