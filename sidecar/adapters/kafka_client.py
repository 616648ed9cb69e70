"""What the Kafka adapters share: client arguments, and calls that come to an end.

The client is aiokafka. Its word is not enough: `getmany`, `commit` and `stop` may hang, `stop`
of a consumer may raise `CancelledError` in whoever called it, and a connection that is refused
says only that there is none. Each of these is put right here, once.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from aiokafka import AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import create_conn
from aiokafka.errors import ProducerClosed
from aiokafka.protocol.metadata import MetadataRequest

from sidecar.adapters.kafka_errors import CONNECT_ERRORS, reason_of, text_of
from sidecar.config.settings import KafkaSettings
from sidecar.config.values import Secret

T = TypeVar("T")

_PROBE_S = 5.0
# Shortest time between two looks for brokers and leaders by one client.
_LOOK_EVERY_S = 0.05
_HANG_UP_S = 1.0

# --- arguments -----------------------------------------------------------------------------


class SecretTokens(AbstractTokenProvider):
    """OAUTHBEARER tokens from a secret that somebody else renews.

    The client asks once for each connection, and the secret is read again each time.
    """

    def __init__(self, secret: Secret, environ: Mapping[str, str]) -> None:
        """Take the token from `secret`."""
        self._secret = secret
        self._environ = environ

    async def token(self) -> str:
        """Give the token as it stands at this moment."""
        return await asyncio.to_thread(self._secret.reveal, self._environ)


def client_arguments(
    kafka: KafkaSettings, client_id: str, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Give what consumer and producer are built with alike.

    Secrets are read here, so a client that is built anew has the current ones.

    Raises:
        OSError: A file of a secret or certificate cannot be read, or is none.
        KeyError: The variable of a secret is not set.
    """
    security = kafka.security
    arguments: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "client_id": client_id,
        "request_timeout_ms": kafka.request_timeout.ms,
        "security_protocol": security.protocol.upper(),
    }
    if security.protocol in {"ssl", "sasl_ssl"}:
        arguments["ssl_context"] = _tls_context(kafka)
    if security.protocol.startswith("sasl_") and (sasl := security.sasl) is not None:
        arguments["sasl_mechanism"] = sasl.mechanism
        if sasl.mechanism == "OAUTHBEARER":
            if sasl.token is not None:
                arguments["sasl_oauth_token_provider"] = SecretTokens(sasl.token, environ)
        else:
            arguments["sasl_plain_username"] = sasl.username
            arguments["sasl_plain_password"] = (
                sasl.password.reveal(environ) if sasl.password is not None else ""
            )
    return arguments


def _tls_context(kafka: KafkaSettings) -> ssl.SSLContext:
    security = kafka.security
    context = ssl.create_default_context(cafile=security.ca_file)
    context.check_hostname = security.check_hostname
    if security.certificate_file is not None:
        context.load_cert_chain(security.certificate_file, security.key_file)
    return context


async def why_unreachable(arguments: Mapping[str, Any]) -> tuple[str, str] | None:
    """Find out why no broker could be reached, which the client only logs.

    Args:
        arguments: Those of `client_arguments`.

    Returns:
        The reason and a text for people; None when a broker answers after all.
    """
    connection = {k: v for k, v in arguments.items() if k != "bootstrap_servers"}
    troubles = await asyncio.gather(
        *(_trouble_at(address, connection) for address in arguments["bootstrap_servers"])
    )
    return None if None in troubles else troubles[0]


async def _trouble_at(address: str, connection: Mapping[str, Any]) -> tuple[str, str] | None:
    host, _, port = address.rpartition(":")
    try:
        known = await bounded(_ask(host.strip("[]"), int(port), connection), _PROBE_S)
    except CONNECT_ERRORS as error:
        cause = _root(error)
        return reason_of(cause), f"{address}: {text_of(cause)}"
    # The client takes a refused token for an accepted one, and then the refusal for the answer
    # to its first question.
    refused = ("authentication_failed", f"{address}: the token was not accepted")
    return None if known else refused


async def _ask(host: str, port: int, connection: Mapping[str, Any]) -> bool:
    """Connect, log in and ask for the brokers of the cluster; say whether any are named."""
    opened = await create_conn(host, port, **connection)
    try:
        answer = await opened.send(MetadataRequest([]))
    finally:
        await asyncio.wait((opened.close(),), timeout=_HANG_UP_S)
    return bool(answer.brokers)


def _root(error: BaseException) -> BaseException:
    """Give the first cause: a failed handshake may arrive wrapped in a connection error."""
    cause = error.__cause__
    return _root(cause) if isinstance(cause, Exception) else error


# --- calls that are not repeated without a pause -------------------------------------------

_looked_s: WeakKeyDictionary[AIOKafkaClient, float] = WeakKeyDictionary()


async def _look_again(
    self: AIOKafkaClient,
    cluster: ClusterMetadata,
    topics: Any,
    # A default, so that the client's own method is looked up once, before it is replaced.
    look: Any = AIOKafkaClient._metadata_update,
) -> Any:
    """Look for brokers and leaders, a little after the last time.

    A producer that knows no leader asks for one without a pause, and so does a connection that
    is refused: some 4,000 times a second while a broker is away, with two log lines each, at
    the cost of a whole core.
    """
    if cluster is self.cluster:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(_looked_s.get(self, -_LOOK_EVERY_S) + _LOOK_EVERY_S - loop.time())
        _looked_s[self] = loop.time()
    return await look(self, cluster, topics)


AIOKafkaClient._metadata_update = _look_again  # type: ignore[method-assign]

# --- calls with an end ---------------------------------------------------------------------

# Tasks that were given up on: kept so that they are not collected while they still run.
_abandoned: set[asyncio.Future[Any]] = set()


async def bounded(call: Awaitable[T], timeout_s: float) -> T:
    """Await a call of the client in a task of its own, for so long and no longer.

    A call that hangs even when cancelled is left behind, and a `CancelledError` that comes out
    of the client itself does not look like our own cancellation.

    Raises:
        TimeoutError: No end in time, or the client cancelled its own call.
    """
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait((task,), timeout=timeout_s)
    finally:
        if not task.done():
            _abandon(task)
    if not task.done():
        raise TimeoutError(f"the client did not answer within {timeout_s:g} s")
    if task.cancelled():
        raise TimeoutError("the client cancelled its own call")
    return task.result()


def _abandon(task: asyncio.Future[Any]) -> None:
    task.cancel()
    _abandoned.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Future[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # seen; else asyncio reports it as never retrieved


# Where aiokafka 0.14 keeps its background tasks. A `stop` that does not end leaves them
# running: they would heartbeat, fetch or send on behalf of a client that was replaced.
_BACKGROUND = (
    ("_coordinator", "_heartbeat_task"),
    ("_coordinator", "_commit_refresh_task"),
    ("_coordinator", "_coordination_task"),
    ("_fetcher", "_fetch_task"),
    ("_sender", "_sender_task"),
)


class Client(Protocol):
    """A consumer or a producer."""

    async def stop(self) -> None:
        """Flush, leave the group, disconnect; may hang."""
        ...


async def close_client(client: Client, timeout_s: float) -> None:
    """Stop a client; when that does not end in time, cut its tasks and connections.

    Ends within `timeout_s` and raises nothing.
    """
    cut_s = min(1.0, timeout_s / 4)
    try:
        await bounded(client.stop(), timeout_s - cut_s)
    except Exception:  # noqa: BLE001 - whatever it is, what is left of the client must go
        await _cut(client, cut_s)


async def discard_producer(producer: AIOKafkaProducer, timeout_s: float) -> None:
    """Close a producer without writing what it still holds.

    `stop` alone would go on trying to write it, at the same time as the next producer writes
    the same records again.
    """
    part_s = timeout_s / 4
    sender = getattr(getattr(producer, "_sender", None), "sender_task", None)
    if sender is not None:
        _abandon(sender)
        # Without connections, what is under way ends at once.
        with contextlib.suppress(Exception):
            await bounded(producer.client.close(), part_s)
        await asyncio.wait((sender,), timeout=part_s)
    # How a transaction ended is of interest to the one who commits it alone.
    ended = getattr(getattr(producer, "_txn_manager", None), "_transaction_waiter", None)
    if ended is not None and ended.done() and not ended.cancelled():
        ended.exception()
    accumulator = getattr(producer, "_message_accumulator", None)
    if accumulator is not None:
        # A batch that waits for another try is not among the pending ones, from which its own
        # callback is about to remove it.
        for waiting in accumulator._batches.values():
            accumulator._pending_batches.update(waiting)
        failed = list(accumulator._pending_batches)
        accumulator.fail_all(ProducerClosed())
        for batch in failed:
            # Nobody waits for a batch to be sent once more, so nobody asks how that ended.
            if batch._drain_waiter.done():
                batch._drain_waiter.exception()
    await close_client(producer, 2 * part_s)


async def _cut(client: Client, timeout_s: float) -> None:
    tasks = {getattr(getattr(client, owner, None), name, None) for owner, name in _BACKGROUND}
    tasks |= getattr(getattr(client, "_fetcher", None), "_pending_tasks", set())
    running = {task for task in tasks if task is not None and not task.done()}
    for task in running:
        _abandon(task)
    if running:
        # First these, or one of them would connect again.
        await asyncio.wait(running, timeout=timeout_s / 2)
    network = getattr(client, "_client", None) or getattr(client, "client", None)
    if network is not None:
        with contextlib.suppress(Exception):
            await bounded(network.close(), timeout_s / 2)
