"""A config beside the Kafka cluster that it names."""

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.adapters.kafka_facts import Cluster, Topic
from sidecar.config.settings import SidecarSettings

OUTPUTS = ("decisions", "dead_letters")
"""Keys of the topics of decisions and dead letters."""

SIGNALS = "signals"
"""Key of the one topic that may be missing."""

STATE = "state"
"""Key of the compacted topic of the counts."""


def topic_keys(settings: SidecarSettings) -> tuple[str, ...]:
    """Give the keys of all topics that a config uses."""
    monitors = settings.monitors
    kept = (STATE,) if monitors.state == "topic" else ()
    told = (SIGNALS,) if monitors.drift.signals == "topic" else ()
    return ("events", *OUTPUTS, *kept, *told)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A config, and what was found out about its cluster."""

    settings: SidecarSettings
    """With every name filled in."""
    cluster: Cluster
    window_bytes: int = 0
    """Memory that the windows of one input partition may take; 0 when it is not known."""

    registry: tuple[str, str] | None = None
    """Reason and text of what is wrong with the schema registry."""

    @property
    def topics(self) -> Mapping[str, Topic]:
        """The topics that were found, by their key in the config."""
        found, names = self.cluster.topics or {}, self.settings.topics
        roles = {key: getattr(names, key) for key in topic_keys(self.settings)}
        return {key: found[name] for key, name in roles.items() if name in found}

    @property
    def seen(self) -> Mapping[str, Topic]:
        """Those of them that are there and may be seen."""
        return {key: topic for key, topic in self.topics.items() if topic.seen}

    @property
    def vital(self) -> Mapping[str, Topic]:
        """Those of the seen ones that decisions wait for: all but the one of signals."""
        return {key: topic for key, topic in self.seen.items() if key != SIGNALS}
