"""Three things that go wrong on the way through the years, and what brings them about.

Two of them spoil the events before they are sent. The third one is injected: a wrapper around
the model raises, because a sound model on a sound machine would not do so on its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sidecar.demo.table import People
from sidecar.errors import ScorerUnavailableError
from sidecar.ports import RawOutputs, Scorer, Tensors

MISSING_SHARE = 0.4
MONTHS_PER_YEAR = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that is wrong for a while of event time."""

    title: str
    what: str
    """What is done to the stream or the model, for people."""
    begins_ms: int
    ends_ms: int
    """Exclusive."""
    reasons: frozenset[str]
    """Reasons of the decisions that it sends down the fallback chain."""
    feature: str | None = None
    """The feature that it spoils."""

    def on(self, event_time_ms: int) -> bool:
        """Say whether it is going on at a moment of event time."""
        return self.begins_ms <= event_time_ms < self.ends_ms


def _ms(day: str) -> int:
    return int(np.datetime64(day, "ms").astype(np.int64))


EDUCATION_MISSING = Incident(
    title="education goes missing",
    what=f"SCHL is left out of {MISSING_SHARE:.0%} of the events",
    begins_ms=_ms("2016-09-01"),
    ends_ms=_ms("2016-12-01"),
    reasons=frozenset({"missing_feature"}),
    feature="SCHL",
)
AGE_IN_MONTHS = Incident(
    title="a unit changes upstream",
    what="AGEP comes in months instead of years",
    begins_ms=_ms("2017-05-01"),
    ends_ms=_ms("2017-08-01"),
    reasons=frozenset({"out_of_distribution"}),
    feature="AGEP",
)
MODEL_FAILS = Incident(
    title="the model fails",
    what="each call of the model raises (injected around the scorer)",
    begins_ms=_ms("2018-02-01"),
    ends_ms=_ms("2018-05-01"),
    reasons=frozenset({"model_error", "circuit_open"}),
)
INCIDENTS = (EDUCATION_MISSING, AGE_IN_MONTHS, MODEL_FAILS)


def spoil(people: People, random: np.random.Generator) -> None:
    """Do to the features, in place, what the first two incidents do."""
    when = people.event_time_ms
    hit = _during(EDUCATION_MISSING, when) & (random.random(len(people)) < MISSING_SHARE)
    people.features["SCHL"][hit] = None
    people.features["AGEP"][_during(AGE_IN_MONTHS, when)] *= MONTHS_PER_YEAR


def _during(incident: Incident, when: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (incident.begins_ms <= when) & (when < incident.ends_ms)


class FailingScorer:
    """A model that raises while an incident is on."""

    def __init__(
        self, inner: Scorer, now_ms: Callable[[], int], incident: Incident = MODEL_FAILS
    ) -> None:
        """Wrap a model.

        Args:
            inner: The model itself.
            now_ms: Event time that the decisions have come to.
            incident: When to raise.
        """
        self._inner = inner
        self._now_ms = now_ms
        self._incident = incident

    async def score(self, tensors: Tensors) -> RawOutputs:
        """Run the model, or raise `ScorerUnavailableError`."""
        if self._incident.on(self._now_ms()):
            raise ScorerUnavailableError("made to fail by the demo")
        return await self._inner.score(tensors)

    async def close(self) -> None:
        """Release the model."""
        await self._inner.close()
