"""Getting into a secured broker, and what is said when that fails."""

import uuid
from pathlib import Path
from typing import Literal

import pytest

from sidecar.adapters.kafka_sink import KafkaSink
from sidecar.adapters.kafka_source import KafkaSource
from sidecar.clock import SystemClock
from sidecar.config.settings import KafkaSettings, SaslSettings, SecuritySettings
from sidecar.config.values import Duration, Secret
from sidecar.errors import SinkUnavailableError, SourceUnavailableError
from sidecar.events import OutboundBatch, OutboundSlice
from tests.brokers.secure import (
    PASSWORD,
    STRANGER,
    USER,
    SecureBroker,
    unsecured_token,
)
from tests.contracts.benches import Recorder, joined, take

pytestmark = pytest.mark.kafka

Mechanism = Literal["PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"]


class Secrets:
    """Secrets in files, as a platform mounts them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str, text: str) -> Secret:
        path = self._folder / name
        path.write_text(text + "\n", encoding="utf-8")
        return Secret(file=path)


@pytest.fixture
def secret(tmp_path: Path) -> Secrets:
    return Secrets(tmp_path)


@pytest.fixture
def topic(secure_kafka: SecureBroker) -> str:
    name = f"secure-{uuid.uuid4()}"
    secure_kafka.broker.create_topic(name, 1)
    return name


def kafka_settings(address: str, security: SecuritySettings) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=[address], security=security, request_timeout=Duration(5_000)
    )


def with_password(
    secure: SecureBroker,
    password: Secret,
    *,
    mechanism: Mechanism = "SCRAM-SHA-512",
    user: str = USER,
    ca: Path | None = None,
) -> KafkaSettings:
    sasl = SaslSettings(mechanism=mechanism, username=user, password=password)
    security = SecuritySettings(protocol="sasl_ssl", ca_file=ca or secure.ca, sasl=sasl)
    return kafka_settings(secure.sasl, security)


async def there_and_back(settings: KafkaSettings, topic: str) -> list[bytes | None]:
    """Write one record and read it."""
    sink = KafkaSink(settings, [topic], "test")
    await sink.start()
    part = OutboundSlice(topic, 0, [None], [b"hello"], None, [0])
    await (await sink.send(OutboundBatch((part,))))
    await sink.close(5)
    source = KafkaSource(settings, topic, f"group-{topic}", "test", "earliest")
    (batch,) = await take(await joined(source), 1)
    await source.close(5)
    return list(batch.values)


async def refusals(settings: KafkaSettings, topic: str) -> tuple[str, str, str]:
    """Give the sink's reason, and the texts of sink and source."""
    sink = KafkaSink(settings, [topic], "test")
    with pytest.raises(SinkUnavailableError) as from_sink:
        await sink.start()
    source = KafkaSource(settings, topic, "group", "test", "earliest")
    with pytest.raises(SourceUnavailableError) as from_source:
        await source.start(Recorder(source))
    return from_sink.value.reason, str(from_sink.value), str(from_source.value)


# --- getting in ----------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
async def test_a_user_with_a_password_gets_in(
    secure_kafka: SecureBroker, topic: str, secret: Secrets, mechanism: Mechanism
) -> None:
    password = secret("password", PASSWORD)
    settings = with_password(secure_kafka, password, mechanism=mechanism)

    assert await there_and_back(settings, topic) == [b"hello"]


async def test_a_token_gets_in_and_its_successor_is_read_from_the_file(
    secure_kafka: SecureBroker, topic: str, secret: Secrets
) -> None:
    now_s = SystemClock().now_ms() // 1000
    expired = unsecured_token(USER, issued_s=now_s - 7200)
    sasl = SaslSettings(mechanism="OAUTHBEARER", token=secret("token", expired))
    security = SecuritySettings(protocol="sasl_ssl", ca_file=secure_kafka.ca, sasl=sasl)
    settings = kafka_settings(secure_kafka.sasl, security)

    reason, _, _ = await refusals(settings, topic)
    secret("token", unsecured_token(USER, issued_s=now_s))
    came = await there_and_back(settings, topic)

    assert reason == "authentication_failed"
    assert came == [b"hello"]


async def test_a_client_certificate_gets_in(secure_kafka: SecureBroker, topic: str) -> None:
    security = SecuritySettings(
        protocol="ssl",
        ca_file=secure_kafka.ca,
        certificate_file=secure_kafka.certificate,
        key_file=secure_kafka.key,
    )
    settings = kafka_settings(secure_kafka.mutual_tls, security)

    assert await there_and_back(settings, topic) == [b"hello"]


# --- being refused -------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
async def test_a_wrong_password_is_named_as_the_cause(
    secure_kafka: SecureBroker, topic: str, secret: Secrets, mechanism: Mechanism
) -> None:
    settings = with_password(secure_kafka, secret("password", "wrong"), mechanism=mechanism)

    reason, from_sink, from_source = await refusals(settings, topic)

    assert reason == "authentication_failed"
    assert from_sink == from_source
    assert "Authentication failed" in from_sink
    assert "wrong" not in from_sink


async def test_an_authority_that_is_not_trusted_is_named_as_the_cause(
    secure_kafka: SecureBroker, topic: str, secret: Secrets
) -> None:
    password = secret("password", PASSWORD)
    settings = with_password(secure_kafka, password, ca=secure_kafka.other_ca)

    reason, from_sink, from_source = await refusals(settings, topic)

    assert reason == "tls_failed"
    assert "certificate verify failed" in from_sink
    assert "certificate verify failed" in from_source


async def test_a_missing_client_certificate_is_a_matter_of_tls(
    secure_kafka: SecureBroker, topic: str
) -> None:
    security = SecuritySettings(protocol="ssl", ca_file=secure_kafka.ca)

    reason, from_sink, _ = await refusals(
        kafka_settings(secure_kafka.mutual_tls, security), topic
    )

    assert reason == "tls_failed", from_sink


async def test_a_missing_secret_is_named_as_the_cause(
    secure_kafka: SecureBroker, topic: str, tmp_path: Path
) -> None:
    settings = with_password(secure_kafka, Secret(file=tmp_path / "absent"))

    reason, from_sink, from_source = await refusals(settings, topic)

    assert reason == "authentication_failed"
    assert "absent" in from_sink
    assert "absent" in from_source


async def test_a_user_without_rights_is_told_so(
    secure_kafka: SecureBroker, topic: str, secret: Secrets
) -> None:
    password = secret("password", PASSWORD)
    settings = with_password(secure_kafka, password, mechanism="PLAIN", user=STRANGER)

    reason, _, from_source = await refusals(settings, topic)

    assert reason == "not_authorised"
    assert from_source == (f"topic `{topic}` does not exist, or may not be seen by this user")
