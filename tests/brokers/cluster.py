"""Several Kafka brokers that are one cluster, each of which may fall."""

from collections.abc import Callable, Mapping
from pathlib import Path

from confluent_kafka.admin import AdminClient

from tests.brokers.kafka import KafkaBroker, Seat, cluster_id, free_port

Door = Callable[[], tuple[Mapping[str, tuple[str, int]], Mapping[str, int]]]
"""Gives further listeners of one broker, and the ports that their clients are told."""

# Any one of three may fall: two are enough for the quorum and for an acknowledgement.
_REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "unclean.leader.election.enable": "false",
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "1000",
    "replica.lag.time.max.ms": "10000",
}


class KafkaCluster:
    """One broker, or three with every record on all of them."""

    def __init__(
        self,
        folder: Path,
        brokers: int,
        *,
        door: Door | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Say what it looks like; `start` runs it.

        Args:
            folder: Where configs, data and logs go, one folder per broker.
            brokers: One or three.
            door: Asked once per broker for further listeners.
            properties: Further lines of every config.
        """
        controllers = {node: free_port() for node in range(1, brokers + 1)}
        name = cluster_id()
        lines = {**(_REPLICATED if brokers == 3 else {}), **(properties or {})}
        self.brokers: list[KafkaBroker] = []
        for node in controllers:
            listeners, advertised = door() if door else ({}, {})
            self.brokers.append(
                KafkaBroker(
                    folder / f"broker-{node}",
                    listeners=listeners,
                    advertised=advertised,
                    properties=lines,
                    seat=Seat(name, node, controllers),
                )
            )

    @property
    def bootstrap(self) -> str:
        """`host:port` of all brokers, comma separated."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self) -> None:
        """Run those that do not run, and wait until all serve."""
        for broker in self.brokers:
            if not broker.running:
                broker.launch()
        for broker in self.brokers:
            broker.await_ready(len(self.brokers))

    def stop(self) -> None:
        """End all, at once: in order, the last of them would wait for a quorum that is gone."""
        for broker in self.brokers:
            broker.kill()

    def one(self) -> KafkaBroker:
        """Give a broker that runs."""
        return next(broker for broker in self.brokers if broker.running)

    def admin(self) -> AdminClient:
        """Give a client for administration that knows all brokers."""
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def create_topic(self, topic: str, partitions: int = 4, **config: str) -> None:
        """Make a topic, replicated as the cluster is; see `KafkaBroker.create_topic`."""
        self.one().create_topic(topic, partitions, **config)
