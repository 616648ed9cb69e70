"""A Kafka broker inside this process, for the demo and for tests.

It is librdkafka's mock cluster, which the confluent-kafka wheel carries: real listeners on
loopback that any client may use, nothing to install or start, everything kept in memory.
It does groups of one member, commits, idempotence, headers and codecs. It does no
transactions, no second member in a group, no TLS, no SASL and no administration; what depends
on these needs a real broker. A group that its member left takes the next one only when the
session time-out is over.
"""

import ctypes
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sidecar.errors import Finding, UserError

_PRODUCER = 0
_NO_LEADER = -1
_ERROR_TEXT_BYTES = 512

_CLUSTER = ctypes.c_void_p
_TEXT = ctypes.c_char_p
_INT = ctypes.c_int
_NODE = ctypes.c_int32

# name -> (result, arguments): the part of rdkafka.h and rdkafka_mock.h that is used here.
_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "rd_kafka_conf_new": (ctypes.c_void_p, []),
    "rd_kafka_conf_set": (_INT, [ctypes.c_void_p, _TEXT, _TEXT, _TEXT, ctypes.c_size_t]),
    "rd_kafka_new": (ctypes.c_void_p, [_INT, ctypes.c_void_p, _TEXT, ctypes.c_size_t]),
    "rd_kafka_destroy": (None, [ctypes.c_void_p]),
    "rd_kafka_err2str": (_TEXT, [_INT]),
    "rd_kafka_mock_cluster_new": (_CLUSTER, [ctypes.c_void_p, _INT]),
    "rd_kafka_mock_cluster_destroy": (None, [_CLUSTER]),
    "rd_kafka_mock_cluster_bootstraps": (_TEXT, [_CLUSTER]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [_CLUSTER, ctypes.c_int32]),
    "rd_kafka_mock_topic_create": (_INT, [_CLUSTER, _TEXT, _INT, _INT]),
    "rd_kafka_mock_broker_set_down": (_INT, [_CLUSTER, _NODE]),
    "rd_kafka_mock_broker_set_up": (_INT, [_CLUSTER, _NODE]),
    "rd_kafka_mock_broker_set_rtt": (_INT, [_CLUSTER, _NODE, _INT]),
    "rd_kafka_mock_partition_set_leader": (_INT, [_CLUSTER, _TEXT, _NODE, _NODE]),
    "rd_kafka_mock_push_request_errors_array": (
        None,
        [_CLUSTER, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(_INT)],
    ),
    "rd_kafka_mock_clear_request_errors": (None, [_CLUSTER, ctypes.c_int16]),
}


class EmbeddedBroker:
    """A small cluster on loopback that lives as long as the `with` block.

    Topics that nobody declared come into being when a client asks for them, with four
    partitions.

    Example:
        with EmbeddedBroker({"credit.events": 4}) as broker:
            connect(broker.bootstrap_servers)
    """

    def __init__(self, topics: Mapping[str, int] | None = None, *, brokers: int = 1) -> None:
        """Say what the cluster looks like; `start`, or entering the block, opens it.

        Args:
            topics: Number of partitions of each topic.
            brokers: Number of brokers; with several, one may go down while others serve.
        """
        self._topics = dict(topics or {})
        self._brokers = brokers
        self._client: int | None = None
        self._cluster: int | None = None

    def __enter__(self) -> Self:
        """Start and give the broker itself."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, whatever happened in the block."""
        self.stop()

    def start(self) -> None:
        """Open the listeners and make the topics.

        Raises:
            UserError: confluent-kafka is not installed, or has no mock cluster.
        """
        self._library = _load_library()
        text = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        # The handle only owns the cluster and connects to nothing, about which librdkafka
        # would warn on stderr: so only critical messages pass.
        conf = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(conf, b"log_level", b"2", text, _ERROR_TEXT_BYTES)
        self._client = self._library.rd_kafka_new(_PRODUCER, conf, text, _ERROR_TEXT_BYTES)
        if not self._client:
            raise _unusable(text.value.decode())
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, self._brokers)
        if not self._cluster:
            self.stop()
            raise _unusable("the mock cluster could not be made")
        # Its default waits 3 s for further members of a new group; it takes only one.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        for topic, partitions in self._topics.items():
            self.create_topic(topic, partitions)

    def stop(self) -> None:
        """Close the listeners and forget every record; may be repeated."""
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        if self._client:
            self._library.rd_kafka_destroy(self._client)
        self._cluster = self._client = None

    @property
    def bootstrap_servers(self) -> list[str]:
        """`host:port` of each broker, as `kafka.bootstrap_servers` takes it."""
        addresses: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return addresses.decode().split(",")

    def create_topic(self, topic: str, partitions: int) -> None:
        """Make a topic, with all brokers as replicas.

        Raises:
            ValueError: The topic is there already, or a number makes no sense.
        """
        self._call("rd_kafka_mock_topic_create", topic.encode(), partitions, self._brokers)

    def broker_down(self, broker: int = 1) -> None:
        """Close the connections of a broker, numbered from 1, and refuse new ones."""
        self._call("rd_kafka_mock_broker_set_down", broker)

    def broker_up(self, broker: int = 1) -> None:
        """Let a broker serve again; its records are still there."""
        self._call("rd_kafka_mock_broker_set_up", broker)

    def set_round_trip(self, milliseconds: int, broker: int = 1) -> None:
        """Delay each answer of a broker; 0 undoes it."""
        self._call("rd_kafka_mock_broker_set_rtt", broker, milliseconds)

    def move_leader(self, topic: str, partition: int, broker: int | None) -> None:
        """Give a partition to another broker; None leaves it without a leader."""
        leader = _NO_LEADER if broker is None else broker
        self._call("rd_kafka_mock_partition_set_leader", topic.encode(), partition, leader)

    def push_errors(self, api: int, codes: Sequence[int]) -> None:
        """Answer the next requests of a kind with these errors, one each, in order.

        Args:
            api: Key of the request in the Kafka protocol: 0 is Produce, 1 Fetch,
                3 Metadata, 8 OffsetCommit, 11 JoinGroup, 12 Heartbeat.
            codes: Error codes of the Kafka protocol; -195 closes the connection instead.
        """
        array = (_INT * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, api, len(codes), array
        )

    def clear_errors(self, api: int) -> None:
        """Forget the errors that were pushed and did not come up yet."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, api)

    def _call(self, function: str, *arguments: object) -> None:
        code: int = getattr(self._library, function)(self._cluster, *arguments)
        if code:
            reason: bytes = self._library.rd_kafka_err2str(code)
            raise ValueError(f"{function}{arguments}: {reason.decode()}")


def _load_library() -> ctypes.CDLL:
    """Open the librdkafka of the confluent-kafka wheel, with its functions typed."""
    spec = importlib.util.find_spec("confluent_kafka")
    if spec is None or spec.origin is None:
        raise _unusable("confluent-kafka is not installed")
    # Loading the extension module first gives librdkafka the libraries that it depends on.
    importlib.import_module("confluent_kafka.cimpl")
    site = Path(spec.origin).parent.parent
    found = [
        *site.glob("confluent_kafka.libs/librdkafka*.so*"),
        *site.glob("confluent_kafka/.dylibs/librdkafka*.dylib"),
    ]
    if not found:
        raise _unusable("confluent-kafka was not installed from a wheel")
    library = ctypes.CDLL(str(found[0]))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def _unusable(reason: str) -> UserError:
    return UserError(
        "the embedded broker cannot start",
        [Finding("confluent-kafka", reason, "install the demo extra: sidecar[demo]")],
    )
