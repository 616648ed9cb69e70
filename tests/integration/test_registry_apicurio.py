"""A registry that others wrote: what Confluent's serialisers register there is read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.schema_registry.schema_registry_client import AsyncSchemaRegistryClient

from sidecar.adapters.schema_registry import SchemaRegistryClient, registry_trouble
from sidecar.config.settings import RegistrySettings
from sidecar.pipeline.framing import schema_ids
from sidecar.ports import UnknownSchema
from tests.brokers.apicurio import Apicurio
from tests.brokers.kafka import CannotRunError
from tests.event_samples import GOOD, decoder, event, records
from tests.registry_samples import (
    avro_serialiser,
    json_serialiser,
    protobuf_event,
    protobuf_messages,
    protobuf_serialiser,
    serialised,
)

pytestmark = [pytest.mark.registry, pytest.mark.timeout(180)]


@pytest.fixture
def apicurio(tmp_path: Path) -> Iterator[Apicurio]:
    try:
        registry = Apicurio(tmp_path)
    except CannotRunError as reason:
        pytest.skip(str(reason))
    yield registry.start()
    registry.stop()


async def test_json_avro_and_protobuf_with_an_import(apicurio: Apicurio) -> None:
    producer = AsyncSchemaRegistryClient.new_client({"url": apicurio.url})
    event_class = protobuf_messages()["Event"]
    # A subject keeps to one type there, so each has its own topic.
    written = [
        await serialised(await json_serialiser(producer, "prefix"), event(), "json"),
        await serialised(
            await avro_serialiser(producer, "prefix"), {"id": "e-2", "features": GOOD}, "avro"
        ),
        await serialised(
            await protobuf_serialiser(producer, "prefix", event_class),
            protobuf_event("e-3", **GOOD),
            "protobuf",
        ),
    ]
    await producer.aclose()
    batch = records(*(value for value, _ in written))
    settings = RegistrySettings(url=apicurio.url)
    registry = SchemaRegistryClient(settings, {}, max_depth=8)

    schemas = {name: await registry.schema(name) for name in schema_ids(batch)}
    unknown = await registry.schema(999)
    await registry.close()
    decoded = decoder().decode(batch, schemas)

    assert decoded.rejections == []
    assert decoded.events.ids == ["e-1", "e-2", "e-3"]
    assert decoded.events.features.matrix.tolist() == [[12.5, 40.0, 1.0, 0.0]] * 3
    assert isinstance(unknown, UnknownSchema)
    assert await registry_trouble(settings, {}, 5.0) is None


async def test_the_address_without_its_path_is_no_registry(apicurio: Apicurio) -> None:
    settings = RegistrySettings(url=apicurio.url.removesuffix("/apis/ccompat/v7"))

    trouble = await registry_trouble(settings, {}, 5.0)

    assert trouble is not None
    assert trouble[0] == "registry_unreachable"
