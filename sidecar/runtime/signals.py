"""Tells what monitors find, as records of the signals topic.

What is to be told is part of what the alert rule remembers, so it is stored with the counts. It
is told once that is done, by a producer of its own: whatever is wrong with the signals topic,
decisions neither wait for it nor fail with it, in `exactly_once` neither. A crash between a
signal and the next store tells it twice, with the same id.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import structlog

from sidecar.config.values import Duration
from sidecar.errors import SinkUnavailableError
from sidecar.events import (
    Headers,
    OutboundBatch,
    OutboundSlice,
    Signal,
    SignalBin,
    SignalEvidence,
)
from sidecar.monitors.alerts import SPEAKER, DriftAlerts
from sidecar.monitors.episodes import Evidence
from sidecar.monitors.rule import Edge
from sidecar.ports import Sink
from sidecar.telemetry.metrics import Metrics

_HEADERS: Headers = (("content-type", b"application/json"),)
_DIGITS = 6
# For a connection and a write; whatever takes longer is tried again later.
_SEND_S = 10.0
_FLUSH_S = 3.0
_CLOSE_S = 1.0
_REMEMBERED = 500


class SignalWriter:
    """Writes what the alert rule finds as signals."""

    def __init__(self, *, name: str, model: str, version: str) -> None:
        """Keep what every signal says.

        Args:
            name: Name of the sidecar.
            model: Name of the model.
            version: Its version.
        """
        self._name = name
        self._model = model
        self._version = version

    @property
    def key(self) -> bytes:
        """Of the records: a reader gets all of a model in order."""
        return self._model.encode()

    def signal(self, edge: Edge) -> Signal:
        """Write an edge as a signal: equal edges of the same model give equal signals."""
        length_ms, subject, name, severity = edge.track
        kind, window = kind_of(edge), str(Duration(length_ms))
        # A newline is in none of them, so no two give the same text.
        what = (self._name, self._model, self._version, subject, name, window, severity, kind)
        digest = sha256("\n".join((*what, str(edge.at_ms))).encode()).hexdigest()
        return Signal(
            id=digest[:32],
            kind=kind,
            event_time=_instant(edge.at_ms),
            name=self._name,
            model=self._model,
            version=self._version,
            subject=subject,
            feature=name if subject == "feature" else None,
            window=window,
            severity=severity,
            since=_instant(edge.since_ms),
            evidence=_evidence(edge.evidence),
        )


class SignalOutbox:
    """Writes what the alert rule has to say, once it is stored."""

    def __init__(
        self,
        alerts: DriftAlerts,
        sink: Sink | None,
        *,
        writer: SignalWriter,
        topic: str,
        stored: bool,
        metrics: Metrics,
        backoff: Callable[[], Iterator[float]],
    ) -> None:
        """Join the parts; nothing is connected before there is something to tell.

        Args:
            alerts: What is to be told.
            sink: Writes to the topic, and to no other; None tells the log alone.
            writer: Writes signals.
            topic: The signals topic.
            stored: Whether what the rule remembers is stored.
            metrics: Count.
            backoff: Gives the waits between tries to write.
        """
        self._alerts = alerts
        self._sink = sink
        self._writer = writer
        self._topic = topic
        self._stored = stored
        self._metrics = metrics
        self._backoff = backoff
        self._started = False
        self._told: deque[Edge] = deque(maxlen=_REMEMBERED)
        """What was written, should the state behind it be lost and found again."""
        self._turn = asyncio.Lock()
        self._due = asyncio.Event()
        self._log = structlog.get_logger()

    def speak_when(self, speaks: Callable[[], bool]) -> None:
        """Say when this process speaks for all."""
        self._alerts.speaks = speaks

    def hurry(self) -> None:
        """Look whether there is something to tell."""
        self._due.set()

    async def run(self) -> None:
        """Tell what there is to tell, until cancelled."""
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                for wait_s in self._backoff():
                    if await self._tell():
                        break
                    await asyncio.sleep(wait_s)
        finally:
            if self._sink is not None:
                await self._sink.close(_CLOSE_S)

    async def flush(self) -> bool:
        """Tell what there is to tell, within seconds; give whether anything was told."""
        before = self._alerts.state
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._tell()
        return self._alerts.state is not before

    async def _tell(self) -> bool:
        """Try once; give whether nothing is left that could be told at this time."""
        async with self._turn:
            edges = self._alerts.due(kept=self._stored)
            if not edges:
                return True
            fresh = [edge for edge in edges if edge not in self._told]
            try:
                async with asyncio.timeout(_SEND_S):
                    refused = await self._write(fresh) if fresh else {}
            except (SinkUnavailableError, TimeoutError) as error:
                self._started = False
                self._metrics.signal_failed()
                self._log.warning("signals_unavailable", error=str(error) or "no answer")
                return False
            self._told += fresh
            self._alerts.told(edges)
            for at, edge in enumerate(fresh):
                self._note(edge, refused.get(at))
            return True

    async def _write(self, edges: Sequence[Edge]) -> dict[int, str]:
        """Write signals; give those that the broker will never take, and why."""
        if self._sink is None:
            return {}
        if not self._started:
            await self._sink.start()
            self._started = True
        part = OutboundSlice(
            topic=self._topic,
            partition=SPEAKER,
            keys=[self._writer.key] * len(edges),
            values=[msgspec.json.encode(self._writer.signal(edge)) for edge in edges],
            headers=[_HEADERS] * len(edges),
            rows=range(len(edges)),
        )
        refusals = await (await self._sink.send(OutboundBatch((part,))))
        return {refusal.row: refusal.message for refusal in refusals}

    def _note(self, edge: Edge, refused: str | None) -> None:
        track = edge.track
        what = {
            "subject": track.subject,
            "feature": track.name if track.subject == "feature" else None,
            "window": str(Duration(track.length_ms)),
            "severity": track.severity,
            "since": _instant(edge.since_ms),
        }
        if edge.turn == "began":
            self._log.warning("drift_began", **what)
        else:
            self._log.info("drift_ended", **what)
        if refused is not None:
            self._metrics.signal_failed()
            self._log.error("signal_refused", error=refused)
        elif self._sink is not None:
            self._metrics.signal_sent(kind_of(edge))


def kind_of(edge: Edge) -> str:
    """Give the kind of signal that tells of an edge."""
    return f"drift_{edge.turn}"


def _evidence(found: Evidence) -> SignalEvidence:
    features = list(found.features)
    is_dataset = found.psi is None
    return SignalEvidence(
        window_start=_instant(found.start_ms),
        window_end=_instant(found.end_ms),
        records=found.records,
        psi=_rounded(found.psi),
        psi_excess=_rounded(found.psi_excess),
        critical_value=_rounded(found.critical),
        p_value=_rounded(found.p),
        bins=[SignalBin(b.name, _share(b.reference), _share(b.current)) for b in found.bins]
        or None,
        features=features if is_dataset else None,
        features_watched=found.features_watched,
    )


def _instant(time_ms: int) -> str:
    at = datetime.fromtimestamp(time_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _share(value: float) -> float:
    return round(value, _DIGITS)
