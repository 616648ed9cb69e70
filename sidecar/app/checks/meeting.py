"""A config beside the Kafka cluster that it names."""

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.adapters.kafka_facts import Cluster, Topic
from sidecar.config.settings import SidecarSettings

OUTPUTS = ("decisions", "dead_letters")
"""Keys of the topics that are written."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A config, and what was found out about its cluster."""

    settings: SidecarSettings
    """With every name filled in."""
    cluster: Cluster
    window_bytes: int = 0
    """Memory that the windows of one input partition may take; 0 when it is not known."""

    @property
    def topics(self) -> Mapping[str, Topic]:
        """The topics that were found, by their key in the config."""
        found, names = self.cluster.topics or {}, self.settings.topics
        roles = {key: getattr(names, key) for key in ("events", *OUTPUTS)}
        return {key: found[name] for key, name in roles.items() if name in found}

    @property
    def seen(self) -> Mapping[str, Topic]:
        """Those of them that are there and may be seen."""
        return {key: topic for key, topic in self.topics.items() if topic.seen}
