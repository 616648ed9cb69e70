"""What state the process is in, and why it is not ready."""

from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    """One word for probes and the status page."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    """Takes events and answers them, but not as it should: the circuit is open, say."""
    BLOCKED = "blocked"
    """Takes no events: nothing is lost, lag grows."""
    DRAINING = "draining"
    STOPPED = "stopped"


class Trouble(Struct, frozen=True):
    """One cause of not being ready, or of being degraded."""

    code: str
    """A short word of a closed list."""
    message: str
    """For people."""
    blocks: bool = True
    """Whether no events are taken meanwhile."""
    kafka: bool = False
    """Whether it only stops the flow of records: the trouble of Kafka or of a producer, which
    must not make a model service's pod unready."""


@dataclass(slots=True)
class Health:
    """Troubles by the part that has them; a part has one at a time."""

    phase: State = State.STARTING
    troubles: dict[str, Trouble] = field(default_factory=dict)
    fatal: str | None = None
    """Why the process ends, when it ends by itself."""

    def report(self, part: str, trouble: Trouble) -> bool:
        """Note what troubles a part.

        Returns:
            Whether that is news.
        """
        news = self.troubles.get(part) != trouble
        self.troubles[part] = trouble
        return news

    def clear(self, part: str) -> bool:
        """Note that a part is well.

        Returns:
            Whether that is news.
        """
        return self.troubles.pop(part, None) is not None

    @property
    def state(self) -> State:
        """The phase, and within `ready` what the troubles make of it."""
        if self.phase is not State.READY or not self.troubles:
            return self.phase
        blocked = any(trouble.blocks for trouble in self.troubles.values())
        return State.BLOCKED if blocked else State.DEGRADED

    def not_ready(self, *, needs_kafka: bool) -> list[Trouble]:
        """Give the causes of not being ready; empty means ready.

        Args:
            needs_kafka: Whether troubles count that only stop the flow of records.
        """
        causes = [
            trouble
            for trouble in self.troubles.values()
            if trouble.blocks and (needs_kafka or not trouble.kafka)
        ]
        if not causes and self.phase in (State.DRAINING, State.STOPPED):
            causes = [Trouble(self.phase.value, "the process is ending")]
        if not causes and self.phase is State.STARTING:
            causes = [Trouble("starting", "the process has not started yet")]
        return causes
