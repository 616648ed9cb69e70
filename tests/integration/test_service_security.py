"""The service on a broker with TLS and SASL; its secrets stand in none of its outputs."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation, ResourcePatternType, ResourceType

from tests.brokers.secure import PASSWORD, STRANGER, USER, SecureBroker
from tests.integration.conftest import Launch
from tests.integration.service import (
    PARTITIONS,
    Input,
    Sidecar,
    Topics,
    eventually,
    good_events,
    ids,
)

pytestmark = pytest.mark.kafka

WRONG = "canary-9d0c"


@pytest.fixture
def topics(secure_kafka: SecureBroker) -> Topics:
    """Fresh topics, which the test itself reaches by the door for plain text."""
    topics = Topics(secure_kafka.broker.bootstrap, f"credit-{uuid.uuid4().hex[:8]}")
    for topic in topics.all:
        secure_kafka.broker.create_topic(topic, PARTITIONS)
    return topics


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


def with_password(secure: SecureBroker, password: Path) -> dict[str, Any]:
    """Give the section `kafka` of a config that gets in with SCRAM over TLS."""
    sasl = {"mechanism": "SCRAM-SHA-512", "username": USER, "password": {"file": str(password)}}
    security = {"protocol": "sasl_ssl", "ca_file": str(secure.ca), "sasl": sasl}
    return {"bootstrap_servers": [secure.sasl], "security": security}


def shown(sidecar: Sidecar) -> str:
    """Give all that it shows anybody."""
    pages = [sidecar.get(path)[1] for path in ("/metrics", "/readyz", "/livez")]
    pages += [sidecar.get(path, "status")[1] for path in ("/", "/api/v1/status")]
    return "\n".join([*pages, sidecar.output])


def test_with_a_password_over_tls_it_works_and_shows_the_password_nowhere(
    secure_kafka: SecureBroker, topics: Topics, password: Path, launch: Launch
) -> None:
    sidecar = launch(
        topics, kafka=with_password(secure_kafka, password), log={"level": "debug"}
    ).working()
    topics.send([*good_events(400), Input(b'{"id": ', b"bad", (), 0)])
    eventually(topics.settled, "a committed outcome of every event")
    everything = shown(sidecar)
    code = sidecar.stop()

    decisions, letters = topics.read(topics.decisions), topics.read(topics.letters)
    written = json.dumps([str(record) for record in [*decisions, *letters]])
    assert sorted(ids(decisions)) == sorted(f"e{at}" for at in range(400))
    assert [letter.error("code") for letter in letters] == ["malformed_json"]
    assert PASSWORD not in everything + sidecar.output + written
    assert code == 0


def test_a_wrong_password_is_the_reason_until_its_file_is_mended(
    secure_kafka: SecureBroker, topics: Topics, password: Path, launch: Launch
) -> None:
    password.write_text(WRONG)
    topics.send(good_events(40))
    sidecar = launch(topics, kafka=with_password(secure_kafka, password))

    unready = sidecar.becomes("authentication_failed", "joining")
    refused = shown(sidecar)
    password.write_text(PASSWORD)
    sidecar.becomes()
    eventually(topics.settled, "a committed outcome of every event")

    assert secure_kafka.sasl in unready.text
    assert WRONG not in refused
    assert PASSWORD not in shown(sidecar)
    assert sorted(ids(topics.read(topics.decisions))) == sorted(f"e{at}" for at in range(40))
    assert sidecar.stop() == 0


def test_an_authority_that_is_not_trusted_is_the_reason_and_it_still_ends_well(
    secure_kafka: SecureBroker, topics: Topics, password: Path, launch: Launch
) -> None:
    kafka = with_password(secure_kafka, password)
    kafka["security"]["ca_file"] = str(secure_kafka.other_ca)
    sidecar = launch(topics, kafka=kafka)

    unready = sidecar.becomes("joining", "tls_failed")

    assert "certificate verify failed" in unready.text
    assert PASSWORD not in shown(sidecar)
    assert sidecar.stop(within_s=10) == 0


# --- rights ----------------------------------------------------------------------------------


@pytest.fixture
def rights(secure_kafka: SecureBroker, topics: Topics) -> None:
    """Give the stranger what a sidecar needs, and nothing more."""
    allow = secure_kafka.allow
    allow(AclOperation.READ, topics.events, topics.state)
    allow(AclOperation.WRITE, topics.decisions, topics.letters, topics.state)
    allow(AclOperation.DESCRIBE, topics.decisions)
    allow(AclOperation.READ, topics.group, kind=ResourceType.GROUP)
    allow(
        AclOperation.WRITE,
        topics.group,
        kind=ResourceType.TRANSACTIONAL_ID,
        pattern=ResourcePatternType.PREFIXED,
    )


@pytest.mark.usefixtures("rights")
@pytest.mark.parametrize("mode", ["at_least_once", "exactly_once"])
def test_a_right_that_is_taken_away_is_the_reason_until_it_is_given_back(
    secure_kafka: SecureBroker, topics: Topics, password: Path, launch: Launch, mode: str
) -> None:
    kafka = with_password(secure_kafka, password)
    kafka["security"]["sasl"] |= {"mechanism": "PLAIN", "username": STRANGER}
    sidecar = launch(topics, kafka=kafka, delivery={"mode": mode}).working()
    topics.send(good_events(200))
    eventually(topics.settled, "the first outcomes")
    before = topics.committed()

    secure_kafka.withdraw(AclOperation.WRITE, topics.decisions)
    topics.send(good_events(200, first=200))
    unready = sidecar.becomes("not_authorised")
    during = topics.committed()
    secure_kafka.allow(AclOperation.WRITE, topics.decisions)
    sidecar.becomes()
    eventually(topics.settled, "a committed outcome of every event")

    assert topics.decisions in unready.text
    assert during == before
    assert sorted(ids(topics.read(topics.decisions))) == sorted(f"e{at}" for at in range(400))
    assert sidecar.stop() == 0
