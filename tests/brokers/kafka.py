"""A real Apache Kafka broker as a child process: a node in KRaft mode, from its jars.

The jars come from Maven Central once, into `.cache/kafka-<version>`, or stand in the folder
that `KAFKA_LIBS` names.
"""

import base64
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from sidecar.clock import SystemClock

VERSION = "4.1.0"
_HERE = Path(__file__).parent
_CACHE = _HERE.parent.parent / ".cache" / f"kafka-{VERSION}"
_CLIENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PORTS = 16_000
_READY_S = 120.0
_STOP_S = 20.0
_ADMIN_S = 15.0
_OF_NO_MATTER = "file.delete.delay.ms"
"""A setting of topics that changes nothing that a test looks at."""


class CannotRunError(Exception):
    """Something that the broker needs is not on this machine."""


def kafka_libs() -> Path:
    """Give the folder with the broker's jars, fetched when they are not there.

    Raises:
        CannotRunError: No Java, or no Maven and no jars.
    """
    if shutil.which("java") is None:
        raise CannotRunError("Kafka needs Java 17 or later; none found")
    if given := os.environ.get("KAFKA_LIBS"):
        return Path(given)
    if not _CACHE.exists():
        _fetch(_CACHE)
    return _CACHE


def _fetch(target: Path) -> None:
    if shutil.which("mvn") is None:
        raise CannotRunError("Maven is needed to fetch Kafka's jars, or KAFKA_LIBS with them")
    # Filled beside its place and moved there whole: an interrupted fetch leaves nothing.
    filling = target.with_name(f"{target.name}.{os.getpid()}")
    command = [
        *("mvn", "-q", "-B", "-f", str(_HERE / "pom.xml"), f"-Dkafka.version={VERSION}"),
        *("dependency:copy-dependencies", "-DincludeScope=runtime"),
        f"-DoutputDirectory={filling}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRunError(f"Maven could not fetch Kafka's jars:\n{done.stdout[-2000:]}")
    if not target.exists():
        filling.rename(target)


def free_port() -> int:
    """Give a port that nobody listens on at the moment.

    It is below those that the system deals out to clients: one that tries to reach a broker
    that is down would else get the broker's own port in the end, connect to itself, and keep
    the broker from coming back.
    """
    first_of_clients = int(_CLIENT_PORTS.read_text().split()[0])
    while True:
        port = random.randrange(first_of_clients - _PORTS, first_of_clients)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def cluster_id() -> str:
    """Give a name for a cluster, of the kind that Kafka makes."""
    # The shift keeps it from beginning with a dash, which would look like an option.
    drawn = uuid.UUID(int=uuid.uuid4().int >> 4).bytes
    return base64.urlsafe_b64encode(drawn).decode().rstrip("=")


class Seat(NamedTuple):
    """A broker's place in its cluster."""

    cluster: str
    """The cluster's id; the storage of all its brokers is made with it."""
    node: int
    controllers: Mapping[int, int]
    """Port of each node's controller."""


class KafkaBroker:
    """One broker that can be stopped, killed, frozen and started again, with its data."""

    def __init__(
        self,
        folder: Path,
        *,
        listeners: Mapping[str, tuple[str, int]] | None = None,
        advertised: Mapping[str, int] | None = None,
        properties: Mapping[str, str] | None = None,
        format_arguments: tuple[str, ...] = (),
        seat: Seat | None = None,
    ) -> None:
        """Say what the broker looks like; `start` runs it.

        Args:
            folder: Where its config, data and log go.
            listeners: Further listeners: name to protocol and port.
            advertised: Port that clients of a listener are told, where it is another one, as
                with a proxy before it.
            properties: Further lines of its config.
            format_arguments: Further arguments when its storage is made.
            seat: Its place in a cluster; one of its own when absent.
        """
        self._folder = folder
        self._libs = kafka_libs()
        self._port = free_port()
        self._seat = seat or Seat(cluster_id(), 1, {1: free_port()})
        self._advertised = dict(advertised or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._changes = 0
        self._format_arguments = format_arguments
        self.bootstrap = f"127.0.0.1:{self._port}"
        self.log = folder / "broker.log"
        self.data = folder / "data"
        folder.mkdir(parents=True, exist_ok=True)
        self._write_config(dict(listeners or {}), dict(properties or {}))
        self._format()

    def _write_config(
        self, listeners: dict[str, tuple[str, int]], properties: dict[str, str]
    ) -> None:
        seat = self._seat
        controller = seat.controllers[seat.node]
        voters = [f"{node}@127.0.0.1:{port}" for node, port in seat.controllers.items()]
        named = {"PLAINTEXT": ("PLAINTEXT", self._port), **listeners}
        addresses = [f"{name}://127.0.0.1:{port}" for name, (_, port) in named.items()]
        told = [
            f"{name}://127.0.0.1:{self._advertised.get(name, port)}"
            for name, (_, port) in named.items()
        ]
        protocols = [f"{name}:{protocol}" for name, (protocol, _) in named.items()]
        lines = {
            "process.roles": "broker,controller",
            "node.id": str(seat.node),
            "controller.quorum.voters": ",".join(voters),
            "listeners": ",".join([*addresses, f"CONTROLLER://127.0.0.1:{controller}"]),
            "advertised.listeners": ",".join(told),
            "listener.security.protocol.map": ",".join([*protocols, "CONTROLLER:PLAINTEXT"]),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.data),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "auto.create.topics.enable": "false",
            **properties,
        }
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        (self._folder / "server.properties").write_text(text)

    def _java(self, main: str, *arguments: str) -> list[str]:
        return [
            *("java", "-Xmx384m", "-XX:+UseSerialGC", "-cp", f"{self._libs}/*"),
            f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}",
            *(main, *arguments),
        ]

    def _format(self) -> None:
        command = self._java(
            "kafka.tools.StorageTool",
            *("format", "-t", self._seat.cluster),
            *("-c", str(self._folder / "server.properties"), *self._format_arguments),
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the storage could not be made: {done.stdout}{done.stderr}")

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Run the broker and wait until it serves."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Run the broker; `await_ready` says when it serves."""
        command = self._java("kafka.Kafka", str(self._folder / "server.properties"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    @property
    def running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None

    def await_ready(self, brokers: int = 1) -> None:
        """Wait until it serves and knows so many brokers, itself included.

        Raises:
            RuntimeError: It ended, or took too long; the text has the end of its log.
        """
        process = self._running()
        clock = SystemClock()
        until = clock.monotonic() + _READY_S * brokers
        while clock.monotonic() < until:
            if process.poll() is not None:
                break
            try:
                if len(self.admin().list_topics(timeout=1).brokers) >= brokers:
                    return
            except KafkaException:
                continue
        self.kill()
        raise RuntimeError(f"the broker did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Shut down in order; the data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash does; the data stays."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        # The signal stops one thread after the other, and each may answer a request before.
        threads = Path(f"/proc/{process.pid}/task")
        while not all(_is_stopped(thread) for thread in threads.iterdir()):
            time.sleep(0.01)  # ends at once: nothing can hold a stop up

    def thaw(self) -> None:
        """Undo `freeze`."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    # --- topics ------------------------------------------------------------------------------

    def admin(self) -> AdminClient:
        """Give a client for administration; what it was asked ends when it is collected."""
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def create_topic(self, topic: str, partitions: int = 4, **config: str) -> None:
        """Make a topic; `max_message_bytes="1000"` sets `max.message.bytes`."""
        named = {name.replace("_", "."): value for name, value in config.items()}
        new = NewTopic(topic, partitions, config=named)
        admin = self.admin()
        _done(admin.create_topics([new], operation_timeout=_ADMIN_S))
        self._await_topic(topic, partitions)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records."""
        admin = self.admin()
        _done(admin.delete_topics([topic], operation_timeout=_ADMIN_S))
        self._await_topic(topic, 0)

    def _await_topic(self, topic: str, partitions: int) -> None:
        """Wait until the broker itself knows what its controller has decided."""
        admin = self.admin()

        def shown() -> bool:
            found = admin.list_topics(timeout=_ADMIN_S).topics.get(topic)
            served = [p for p in found.partitions.values() if p.leader >= 0] if found else []
            return len(served) == partitions

        _await(shown, f"{topic} does not have {partitions} partitions")

    def set_config(self, topic: str, **config: str) -> None:
        """Change settings of a topic; they are in force when this returns."""
        self._set({name.replace("_", "."): value for name, value in config.items()}, topic)
        # A broker shows a change before it acts on it, and takes one change after the other:
        # once it shows a second one, the first is in force.
        self._changes += 1
        self._set({_OF_NO_MATTER: str(60_000 + self._changes)}, topic)

    def _set(self, config: Mapping[str, str], topic: str) -> None:
        """Have the controller change settings, and wait until the broker shows them."""
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        admin = self.admin()
        wanted = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        _done(admin.incremental_alter_configs([wanted]))
        asked = ConfigResource(ResourceType.TOPIC, topic)

        def shown() -> bool:
            (answer,) = admin.describe_configs([asked]).values()
            found = answer.result(_ADMIN_S)
            return all(found[name].value == value for name, value in config.items())

        _await(shown, f"{topic} does not show {dict(config)}")

    # --- rights ------------------------------------------------------------------------------

    def add_rights(self, rights: Sequence[AclBinding]) -> None:
        """Add rules of who may do what; they are in force when this returns."""
        admin = self.admin()
        _done(admin.create_acls(list(rights)))
        for right in rights:
            self._await_rights(_only(right), there=True)

    def take_rights(self, which: AclBindingFilter) -> None:
        """Delete rules; they are out of force when this returns."""
        admin = self.admin()
        _done(admin.delete_acls([which]))
        self._await_rights(which, there=False)

    def _await_rights(self, which: AclBindingFilter, *, there: bool) -> None:
        """Wait until the broker itself, which is asked, judges by what the controller has."""
        admin = self.admin()

        def shown() -> bool:
            asked = admin.describe_acls(which)
            return bool(asked.result(_ADMIN_S)) is there

        _await(shown, f"{which} is {'not ' if there else ''}in force")


def _done(futures: Mapping[Any, Any]) -> None:
    for future in futures.values():
        future.result(_ADMIN_S)


def _await(shown: Callable[[], bool], otherwise: str) -> None:
    """Ask a broker until it shows what its controller has decided."""
    clock = SystemClock()
    until = clock.monotonic() + _ADMIN_S
    while clock.monotonic() < until:
        if shown():
            return
    raise TimeoutError(otherwise)


def _only(right: AclBinding) -> AclBindingFilter:
    """Give what finds this rule and no other."""
    return AclBindingFilter(
        *(right.restype, right.name, right.resource_pattern_type, right.principal),
        *(right.host, right.operation, right.permission_type),
    )


def _is_stopped(thread: Path) -> bool:
    try:
        state = (thread / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return True  # it ended
    return state == "T"
