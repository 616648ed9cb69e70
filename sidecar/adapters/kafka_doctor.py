"""Looks at a Kafka cluster as the sidecar would meet it, and changes nothing there.

What comes out are facts; whether they are good is judged elsewhere. A question that gets no
answer is a fact too, with the reason.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    IncompatibleBrokerVersion,
    KafkaError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.api import Request
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest

from sidecar.adapters.kafka_client import bounded, client_arguments, why_unreachable
from sidecar.adapters.kafka_errors import CONNECT_ERRORS, text_of
from sidecar.adapters.kafka_facts import Cluster, Door, Group, Member, Right, Topic, Unanswered
from sidecar.adapters.kafka_questions import GroupAndRights, Quorum, TopicsAndRights
from sidecar.clock import Clock
from sidecar.config.settings import KafkaSettings

T = TypeVar("T")

# Numbers of the protocol: kinds of what has settings, and of coordinators.
_TOPIC, _BROKER = 2, 4
_GROUP, _TRANSACTION = 0, 1
_TOPIC_SETTINGS = (
    *("cleanup.policy", "max.message.bytes", "min.insync.replicas"),
    *("segment.ms", "segment.bytes"),
)
# Ids of producers are dealt out in rising order: nobody has this one.
_NO_PRODUCER = 2**63 - 1
_BROKER_SETTINGS = ("group.min.session.timeout.ms", "group.max.session.timeout.ms")
_UNTOLD: Final = -(2**31)
_CLOSE_S = 1.0
_RETRY_S = 0.2
# What the client raises for a question that the brokers are too old for.
_TOO_OLD = (IncompatibleBrokerVersion, NotImplementedError)
_UNANSWERED = (*CONNECT_ERRORS, *_TOO_OLD)
# A cluster that nobody has used yet makes its offsets topic when it is first asked.
_NOT_YET = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)


async def examine(
    kafka: KafkaSettings,
    topics: Sequence[str],
    client_id: str,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    timeout_s: float,
    transactional_id: str | None = None,
) -> Cluster:
    """Ask a cluster about everything that the sidecar needs from it.

    Writes nothing, joins no group, begins no transaction and creates no topic of ours. A
    cluster that never had a consumer group or a transaction makes its own
    `__consumer_offsets` or `__transaction_state` when asked for one.

    Args:
        kafka: Brokers, security and group, as the sidecar would use them.
        topics: Names of the topics.
        client_id: Name that brokers show and log.
        environ: Where secrets are looked up.
        clock: Compared with the brokers'.
        timeout_s: Longest time for all of it; what was found until then is given.
        transactional_id: One of those that the sidecar would use; None without transactions.
    """
    try:
        arguments = _arguments(kafka, client_id, environ)
    except (OSError, KeyError) as error:
        return Cluster(no_credentials=text_of(error))
    ask = _Asking(clock, timeout_s)
    doors = await ask.doors(arguments, kafka.bootstrap_servers, advertised=False)
    open_doors = [door.address for door in doors if not door.reason]
    cluster = Cluster(doors=doors)
    if open_doors:
        arguments["bootstrap_servers"] = open_doors
        client = AIOKafkaClient(**arguments)
        try:
            visit = _Visit(client, ask, arguments)
            cluster = await visit.all(cluster, kafka.group, topics)
            if transactional_id is not None and cluster.topics:
                cluster = await visit.transactions(cluster, transactional_id)
        finally:
            with contextlib.suppress(*_UNANSWERED):
                await bounded(client.close(), _CLOSE_S)
    return replace(cluster, unanswered=tuple(ask.unanswered), late=ask.late)


def _arguments(
    kafka: KafkaSettings, client_id: str, environ: Mapping[str, str]
) -> dict[str, Any]:
    security = kafka.security
    for path in (security.ca_file, security.certificate_file, security.key_file):
        if path is not None:
            path.open("rb").close()  # TLS itself would not say which of them is missing
    return client_arguments(kafka, client_id, environ)


class _Asking:
    """One time budget for all questions, and those that got no answer."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        self.clock = clock
        self._until = clock.monotonic() + timeout_s
        self.unanswered: list[Unanswered] = []
        self.late = False

    def left_s(self) -> float:
        return max(0.0, self._until - self.clock.monotonic())

    async def answer(self, question: str, call: Callable[[], Awaitable[T]]) -> T | None:
        """Give what a call gives, None when it fails or there is no time left for it."""
        try:
            if not self.left_s():
                raise TimeoutError("no time was left")
            return await bounded(call(), self.left_s())
        except _UNANSWERED as error:
            self.late = self.late or not self.left_s()
            self.unanswered.append(Unanswered(question, _why(error)))
            return None

    async def doors(
        self, arguments: Mapping[str, Any], addresses: Sequence[str], *, advertised: bool
    ) -> tuple[Door, ...]:
        """Knock at all addresses at once."""

        async def knock(address: str) -> Door:
            here = {**arguments, "bootstrap_servers": [address]}
            try:
                trouble = await bounded(why_unreachable(here), self.left_s())
            except TimeoutError as error:
                trouble = ("timeout", f"{address}: {text_of(error)}")
            return Door(address, advertised, *(trouble or ()))

        return tuple(await asyncio.gather(*map(knock, addresses)))


class _Visit:
    """The questions to a cluster with at least one open door."""

    def __init__(
        self, client: AIOKafkaClient, ask: _Asking, arguments: Mapping[str, Any]
    ) -> None:
        self._client = client
        self._ask = ask
        self._arguments = arguments
        self._node = -1

    async def all(self, cluster: Cluster, group: str, topics: Sequence[str]) -> Cluster:
        """Ask everything, and add the answers to what is known."""
        ask = self._ask
        if await ask.answer("the brokers of the cluster", self._enter) is None:
            return cluster
        brokers = {f"{b.host}:{b.port}": b.nodeId for b in self._client.cluster.brokers()}
        known = {door.address for door in cluster.doors if not door.reason}
        others = [address for address in brokers if address not in known]
        inner = await ask.doors(self._arguments, others, advertised=True)
        cluster = replace(cluster, doors=cluster.doors + inner)
        shut = {door.address for door in inner if door.reason}
        reachable = [node for address, node in brokers.items() if address not in shut]
        if not reachable:
            return cluster
        self._node = reachable[0]
        found = await ask.answer("the topics", lambda: self._topics(topics))
        lacking = found and any(not (t.seen or t.hidden) for t in found.values())
        return replace(
            cluster,
            topics=found,
            others=(await ask.answer("all topics", self._names) or ()) if lacking else (),
            group=await ask.answer(f"the group `{group}`", lambda: self._group(group)),
            broker_settings=await ask.answer("the brokers' settings", self._broker_settings),
            ahead_ms=await ask.answer("the brokers' clock", self._ahead_ms),
        )

    async def _enter(self) -> bool:
        await self._client.bootstrap()
        return True

    async def _send(self, request: Request[Any], node: int | None = None) -> Any:
        return await self._client.send(self._node if node is None else node, request)

    async def _topics(self, names: Sequence[str]) -> dict[str, Topic]:
        answer = await self._send(TopicsAndRights(list(names)))
        settings = await self._ask.answer(
            "the topics' settings",
            lambda: self._settings([(_TOPIC, name, _TOPIC_SETTINGS) for name in names]),
        )
        if settings is None:
            settings = {name: {} for name in names}
        return {
            name: _topic(code, name, partitions, rights, settings.get(name))
            for code, name, _internal, partitions, rights in answer.topics
        }

    async def _names(self) -> tuple[str, ...]:
        """Give the names of all topics but the cluster's own."""
        answer = await self._send(TopicsAndRights(None))
        return tuple(name for _code, name, internal, *_ in answer.topics if not internal)

    async def _settings(
        self, wanted: Sequence[tuple[int, str, Sequence[str]]]
    ) -> dict[str, dict[str, str]]:
        """Give settings by topic or broker; those that may not be read are not there."""
        request = DescribeConfigsRequest([(kind, name, list(s)) for kind, name, s in wanted])
        answer = await self._send(request)
        return {
            name: {entry[0]: entry[1] for entry in entries}
            for code, _message, _kind, name, entries in answer.resources
            if not code
        }

    async def _broker_settings(self) -> dict[str, str]:
        name = str(self._node)
        found = await self._settings([(_BROKER, name, _BROKER_SETTINGS)])
        if name not in found:
            raise KafkaError("this user lacks `DescribeConfigs` on the cluster")
        return found[name]

    async def _group(self, name: str) -> Group:
        while True:
            try:
                return await self._group_now(name)
            except GroupAuthorizationFailedError:
                return Group(rights=frozenset())
            except _NOT_YET:
                await asyncio.sleep(_RETRY_S)

    async def _group_now(self, name: str) -> Group:
        place = await self._send(FindCoordinatorRequest(name, _GROUP))
        _raise_for(place.error_code)
        answer = await self._send(GroupAndRights(name), place.coordinator_id)
        code, _name, state, kind, assignor, members, rights = answer.groups[0]
        _raise_for(code)
        who = tuple(Member(client_id, host) for _id, client_id, host, *_ in members)
        return Group(state, kind, assignor, who, _rights(rights))

    async def transactions(self, cluster: Cluster, transactional_id: str) -> Cluster:
        """Ask whether transactions are allowed, and add the answer."""
        topic = next(iter(cluster.topics or ()))
        may = await self._ask.answer(
            "the right to transactions", lambda: self._may_transact(transactional_id, topic)
        )
        return replace(cluster, may_transact=may)

    async def _may_transact(self, transactional_id: str, topic: str) -> bool:
        """Ask to write in the name of a producer that nobody is: the right is looked at first.

        A real producer with this id would put out the one that has it.
        """
        request = AddPartitionsToTxnRequest(transactional_id, _NO_PRODUCER, 0, [(topic, [0])])
        while True:
            try:
                place = await self._send(FindCoordinatorRequest(transactional_id, _TRANSACTION))
                _raise_for(place.error_code)
                answer = await self._send(request, place.coordinator_id)
                errors = [for_code(code) for _, each in answer.errors for _, code in each]
                return TransactionalIdAuthorizationFailed not in errors
            except TransactionalIdAuthorizationFailed:
                return False
            except _NOT_YET:
                await asyncio.sleep(_RETRY_S)

    async def _ahead_ms(self) -> int:
        """Compare clocks: the answer was written at some moment between asking and hearing."""
        asked_ms = self._ask.clock.now_ms()
        answer = await self._send(Quorum())
        heard_ms = self._ask.clock.now_ms()
        _raise_for(answer.error_code)
        return _beyond(_leader_ms(answer.topics[0][1][0]), asked_ms, heard_ms)


def _leader_ms(partition: Sequence[Any]) -> int:
    """Give the moment at which the leader of the quorum answered."""
    _number, code, leader, _epoch, _end, voters, *_ = partition
    _raise_for(code)
    for replica, _offset, _fetched_ms, caught_up_ms, _tags in voters:
        if replica == leader and caught_up_ms > 0:
            told: int = caught_up_ms
            return told
    raise KafkaError("the leader of the quorum is not known")


def _topic(
    code: int,
    name: str,
    partitions: Sequence[Any],
    rights: int,
    settings: Mapping[str, str] | None,
) -> Topic:
    error = for_code(code)
    if error in (TopicAuthorizationFailedError, UnknownTopicOrPartitionError):
        return Topic(name, hidden=error is TopicAuthorizationFailedError)
    replicas = [(leader, each, in_sync) for _c, _p, leader, _e, each, in_sync, _o in partitions]
    return Topic(
        name,
        seen=not code,
        partitions=len(partitions),
        leaderless=sum(leader < 0 for leader, _, _ in replicas),
        replicas=min((len(each) for _, each, _ in replicas), default=0),
        in_sync=min((len(in_sync) for _, _, in_sync in replicas), default=0),
        rights=_rights(rights),
        settings=settings,
    )


def _why(error: BaseException) -> str:
    if isinstance(error, _TOO_OLD):
        return "these brokers do not know the question"
    return text_of(error)


def _rights(bits: int) -> frozenset[Right] | None:
    """Read a set of operations, of which bit *n* stands for the operation with number *n*."""
    if bits == _UNTOLD:
        return None
    return frozenset(right for right in Right if bits >> right & 1)


def _beyond(value: int, low: int, high: int) -> int:
    """Give how far a value lies outside a range; 0 inside."""
    return value - min(max(value, low), high)


def _raise_for(code: int) -> None:
    if code:
        raise for_code(code)()
