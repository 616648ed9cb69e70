"""Unit: the registry over HTTP: what it is asked, and what its answers mean."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from confluent_kafka.schema_registry.schema_registry_client import AsyncSchemaRegistryClient

from sidecar.adapters.schema_registry import SchemaRegistryClient, registry_trouble
from sidecar.config.settings import RegistrySettings
from sidecar.config.values import Duration, Secret
from sidecar.errors import RegistryUnavailableError
from sidecar.pipeline.framing import schema_ids
from sidecar.ports import PlainJson, UnknownSchema
from tests.brokers.kafka import free_port
from tests.brokers.registry import Answer, HttpRegistry
from tests.event_samples import GOOD, decoder, event, records
from tests.registry_samples import (
    FRAMINGS,
    Framing,
    avro_serialiser,
    json_serialiser,
    protobuf_event,
    protobuf_messages,
    protobuf_serialiser,
    serialised,
)


@pytest.fixture
def server() -> Iterator[HttpRegistry]:
    registry = HttpRegistry().start()
    yield registry
    registry.stop()


def client_of(url: str, **settings: Any) -> SchemaRegistryClient:
    of = RegistrySettings(url=url, timeout=Duration(2_000), **settings)
    return SchemaRegistryClient(of, {}, max_depth=8)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_what_serialisers_write_is_decoded(
    server: HttpRegistry, framing: Framing
) -> None:
    producer = AsyncSchemaRegistryClient.new_client({"url": server.url})
    event_class = protobuf_messages()["Event"]
    written = [
        await serialised(await json_serialiser(producer, framing), event()),
        await serialised(
            await avro_serialiser(producer, framing), {"id": "e-2", "features": GOOD}
        ),
        await serialised(
            await protobuf_serialiser(producer, framing, event_class),
            protobuf_event("e-3", **GOOD),
        ),
    ]
    await producer.aclose()
    server.asked.clear()
    batch = records(*(value for value, _ in written), headers=[named for _, named in written])
    registry = client_of(server.url)

    schemas = {name: await registry.schema(name) for name in schema_ids(batch)}
    await registry.close()
    decoded = decoder().decode(batch, schemas)

    assert decoded.rejections == []
    assert decoded.events.ids == ["e-1", "e-2", "e-3"]
    assert decoded.events.features.matrix.tolist() == [[12.5, 40.0, 1.0, 0.0]] * 3
    # Protobuf is text at first, and asked for once more as a descriptor.
    assert sorted(server.asked.values()) == [1, 1, 2]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((401, {"error_code": 40101, "message": "Unauthorized"}), "registry_refused"),
        ((403, {"error_code": 40301, "message": "Forbidden"}), "registry_refused"),
        ((404, {"error_code": 404, "message": "Not Found"}), "registry_unreachable"),
        ((404, "a page"), "registry_unreachable"),
        ((429, {"error_code": 42901, "message": "slower"}), "registry_unreachable"),
        ((500, {"error_code": 50001, "message": "store"}), "registry_unreachable"),
        ((200, {"no": "schema"}), "registry_unreachable"),
        ((200, ["a list"]), "registry_unreachable"),
    ],
)
async def test_an_answer_that_says_nothing_of_the_schema_refuses_no_record(
    server: HttpRegistry, answer: Answer, reason: str
) -> None:
    server.answer = answer
    registry = client_of(server.url)

    with pytest.raises(RegistryUnavailableError) as caught:
        await registry.schema(1)
    await registry.close()

    assert caught.value.reason == reason


@pytest.mark.parametrize("status", [400, 422])
async def test_a_question_that_makes_no_sense_to_the_registry_is_an_unknown_schema(
    server: HttpRegistry, status: int
) -> None:
    server.answer = status, {"error_code": 42200, "message": "odd"}
    registry = client_of(server.url)

    assert isinstance(await registry.schema(1), UnknownSchema)
    await registry.close()


async def test_a_registry_that_comes_back_is_connected_to_anew(server: HttpRegistry) -> None:
    producer = AsyncSchemaRegistryClient.new_client({"url": server.url})
    await serialised(await json_serialiser(producer, "prefix"), event())
    await producer.aclose()
    registry = client_of(server.url)
    server.stop()

    with pytest.raises(RegistryUnavailableError):
        await registry.schema(1)
    server.start()
    found = await registry.schema(1)
    await registry.close()

    assert found == PlainJson()


async def test_a_secret_that_was_rotated_is_read_again(tmp_path: Path) -> None:
    server = HttpRegistry("credit:new").start()
    secret = tmp_path / "secret"
    secret.write_text("old")
    registry = client_of(server.url, username="credit", password=Secret(file=secret))

    with pytest.raises(RegistryUnavailableError):
        await registry.schema(1)
    secret.write_text("new\n")
    found = await registry.schema(1)
    await registry.close()
    server.stop()

    assert isinstance(found, UnknownSchema)


async def test_tls_by_an_authority_of_one_s_own(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    server = HttpRegistry(tls=context).start()
    trusted, stranger = client_of(server.url, ca_file=ca_file), client_of(server.url)

    found = await trusted.schema(1)
    with pytest.raises(RegistryUnavailableError, match=r"(?i)certificate"):
        await stranger.schema(1)
    await trusted.close()
    server.stop()

    assert isinstance(found, UnknownSchema)


# --- the check --------------------------------------------------------------------------------


async def trouble(url: str, **settings: Any) -> str:
    found = await registry_trouble(RegistrySettings(url=url, **settings), {}, 3.0)
    return "" if found is None else found[0]


async def test_the_check_asks_as_the_sidecar_does(server: HttpRegistry) -> None:
    well = await trouble(server.url)
    nobody = await trouble(f"http://127.0.0.1:{free_port()}")
    unset = await trouble(server.url, username="u", password=Secret(env="NOT_SET"))
    server.answer = 401, {"error_code": 40101, "message": "Unauthorized"}
    refused = await trouble(server.url)

    assert (well, nobody, unset, refused) == (
        "",
        "registry_unreachable",
        "registry_not_set_up",
        "registry_refused",
    )
