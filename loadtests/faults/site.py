"""Where a fault happens: one broker, three, or the embedded one that can answer with errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from loadtests.faults.proxy import Proxy
from sidecar.demo.broker import EmbeddedBroker
from tests.brokers.cluster import KafkaCluster
from tests.brokers.kafka import free_port

Kind = Literal["one", "three", "mock"]

# Topics of the campaign take records of ten megabytes, and so must brokers among themselves.
_LARGEST = 12_000_000
_PROPERTIES = {
    "message.max.bytes": str(_LARGEST),
    "replica.fetch.max.bytes": str(_LARGEST),
    # Deleted offsets and records are gone at once, not in minutes.
    "log.retention.check.interval.ms": "1000",
    "file.delete.delay.ms": "100",
}


class Site:
    """Brokers, and the proxies that stand before them."""

    def __init__(self, cluster: KafkaCluster | None, mock: EmbeddedBroker | None) -> None:
        """Take one of the two; `site` makes them."""
        self._cluster = cluster
        self._mock = mock
        self.proxies: list[Proxy] = []

    @property
    def cluster(self) -> KafkaCluster:
        """The real brokers."""
        if self._cluster is None:
            raise LookupError("this site has no real brokers")
        return self._cluster

    @property
    def mock(self) -> EmbeddedBroker:
        """The embedded brokers."""
        if self._mock is None:
            raise LookupError("this site has no embedded brokers")
        return self._mock

    @property
    def real(self) -> bool:
        """Whether these are real brokers."""
        return self._cluster is not None

    @property
    def bootstrap(self) -> str:
        """Addresses for the campaign's own clients."""
        return self._cluster.bootstrap if self._cluster else self.mock.bootstrap_servers[0]

    @property
    def behind_proxies(self) -> str:
        """Addresses for sidecars whose network may fail."""
        return ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies)

    def create_topic(self, topic: str, partitions: int, **config: str) -> None:
        """Make a topic; the embedded broker takes no settings."""
        if self._cluster is not None:
            self._cluster.create_topic(topic, partitions, **config)
        else:
            self.mock.create_topic(topic, partitions)

    def heal(self) -> None:
        """Undo whatever a fault did to brokers and proxies."""
        for proxy in self.proxies:
            proxy.clear()
        if self._cluster is not None:
            for broker in self._cluster.brokers:
                if broker.running:
                    broker.thaw()
            self._cluster.start()


@contextmanager
def site(kind: Kind, folder: Path) -> Iterator[Site]:
    """Run brokers for as long as the block lasts."""
    if kind == "mock":
        with EmbeddedBroker(brokers=3) as mock:
            yield Site(None, mock)
        return
    proxies: list[Proxy] = []

    def door() -> tuple[Mapping[str, tuple[str, int]], Mapping[str, int]]:
        proxies.append(Proxy(free_port(), free_port()))
        proxy = proxies[-1]
        return {"CLIENT": ("PLAINTEXT", proxy.target)}, {"CLIENT": proxy.port}

    brokers = 1 if kind == "one" else 3
    cluster = KafkaCluster(folder, brokers, door=door, properties=_PROPERTIES)
    made = Site(cluster, None)
    made.proxies = proxies
    try:
        for proxy in proxies:
            proxy.start()
        cluster.start()
        yield made
    finally:
        cluster.stop()
        for proxy in proxies:
            proxy.stop()
