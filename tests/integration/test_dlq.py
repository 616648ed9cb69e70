"""`sidecar dlq` on real topics: what is refused, looked at, mended and sent back."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition

from sidecar.clock import SystemClock
from tests.brokers.kafka import KafkaBroker, free_port
from tests.brokers.secure import PASSWORD, STRANGER, SecureBroker
from tests.bundle_factory import EVENT
from tests.integration.conftest import Launch
from tests.integration.service import Input, Topics, config_of, eventually, good_events, ids
from tests.terminal import on_terminal

SECRET = "4111-1111"
TRACE = (("trace", b"t-1"), ("trace", b"t-2"))
HOUR_MS = 3_600_000


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The lines of `--format json`."""
        return [json.loads(line) for line in self.out.splitlines()]


class Desk:
    """`sidecar dlq` with the config of some topics."""

    def __init__(self, config: Mapping[str, Any], folder: Path) -> None:
        self._path = folder / "dlq.yaml"
        self._path.write_text(yaml.safe_dump(dict(config)))

    def words(self, command: str, *arguments: str) -> list[str]:
        """Give the command line."""
        return [sys.executable, "-m", "sidecar", "dlq", command, str(self._path), *arguments]

    def __call__(self, command: str, *arguments: str) -> Done:
        done = subprocess.run(
            self.words(command, *arguments),
            capture_output=True,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


def event(name: str, features: Mapping[str, object]) -> bytes:
    return json.dumps({"id": name, "features": features}).encode()


def times_of(topics: Topics, partition: int) -> list[int]:
    """Give the timestamps of a partition of the events topic."""
    client = Consumer({"bootstrap.servers": topics.bootstrap, "group.id": "times"})
    client.assign([TopicPartition(topics.events, partition, 0)])
    count = topics.ends(topics.events)[partition]
    found = client.consume(count, 10.0)
    client.close()
    return [message.timestamp()[1] for message in found]


def send_dated(topics: Topics, record: Input, time_ms: int) -> None:
    producer = Producer({"bootstrap.servers": topics.bootstrap})
    producer.produce(
        topics.events,
        key=record.key,
        value=record.value,
        headers=list(record.headers),
        partition=record.partition,
        timestamp=time_ms,
    )
    assert producer.flush(10) == 0


WITHOUT_AGE = {name: value for name, value in EVENT.items() if name != "age"}
MENDABLE = [
    Input(event(f"mend-{at}", WITHOUT_AGE), b"key-%d" % at, TRACE, at % 2) for at in range(6)
]
HOPELESS = Input(event("hopeless", {**EVENT, "amount": SECRET}), b"k", TRACE, 1)


def test_what_was_mended_is_decided_and_what_was_not_is_refused_until_it_is_tried_too_often(
    topics: Topics, launch: Launch, credit_bundle: Path, tmp_path: Path
) -> None:
    dlq = Desk(config_of(topics, credit_bundle), tmp_path)
    strict = launch(topics, limits={"dead_letter_share": 1.0}).working()
    an_hour_ago = SystemClock().now_ms() - HOUR_MS
    topics.send([*MENDABLE, *good_events(4), HOPELESS])
    send_dated(topics, MENDABLE[0]._replace(partition=3), an_hour_ago)
    eventually(topics.settled, "the first outcomes")
    assert strict.stop() == 0

    listed = dlq("list", "--format", "json").rows
    assert listed[-1] == {"letters": 8, "by_code": {"missing_feature": 7, "wrong_type": 1}}
    plan = dlq("replay", "--dry-run")
    assert (plan.code, plan.out.splitlines()[-1]) == (0, "8 would be sent")
    assert len(plan.out.splitlines()) == 9

    lenient = launch(topics, input={"on_missing": "flag"}, limits={"dead_letter_share": 1.0})
    before = topics.ends(topics.events)
    sent = dlq("replay", "--rate", "1000")
    assert (sent.code, sent.out.splitlines()[0]) == (0, "8 sent")
    eventually(topics.settled, "the outcome of what was sent back")

    decided = [name for name in ids(topics.read(topics.decisions)) if name.startswith("mend")]
    assert sorted(decided) == ["mend-0", *(f"mend-{at}" for at in range(6))]
    resent = [r for r in topics.read(topics.events) if r.offset >= before[r.partition]]
    attempts = ("sidecar.error.attempts", b"1")
    assert [(r.partition, r.key, r.value, r.headers) for r in resent] == [
        (p, record.key, record.value, (*TRACE, attempts))
        for p in (0, 1, 3)
        for record in (*MENDABLE, HOPELESS, MENDABLE[0]._replace(partition=3))
        if record.partition == p
    ]
    assert times_of(topics, 3)[-1] == an_hour_ago

    after = [word for word in sent.out.splitlines()[-1].split() if ":" in word][1:]
    behind = [argument for place in after for argument in ("--after", place)]
    (again, total) = dlq("list", "--format", "json", *behind).rows
    assert (again["code"], again["attempts"], total["letters"]) == ("wrong_type", 2, 1)

    assert dlq("replay", *behind).out.splitlines()[0] == "1 sent"
    eventually(topics.settled, "the third refusal")
    refused = dlq("replay", *behind, "--max-attempts", "2")
    assert (refused.code, refused.out.splitlines()) == (
        0,
        ["0 sent", "2 skipped", f"  {2:>9}  tried too often"],
    )
    attempts_seen = [
        row["attempts"] for row in dlq("list", "--format", "json", *behind).rows[:-1]
    ]
    assert attempts_seen == [2, 3]
    assert lenient.stop() == 0


@pytest.fixture
def some_letters(mock_topics: Topics, credit_bundle: Path, tmp_path: Path) -> Desk:
    """Two letters as the sidecar writes them, a stub, and a record of somebody else."""
    said = {"topic": mock_topics.events, "partition": 1, "offset": 7}
    refused = {**said, "code": "wrong_type", "stage": "decode", "attempts": 1, "version": "1"}
    letter = {**refused, "path": "$.features.amount", "message": "Expected `float`"}
    letters = Topics(mock_topics.bootstrap, mock_topics.name)

    def headers(said: Mapping[str, object]) -> tuple[tuple[str, bytes], ...]:
        return tuple((f"sidecar.error.{k}", str(v).encode()) for k, v in said.items())

    records = [
        Input(HOPELESS.value, b"customer", (*TRACE, *headers(letter)), 1),
        Input(HOPELESS.value, b"other", headers({**letter, "topic": "elsewhere"}), 1),
        Input(b"{}", None, headers({**said, "code": "output_refused"}), 1),
        Input(b"hello", None, (), 0),
    ]
    producer = Producer({"bootstrap.servers": letters.bootstrap})
    for record in records:
        producer.produce(
            letters.letters,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            partition=record.partition,
        )
    assert producer.flush(10) == 0
    return Desk(config_of(mock_topics, credit_bundle), tmp_path)


@pytest.mark.mock_kafka
def test_a_letter_is_shown_with_its_fault_and_without_its_values(some_letters: Desk) -> None:
    masked = some_letters("show", "1:0")
    revealed = some_letters("show", "1:0", "--reveal")

    assert (masked.code, revealed.code) == (0, 0)
    assert '    "amount": <text, 9 characters>,  <== here' in masked.out.splitlines()
    assert SECRET not in masked.out
    assert "customer" not in masked.out.replace("is_customer", "")
    assert f'    "amount": "{SECRET}",  <== here' in revealed.out.splitlines()
    assert "key        customer" in revealed.out.splitlines()


@pytest.mark.mock_kafka
def test_only_letters_of_this_topic_that_have_a_payload_are_sent(
    some_letters: Desk, mock_topics: Topics
) -> None:
    done = some_letters("replay", "--yes")

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "1 sent",
        "3 skipped",
        f"  {1:>9}  not written by a sidecar",
        f"  {1:>9}  of another events topic",
        f"  {1:>9}  stub without payload",
        "To go on behind these: --after 1:0",
    ]
    (sent,) = mock_topics.read(mock_topics.events)
    attempts = ("sidecar.error.attempts", b"1")
    assert sent[:-1] == (1, 0, b"customer", HOPELESS.value, (*TRACE, attempts))


@pytest.mark.mock_kafka
def test_a_terminal_shows_a_bar_and_is_asked_before_anything_is_sent(
    some_letters: Desk, mock_topics: Topics
) -> None:
    words = some_letters.words("replay")

    code, shown = on_terminal(words, b"n\n")
    assert (code, mock_topics.read(mock_topics.events)) == (1, [])
    assert f"Send to `{mock_topics.events}`? [y/N]" in shown

    code, shown = on_terminal(words, b"y\n")
    assert (code, len(mock_topics.read(mock_topics.events))) == (0, 1)
    assert re.search(r"\r\x1b\[K\[#+ *\] \d of 4 letters read, 1 sent", shown)
    assert "\n1 sent\r\n" in shown.replace("\r\x1b[K", "\n")


@pytest.mark.mock_kafka
def test_filters_choose_letters(some_letters: Desk) -> None:
    def places(*arguments: str) -> list[str]:
        return [
            row["letter"]
            for row in some_letters("list", "--format", "json", *arguments).rows[:-1]
        ]

    assert sorted(places()) == ["0:0", "1:0", "1:1", "1:2"]
    assert places("--code", "wrong_type") == ["1:0", "1:1"]
    assert places("--code", "wrong_type", "--limit", "1") == ["1:0"]
    assert places("--key", "other") == ["1:1"]
    assert places("--stage", "decode", "--after", "1:0") == ["1:1"]
    assert places("--since", "2h", "--until", "1h") == []


@pytest.mark.mock_kafka
def test_a_place_without_a_letter_is_refused_with_words(some_letters: Desk) -> None:
    done = some_letters("show", "1:99")

    assert done.code == 2
    assert "has no record at 1:99" in done.err


@pytest.mark.mock_kafka
def test_a_broker_that_is_away_is_named_with_the_cause(
    mock_topics: Topics, credit_bundle: Path, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    config = config_of(mock_topics, credit_bundle, kafka={"bootstrap_servers": [address]})
    dlq = Desk(config, tmp_path)

    for command in ("list", "replay"):
        done = dlq(command)
        assert done.code == 2
        assert f"$.kafka.bootstrap_servers: {address}: " in done.err
        assert "Mend: see that a broker listens there" in done.err


@pytest.mark.kafka
def test_a_topic_that_is_missing_is_named(
    kafka: KafkaBroker, credit_bundle: Path, tmp_path: Path
) -> None:
    nowhere = Topics(kafka.bootstrap, "nowhere")
    done = Desk(config_of(nowhere, credit_bundle), tmp_path)("list")

    assert done.code == 2
    assert "$.topics: topic `nowhere.dead-letters` does not exist" in done.err


@pytest.mark.kafka
def test_a_user_without_rights_is_told_what_to_check(
    secure_kafka: SecureBroker, credit_bundle: Path, tmp_path: Path
) -> None:
    secure_kafka.broker.create_topic("guarded.dead-letters", 1)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    sasl = {"mechanism": "PLAIN", "username": STRANGER, "password": {"file": str(password)}}
    security = {"protocol": "sasl_ssl", "ca_file": str(secure_kafka.ca), "sasl": sasl}
    config = config_of(
        Topics(secure_kafka.sasl, "guarded"), credit_bundle, kafka={"security": security}
    )
    done = Desk(config, tmp_path)("list")

    assert done.code == 2
    assert "may not be seen by this user" in done.err
    assert "Mend: create it, correct its name, or give the right to see it" in done.err


@pytest.mark.kafka
def test_a_letter_that_the_broker_does_not_take_is_named_and_the_others_are_sent(
    kafka: KafkaBroker,
    kafka_topics: Topics,
    launch: Launch,
    credit_bundle: Path,
    tmp_path: Path,
) -> None:
    large = Input(b'{"id": 1, "text": "%s"}' % (b"x" * 5_000), b"large", (), 0)
    small = Input(b'{"id": 1}', b"small", (), 0)
    sidecar = launch(kafka_topics, limits={"dead_letter_share": 1.0}).working()
    kafka_topics.send([small, large, small])
    eventually(kafka_topics.settled, "the letters")
    assert sidecar.stop() == 0
    kafka.set_config(kafka_topics.events, max_message_bytes="3000")
    dlq = Desk(config_of(kafka_topics, credit_bundle), tmp_path)

    # The broker applies the new limit a moment after it said so.
    done = eventually(
        lambda: ((seen := dlq("replay")).code and seen) or None, "a refusal", within_s=30
    )

    assert done is not None
    assert (done.code, done.out.splitlines()[0]) == (1, "2 sent")
    assert done.err.startswith("0:1 could not be sent: ")
