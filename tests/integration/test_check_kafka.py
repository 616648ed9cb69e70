"""`check --connect` on real brokers: each trouble is made there, and found."""

import asyncio
import contextlib
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from confluent_kafka.admin import (
    AclOperation,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from sidecar.app.checking import Problem, check_files
from sidecar.app.checks.check import Severity
from sidecar.clock import SystemClock
from sidecar.demo.broker import EmbeddedBroker
from tests.brokers.kafka import KafkaBroker, free_port
from tests.brokers.secure import PASSWORD, STRANGER, USER, SecureBroker
from tests.unit.config.conftest import overlay

pytestmark = pytest.mark.kafka

OUTPUTS = ("decisions", "dead_letters", "state")
"""Keys of the topics that must be there; `signals` may be missing."""
KEPT = {"cleanup_policy": "compact", "segment_ms": "600000"}
ONCE = {"delivery": {"mode": "exactly_once"}}
UNCALIBRATED = "windows-are-uncalibrated"
"""The bundle is too small for windows of an hour, and that is no matter of the cluster."""
ENVIRON = {"PASSWORD": PASSWORD}


class Case:
    """A config of its own, with topics and a group of its own."""

    def __init__(self, folder: Path, bundle: Path, address: str) -> None:
        self.name = f"check-{uuid.uuid4().hex[:8]}"
        self.events = f"{self.name}.events"
        self.decisions = f"{self.name}.decisions"
        self.dead_letters = f"{self.name}.dead-letters"
        self.signals = f"{self.name}.signals"
        self.state = f"{self.name}.state"
        self.group = f"{self.name}-sidecar"
        self._path = folder / "sidecar.yaml"
        self._tree: dict[str, object] = {
            "name": self.name,
            "kafka": {"bootstrap_servers": [address]},
            "topics": {"events": self.events},
            "model": {"bundle": str(bundle)},
        }

    @property
    def topics(self) -> tuple[str, ...]:
        return self.events, self.decisions, self.dead_letters, self.signals, self.state

    def create(self, broker: KafkaBroker) -> "Case":
        for topic in self.topics[:-1]:
            broker.create_topic(topic, 2)
        broker.create_topic(self.state, 2, **KEPT)
        return self

    def written(self, changes: Mapping[str, object]) -> Path:
        self._path.write_text(yaml.safe_dump(overlay(self._tree, changes)), encoding="utf-8")
        return self._path

    async def problems(
        self, changes: Mapping[str, object] | None = None, **more: Any
    ) -> list[Problem]:
        arguments: dict[str, Any] = {"clock": SystemClock(), "connect_s": 20, **more}
        told = await check_files([self.written(changes or {})], ENVIRON, **arguments)
        return [p for p in told if p.check != UNCALIBRATED]

    async def found(
        self, changes: Mapping[str, object] | None = None, **more: Any
    ) -> list[tuple[str, str]]:
        """Give check and setting of each problem, but for what every single broker has."""
        told = await self.problems(changes, **more)
        return [(p.check, p.path) for p in told if p.check != "topic-has-one-copy"]


@pytest.fixture
def case(kafka: KafkaBroker, credit_bundle: Path, tmp_path: Path) -> Case:
    """A config whose topics are all there and alike."""
    return Case(tmp_path, credit_bundle, kafka.bootstrap).create(kafka)


@pytest.fixture
def bare(kafka: KafkaBroker, credit_bundle: Path, tmp_path: Path) -> Case:
    """A config whose topics are not there yet."""
    return Case(tmp_path, credit_bundle, kafka.bootstrap)


# --- what is well ----------------------------------------------------------------------------


async def test_on_one_broker_only_the_single_copies_are_told(case: Case) -> None:
    told = await case.problems()

    assert {(p.check, p.path, p.severity) for p in told} == {
        ("topic-has-one-copy", f"$.topics.{key}", Severity.WARNING)
        for key in ("events", *OUTPUTS, "signals")
    }


async def test_nothing_is_made_on_the_cluster(kafka: KafkaBroker, bare: Case) -> None:
    before = set(kafka.admin().list_topics(timeout=10).topics)

    await bare.problems(ONCE)

    after = set(kafka.admin().list_topics(timeout=10).topics)
    assert after - before <= {"__consumer_offsets", "__transaction_state"}
    admin = kafka.admin()
    groups = admin.list_consumer_groups().result(10).valid
    assert bare.group not in {group.group_id for group in groups}


# --- getting in ------------------------------------------------------------------------------


async def test_a_dead_address_is_an_error_alone_and_a_warning_beside_others(
    kafka: KafkaBroker, case: Case
) -> None:
    alone = {"kafka": {"bootstrap_servers": ["127.0.0.1:1"]}}
    beside = {"kafka": {"bootstrap_servers": [kafka.bootstrap, "127.0.0.1:1"]}}

    assert await case.found(alone) == [
        ("broker-cannot-be-reached", "$.kafka.bootstrap_servers[0]")
    ]
    assert await case.found(beside) == [("address-is-dead", "$.kafka.bootstrap_servers[1]")]


def secured(secure: SecureBroker, user: str = USER, **more: object) -> dict[str, Any]:
    sasl = {"mechanism": "PLAIN", "username": user, "password": {"env": "PASSWORD"}}
    security = {"protocol": "sasl_ssl", "ca_file": str(secure.ca), "sasl": sasl, **more}
    return {"kafka": {"bootstrap_servers": [secure.sasl], "security": security}}


@pytest.fixture
def secure_case(secure_kafka: SecureBroker, credit_bundle: Path, tmp_path: Path) -> Case:
    case = Case(tmp_path, credit_bundle, secure_kafka.sasl)
    return case.create(secure_kafka.broker)


async def test_a_user_with_all_rights_finds_nothing(
    secure_kafka: SecureBroker, secure_case: Case
) -> None:
    assert await secure_case.found(secured(secure_kafka)) == []
    assert await secure_case.found({**secured(secure_kafka), **ONCE}) == []


async def test_a_missing_file_is_named(secure_kafka: SecureBroker, secure_case: Case) -> None:
    told = await secure_case.problems(secured(secure_kafka, ca_file="no-ca.pem"))

    assert [(p.check, p.path) for p in told] == [
        ("credentials-cannot-be-read", "$.kafka.security")
    ]
    assert "no-ca.pem" in told[0].message


async def test_a_wrong_password_is_a_matter_of_login(
    secure_kafka: SecureBroker, secure_case: Case
) -> None:
    path = secure_case.written(secured(secure_kafka))

    told = await check_files([path], {"PASSWORD": "hunter2"}, SystemClock(), connect_s=20)

    assert [(p.check, p.path) for p in told if p.check != UNCALIBRATED] == [
        ("login-fails", "$.kafka.security")
    ]
    assert "hunter2" not in str(told)


async def test_an_authority_that_is_not_trusted_is_a_matter_of_tls(
    secure_kafka: SecureBroker, secure_case: Case
) -> None:
    changes = secured(secure_kafka, ca_file=str(secure_kafka.other_ca))

    assert await secure_case.found(changes) == [("tls-fails", "$.kafka.security")]


async def test_plain_text_to_a_tls_port_is_told_to_check_the_protocol(
    secure_kafka: SecureBroker, secure_case: Case
) -> None:
    changes = {"kafka": {"bootstrap_servers": [secure_kafka.sasl]}}

    (problem,) = await secure_case.problems(changes)

    assert problem.check == "broker-cannot-be-reached"
    assert "and the protocol" in problem.mend


# --- rights ----------------------------------------------------------------------------------


async def test_a_user_without_rights_is_told_each(
    secure_kafka: SecureBroker, secure_case: Case
) -> None:
    told = await secure_case.found(secured(secure_kafka, STRANGER))

    assert sorted(told) == sorted(
        [
            ("group-may-not-be-read", "$.kafka.group"),
            ("question-got-no-answer", "$.kafka.bootstrap_servers"),
            ("question-got-no-answer", "$.kafka.bootstrap_servers"),
            *(("topic-is-hidden", f"$.topics.{key}") for key in ("events", *OUTPUTS)),
            ("signals-are-not-told", "$.topics.signals"),
        ]
    )


async def test_a_user_who_may_only_look_is_told_what_is_lacking(
    secure_kafka: SecureBroker, secure_case: Case
) -> None:
    secure_kafka.allow(AclOperation.DESCRIBE, *secure_case.topics)

    told = set(await secure_case.found(secured(secure_kafka, STRANGER)))

    assert {pair for pair in told if pair[1].startswith("$.topics")} == {
        ("topic-may-not-be-read", "$.topics.events"),
        ("topic-may-not-be-written", "$.topics.decisions"),
        ("topic-may-not-be-written", "$.topics.dead_letters"),
        ("topic-may-not-be-read", "$.topics.state"),
        ("topic-may-not-be-written", "$.topics.state"),
        ("signals-are-not-told", "$.topics.signals"),
        *(
            ("settings-may-not-be-read", f"$.topics.{key}")
            for key in ("events", *OUTPUTS, "signals")
        ),
    }


async def test_a_user_who_may_not_use_transactions_is_told(
    secure_kafka: SecureBroker, secure_case: Case
) -> None:
    secure_kafka.allow(AclOperation.ALL, *secure_case.topics)
    changes = {**secured(secure_kafka, STRANGER), **ONCE}

    told = await secure_case.problems(changes)
    secure_kafka.allow(
        AclOperation.WRITE,
        f"{secure_case.group}.{secure_case.events}.",
        kind=ResourceType.TRANSACTIONAL_ID,
        pattern=ResourcePatternType.PREFIXED,
    )
    granted = await secure_case.found(changes)

    (problem,) = [p for p in told if p.check == "transactions-are-not-allowed"]
    assert problem.path == "$.delivery.mode"
    assert f"`{secure_case.group}.{secure_case.events}.`" in problem.message
    assert "transactions-are-not-allowed" not in dict(granted)


# --- topics ----------------------------------------------------------------------------------


async def test_missing_topics_are_named(bare: Case) -> None:
    told = await bare.problems()

    assert {(p.check, p.path, p.severity) for p in told} == {
        *(
            ("topic-is-missing", f"$.topics.{key}", Severity.ERROR)
            for key in ("events", "decisions", "dead_letters")
        ),
        ("state-is-missing", "$.topics.state", Severity.ERROR),
        ("signals-are-not-told", "$.topics.signals", Severity.WARNING),
    }


async def test_a_misspelt_topic_is_met_with_the_nearest(case: Case) -> None:
    misspelt = {"topics": {"events": case.events.replace("events", "event")}}

    (problem,) = [p for p in await case.problems(misspelt) if p.check == "topic-is-missing"]

    assert problem.message.endswith(f"did you mean `{case.events}`?")


async def test_partition_counts_that_differ_say_what_happens(
    kafka: KafkaBroker, bare: Case
) -> None:
    kafka.create_topic(bare.events, 4)
    kafka.create_topic(bare.decisions, 4)
    kafka.create_topic(bare.dead_letters, 1)
    kafka.create_topic(bare.state, 4, **KEPT)
    kafka.create_topic(bare.signals, 1)

    (problem,) = [p for p in await bare.problems() if p.check != "topic-has-one-copy"]

    assert (problem.check, problem.path) == ("partition-counts-differ", "$.topics.dead_letters")
    assert "input partition n goes to n modulo 1, each key stays in order" in problem.message


@pytest.mark.parametrize(
    ("topic", "settings", "told"),
    [
        pytest.param(
            "events",
            {"cleanup_policy": "compact"},
            ("events-are-compacted", "$.topics.events"),
            id="events compacted",
        ),
        pytest.param(
            "decisions",
            {"cleanup_policy": "compact,delete"},
            ("output-is-compacted", "$.topics.decisions"),
            id="decisions compacted",
        ),
        pytest.param(
            "events",
            {"max_message_bytes": "1051000"},
            ("dead-letters-lose-their-payload", "$.topics.dead_letters"),
            id="larger events",
        ),
        pytest.param(
            "dead_letters",
            {"max_message_bytes": "100000"},
            ("dead-letters-lose-their-payload", "$.topics.dead_letters"),
            id="small dead letters",
        ),
        pytest.param(
            "decisions",
            {"min_insync_replicas": "2"},
            ("too-few-copies", "$.topics.decisions"),
            id="too few copies",
        ),
        pytest.param(
            "signals",
            {"cleanup_policy": "compact"},
            ("signals-are-compacted", "$.topics.signals"),
            id="signals compacted",
        ),
        pytest.param(
            "signals",
            {"min_insync_replicas": "2"},
            ("signals-are-not-told", "$.topics.signals"),
            id="signals take no write",
        ),
        pytest.param(
            "state",
            {"cleanup_policy": "delete"},
            ("state-is-not-compacted", "$.topics.state"),
            id="state forgets",
        ),
        pytest.param(
            "state",
            {"segment_ms": "604800000"},
            ("state-is-slow-to-read", "$.topics.state"),
            id="state in one large segment",
        ),
    ],
)
async def test_settings_of_a_topic_that_do_harm_are_told(
    kafka: KafkaBroker, case: Case, topic: str, settings: dict[str, str], told: tuple[str, str]
) -> None:
    kafka.set_config(getattr(case, topic), **settings)

    assert told in await case.found()


async def test_events_that_the_sidecar_refuses_for_their_size_are_told(case: Case) -> None:
    assert await case.found({"limits": {"max_record_bytes": "100KiB"}}) == [
        ("large-events-are-refused", "$.limits.max_record_bytes")
    ]


# --- the group -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def member(
    kafka: KafkaBroker, case: Case, assignor: type[Any], client_id: str
) -> AsyncIterator[None]:
    consumer = AIOKafkaConsumer(
        case.events,
        bootstrap_servers=kafka.bootstrap,
        group_id=case.group,
        client_id=client_id,
        partition_assignment_strategy=(assignor,),
    )
    await consumer.start()
    try:
        yield
    finally:
        await consumer.stop()


async def test_more_partitions_than_one_process_should_have_are_told(case: Case) -> None:
    changes = {"delivery": {"mode": "exactly_once", "max_partitions": 1}}

    assert await case.found(changes) == [
        ("transactions-need-many-connections", "$.delivery.max_partitions")
    ]


async def test_a_replica_in_the_group_is_no_trouble(kafka: KafkaBroker, case: Case) -> None:
    async with member(kafka, case, StickyPartitionAssignor, case.name):
        assert await case.found() == []


async def test_a_stranger_in_the_group_is_named(kafka: KafkaBroker, case: Case) -> None:
    async with member(kafka, case, StickyPartitionAssignor, "billing"):
        (problem,) = [p for p in await case.problems() if p.path == "$.kafka.group"]

    assert problem.check == "group-has-strangers"
    assert problem.message == f"members that are not `{case.name}`: `billing` at /127.0.0.1"


async def test_a_group_with_another_assignor_cannot_be_joined(
    kafka: KafkaBroker, case: Case
) -> None:
    async with member(kafka, case, RangePartitionAssignor, case.name):
        assert await case.found() == [("group-shares-another-way", "$.kafka.group")]


async def test_a_session_that_the_brokers_refuse_is_told(case: Case) -> None:
    assert await case.found({"kafka": {"session_timeout": "31m"}}) == [
        ("session-timeout-is-unusual", "$.kafka.session_timeout"),
        ("session-timeout-is-refused", "$.kafka.session_timeout"),
    ]


# --- clock, memory, time ---------------------------------------------------------------------


class WrongClock(SystemClock):
    """The machine's clock, which somebody set wrong."""

    def __init__(self, by_ms: int) -> None:
        self._by_ms = by_ms

    def now_ms(self) -> int:
        return super().now_ms() + self._by_ms


@pytest.mark.parametrize(
    ("by_s", "words"), [(-60, "s ahead of this machine's"), (60, "s behind this machine's")]
)
async def test_a_wrong_clock_is_found(case: Case, by_s: int, words: str) -> None:
    told = await case.problems(clock=WrongClock(by_s * 1000))

    (problem,) = [p for p in told if p.check == "clocks-differ"]
    said = re.fullmatch(r"the brokers' clock is ([0-9.]+) (.*)", problem.message)
    assert said is not None
    assert (round(float(said[1]) / 10), said[2]) == (6, words)


async def test_the_windows_of_all_partitions_are_added_up(case: Case) -> None:
    monitors = {"pane": "1s", "windows": ["2d"], "lateness": "1h"}

    assert await case.found({"monitors": monitors}) == [
        ("windows-were-not-measured", "$.monitors.windows"),
        ("all-windows-need-much-memory", "$.monitors.windows"),
    ]


async def test_a_broker_that_hangs_is_told_in_time(kafka: KafkaBroker, case: Case) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    kafka.freeze()
    try:
        told = await case.found(connect_s=1)
    finally:
        kafka.thaw()

    assert told == [("broker-cannot-be-reached", "$.kafka.bootstrap_servers[0]")]
    assert loop.time() - began < 8


@contextlib.asynccontextmanager
async def first_call_only(address: str) -> AsyncIterator[str]:
    """A way to a broker that carries one connection, and lets all later ones wait."""
    host, _, port = address.rpartition(":")
    writers: list[asyncio.StreamWriter] = []
    ways: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if len(writers) > 1:
            return
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        writers.append(inner_writer)
        ways.add(asyncio.create_task(carry(reader, inner_writer)))
        ways.add(asyncio.create_task(carry(inner_reader, writer)))

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    try:
        ours = server.sockets[0].getsockname()
        yield f"{ours[0]}:{ours[1]}"
    finally:
        server.close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_time_that_runs_out_between_questions_is_told(
    kafka: KafkaBroker, case: Case
) -> None:
    async with first_call_only(kafka.bootstrap) as address:
        changes = {"kafka": {"bootstrap_servers": [address]}}
        told = await case.found(changes, connect_s=2)

    assert told == [
        ("time-ran-out", "$.kafka.bootstrap_servers"),
        ("question-got-no-answer", "$.kafka.bootstrap_servers"),
    ]


@pytest.mark.mock_kafka
async def test_brokers_that_do_not_know_the_questions_leave_notes(
    embedded: EmbeddedBroker, credit_bundle: Path, tmp_path: Path
) -> None:
    case = Case(tmp_path, credit_bundle, embedded.bootstrap_servers[0])
    for topic in case.topics:
        embedded.create_topic(topic, 2)

    told = await case.found()

    assert Counter(told) == {
        ("question-got-no-answer", "$.kafka.bootstrap_servers"): 4,
        **{
            ("rights-are-not-told", f"$.topics.{key}"): 1
            for key in ("events", *OUTPUTS, "signals")
        },
    }


# --- two brokers -----------------------------------------------------------------------------


class Pair:
    """Two brokers, of which the second may be killed."""

    def __init__(self, folder: Path) -> None:
        self.first = KafkaBroker(folder / "one")
        self.first.start()
        config = (folder / "one" / "server.properties").read_text(encoding="utf-8")
        (voters,) = re.findall(r"^controller.quorum.voters=(.*)$", config, re.MULTILINE)
        port = free_port()
        self.second = KafkaBroker(
            folder / "two",
            listeners={"PLAINTEXT": ("PLAINTEXT", port)},
            properties={
                "process.roles": "broker",
                "node.id": "2",
                "controller.quorum.voters": voters,
                "listeners": f"PLAINTEXT://127.0.0.1:{port}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            },
        )
        self.second.bootstrap = f"127.0.0.1:{port}"
        self._join(folder / "one" / "data", folder / "two" / "data")
        self.second.start()

    def _join(self, one: Path, two: Path) -> None:
        """Give the second the cluster id of the first."""
        pattern = re.compile(r"^cluster.id=.*$", re.MULTILINE)
        found = pattern.search((one / "meta.properties").read_text(encoding="utf-8"))
        assert found is not None
        ours = two / "meta.properties"
        ours.write_text(pattern.sub(found[0], ours.read_text(encoding="utf-8")))

    def create(self, topic: str, copies: list[int], **config: str) -> None:
        named = {name.replace("_", "."): value for name, value in config.items()}
        new = NewTopic(topic, 2, replica_assignment=[copies, copies], config=named)
        admin = self.first.admin()
        for future in admin.create_topics([new]).values():
            future.result(15)

    def stop(self) -> None:
        self.second.kill()
        self.first.stop()


@pytest.fixture
def pair(kafka: KafkaBroker, tmp_path: Path) -> Iterator[Pair]:
    """Needs `kafka` only to skip where no broker can run."""
    pair = Pair(tmp_path / "pair")
    try:
        yield pair
    finally:
        pair.stop()


async def test_copies_leaders_and_advertised_addresses_of_two_brokers(
    pair: Pair, credit_bundle: Path, tmp_path: Path
) -> None:
    case = Case(tmp_path, credit_bundle, pair.first.bootstrap)
    pair.create(case.events, [2])
    pair.create(case.decisions, [1, 2], min_insync_replicas="1")
    pair.create(case.dead_letters, [1, 2], min_insync_replicas="2")
    pair.create(case.state, [1, 2], min_insync_replicas="1", **KEPT)
    pair.create(case.signals, [2])

    both = await until_all_are_there(case)
    pair.second.kill()
    # The first names the other one's address until the controller misses it, some 9 s later.
    killed = await case.problems()
    alone = await until_leaderless(case)

    assert {(p.check, p.path) for p in both} == {
        ("topic-has-one-copy", "$.topics.events"),
        ("topic-has-one-copy", "$.topics.signals"),
        ("one-copy-is-acknowledged", "$.topics.decisions"),
        ("one-copy-is-acknowledged", "$.topics.state"),
        ("one-broker-stops-writes", "$.topics.dead_letters"),
    }
    assert ("advertised-address-is-dead", "$.kafka.bootstrap_servers") in {
        (p.check, p.path) for p in killed
    }
    assert {
        ("partition-has-no-leader", "$.topics.events"),
        ("too-few-copies", "$.topics.dead_letters"),
    } <= {(p.check, p.path) for p in alone}


async def until_all_are_there(case: Case) -> list[Problem]:
    """Ask again until both brokers know each topic: the first answers before the other does."""
    while True:
        told = await case.problems()
        if not any(
            p.check.endswith(("-is-missing", "-are-not-told", "-has-no-leader")) for p in told
        ):
            return told
        await asyncio.sleep(0.2)


async def until_leaderless(case: Case) -> list[Problem]:
    """Ask again until the controller noticed, which takes it some 9 s."""
    while True:
        told = await case.problems()
        if any(p.check == "partition-has-no-leader" for p in told):
            return told
        await asyncio.sleep(0.5)
