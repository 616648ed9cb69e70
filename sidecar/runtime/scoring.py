"""Asks the model about the rows that it may answer, and says why for the others."""

import numpy as np
import structlog
from numpy.typing import NDArray

from sidecar.clock import Clock
from sidecar.errors import ModelContractError, ScorerTimeoutError, ScorerUnavailableError
from sidecar.events import EventBatch, Features, Int64Column, Reason, ScoreBatch
from sidecar.pipeline.breaker import CircuitBreaker
from sidecar.pipeline.check import Checker
from sidecar.pipeline.features import Vectoriser
from sidecar.pipeline.interpret import Interpreter
from sidecar.ports import Scorer
from sidecar.telemetry.metrics import Metrics


class Scoring:
    """From events to scores. Never raises for what the model does: the rows say why instead."""

    def __init__(
        self,
        *,
        checker: Checker,
        vectoriser: Vectoriser,
        scorer: Scorer,
        interpreter: Interpreter,
        breaker: CircuitBreaker,
        clock: Clock,
        metrics: Metrics,
        shadow: CircuitBreaker | None = None,
    ) -> None:
        """Join the parts that scoring needs.

        Args:
            checker: Says which rows the model may answer.
            vectoriser: Makes its inputs.
            scorer: The model.
            interpreter: Reads its outputs.
            breaker: Says when it is left alone.
            clock: For the breakers.
            metrics: Told of each run of the model and of each stage.
            shadow: The same for rows that upstream decided; they are not asked about without.
        """
        self._checker = checker
        self._vectoriser = vectoriser
        self._scorer = scorer
        self._interpreter = interpreter
        self.breaker = breaker
        self._shadow_breaker = shadow
        self._clock = clock
        self._metrics = metrics
        self._error: str | None = None
        self._log = structlog.get_logger()

    async def score(self, events: EventBatch) -> ScoreBatch:
        """Give a score for each row, or the reason that there is none."""
        result = _unscored(self._checker.gate(events))
        await self._decide(events.features, result)
        if self._shadow_breaker is not None and events.upstream is not None:
            await self._shadow(self._shadow_breaker, events.features, result)
        return result

    async def _decide(self, features: Features, result: ScoreBatch) -> None:
        """Ask about the rows that are the model's to answer."""
        rows = np.flatnonzero(result.reason == Reason.CONFIDENT)
        if rows.size == 0:
            return
        if not self.breaker.allow(self._clock.monotonic()):
            result.reason[rows] = Reason.CIRCUIT_OPEN
            return
        await self._ask(features, rows, result)
        self._note(answered=bool(np.any(result.reason[rows] == Reason.CONFIDENT)))

    async def _shadow(
        self, breaker: CircuitBreaker, features: Features, result: ScoreBatch
    ) -> None:
        """Ask about the rows that upstream decided; nothing but their label is filled in.

        It is a call and a breaker of its own, so what goes wrong there changes no decision.
        """
        rows = np.flatnonzero(result.reason == Reason.UPSTREAM)
        if rows.size == 0 or not breaker.allow(self._clock.monotonic()):
            return
        outcome = Reason.CONFIDENT
        try:
            scores = await self._run(features, rows)
        except ScorerTimeoutError:
            outcome = Reason.MODEL_TIMEOUT
        except (ScorerUnavailableError, ModelContractError):
            outcome = Reason.MODEL_ERROR
        else:
            answered = scores.reason == Reason.CONFIDENT
            result.label[rows] = np.where(answered, scores.label, np.int32(-1))
        note = breaker.succeeded if outcome is Reason.CONFIDENT else breaker.failed
        note(self._clock.monotonic())
        self._metrics.model_call(outcome)

    def _note(self, *, answered: bool) -> None:
        """Tell the breaker how a call ended; log when that is news."""
        was_open, now = self.breaker.is_open, self._clock.monotonic()
        if answered:
            self.breaker.succeeded(now)
        else:
            self.breaker.failed(now)
        is_open = self.breaker.is_open
        self._metrics.circuit(is_open=is_open)
        if is_open and not was_open:
            self._log.error("circuit_opened", error=self._error)
        elif was_open and not is_open:
            self._log.info("circuit_closed")
        if answered and self._error is not None:
            self._error = None
            self._log.info("model_recovered")

    async def _ask(self, features: Features, rows: Int64Column, result: ScoreBatch) -> None:
        """Score the rows; when the model raises, each half of them once more.

        One row that the model cannot bear must not take all its neighbours down the fallback
        chain. A time-out is not tried again: it would hold the path up twice.
        """
        reason = await self._attempt(features, rows, result)
        if reason is Reason.MODEL_ERROR and rows.size > 1:
            for half in np.array_split(rows, 2):
                await self._attempt(features, half, result)

    async def _attempt(
        self, features: Features, rows: Int64Column, result: ScoreBatch
    ) -> Reason:
        outcome = Reason.CONFIDENT
        try:
            scores = await self._run(features, rows)
        except ScorerTimeoutError as error:
            outcome = self._failed(Reason.MODEL_TIMEOUT, error)
        except (ScorerUnavailableError, ModelContractError) as error:
            outcome = self._failed(Reason.MODEL_ERROR, error)
        else:
            result.label[rows] = scores.label
            result.score[rows] = scores.score
            result.confidence[rows] = scores.confidence
            result.reason[rows] = scores.reason
        if outcome is not Reason.CONFIDENT:
            result.reason[rows] = outcome
        self._metrics.model_call(outcome)
        return outcome

    def _failed(self, reason: Reason, error: Exception) -> Reason:
        # Once, until the model answers again: a model that is down fails with every batch.
        if self._error is None:
            self._log.warning("model_failed", reason=reason.name.lower(), error=str(error))
        self._error = str(error)
        return reason

    async def _run(self, features: Features, rows: Int64Column) -> ScoreBatch:
        part = features if rows.size == len(features) else features.take(rows)
        with self._metrics.stage("vectorise"):
            tensors = self._vectoriser.tensors(part)
        with self._metrics.stage("score"):
            outputs = await self._scorer.score(tensors)
        with self._metrics.stage("interpret"):
            return self._interpreter.interpret(outputs, int(rows.size))


def _unscored(reason: NDArray[np.uint8]) -> ScoreBatch:
    count = len(reason)
    return ScoreBatch(
        label=np.full(count, -1, np.int32),
        score=np.full(count, np.nan),
        confidence=np.full(count, np.nan),
        reason=reason,
    )
