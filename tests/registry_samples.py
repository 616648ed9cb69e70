"""Records as Confluent's own serialisers write them, and the registry that they write by.

The registry is the one in memory that the client brings for `mock://`. Protobuf messages are
made from a descriptor, since nothing here compiles `.proto` files.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Literal

from confluent_kafka.schema_registry import (
    header_schema_id_serializer,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry._async.avro import AsyncAvroSerializer
from confluent_kafka.schema_registry._async.json_schema import AsyncJSONSerializer
from confluent_kafka.schema_registry._async.protobuf import AsyncProtobufSerializer
from confluent_kafka.schema_registry.schema_registry_client import AsyncSchemaRegistryClient
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from sidecar.adapters.schema_registry import SchemaRegistryClient
from sidecar.config.settings import RegistrySettings
from sidecar.events import Decoded, Headers
from sidecar.pipeline.framing import schema_ids
from tests.event_samples import decoder, records

TOPIC = "credit.events"
Framing = Literal["prefix", "header"]
FRAMINGS: tuple[Framing, ...] = ("prefix", "header")
REGISTRY = RegistrySettings(url="http://registry:8081")

JSON_SCHEMA = json.dumps(
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "title": "Event",
        "required": ["id", "features"],
    }
)

AVRO_FEATURES: dict[str, Any] = {
    "type": "record",
    "name": "Features",
    "fields": [
        {"name": "amount", "type": ["null", "double"], "default": None},
        {"name": "age", "type": "int"},
        {"name": "verified", "type": ["null", "boolean"], "default": None},
        {"name": "country", "type": {"type": "enum", "name": "C", "symbols": ["DE", "FR"]}},
    ],
}
AVRO_EVENT: dict[str, Any] = {
    "type": "record",
    "name": "Event",
    "namespace": "org.example",
    "fields": [
        {"name": "id", "type": "string"},
        {
            "name": "time",
            "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
            "default": None,
        },
        {"name": "features", "type": AVRO_FEATURES},
        {"name": "note", "type": {"type": "map", "values": "bytes"}, "default": {}},
    ],
}


def mock_registry() -> AsyncSchemaRegistryClient:
    """An empty registry in memory."""
    return AsyncSchemaRegistryClient.new_client({"url": "mock://"})


def asking(client: Any, settings: RegistrySettings = REGISTRY) -> SchemaRegistryClient:
    """Our own side of a registry."""
    return SchemaRegistryClient(settings, {}, max_depth=8, new_client=lambda _: client)


async def serialised(
    serialiser: Any, event: object, topic: str = TOPIC
) -> tuple[bytes, Headers]:
    """Write an event as a producer does; give its value and headers."""
    headers: list[Any] = []
    context = SerializationContext(topic, MessageField.VALUE, headers)
    value: bytes = await serialiser(event, context)
    return value, headers


def framing_of(framing: Framing) -> dict[str, Any]:
    """The settings of a serialiser."""
    settings: dict[str, Any] = {"subject.name.strategy": topic_subject_name_strategy}
    if framing == "header":
        settings["schema.id.serializer"] = header_schema_id_serializer
    return settings


async def json_serialiser(client: Any, framing: Framing) -> Any:
    return await AsyncJSONSerializer(JSON_SCHEMA, client, conf=framing_of(framing))


async def avro_serialiser(
    client: Any, framing: Framing, schema: object = AVRO_EVENT, **conf: Any
) -> Any:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    return await AsyncAvroSerializer(client, text, conf={**framing_of(framing), **conf})


async def protobuf_serialiser(client: Any, framing: Framing, message: Any) -> Any:
    conf = {**framing_of(framing), "use.deprecated.format": False}
    return await AsyncProtobufSerializer(message, client, conf=conf)


async def decoded(value: bytes, headers: Headers, client: Any, **settings: Any) -> Decoded:
    """Decode a record by what the registry says of its schema."""
    batch = records(value, headers=[headers])
    registry = asking(client)
    schemas = {name: await registry.schema(name) for name in schema_ids(batch)}
    return decoder(**settings).decode(batch, schemas)


# --- Protobuf ---------------------------------------------------------------------------------

_F = descriptor_pb2.FieldDescriptorProto
_OPTIONAL, _REPEATED = _F.LABEL_OPTIONAL, _F.LABEL_REPEATED


def _field(
    name: str, number: int, kind: int, of: str = "", *, optional: bool = False, json: str = ""
) -> descriptor_pb2.FieldDescriptorProto:
    field = _F(name=name, number=number, type=kind, label=_OPTIONAL)
    if of:
        field.type_name = of
    if json:
        field.json_name = json
    if optional:
        field.proto3_optional = True
    return field


def _message(
    name: str, *fields: descriptor_pb2.FieldDescriptorProto
) -> descriptor_pb2.DescriptorProto:
    message = descriptor_pb2.DescriptorProto(name=name, field=fields)
    for field in message.field:
        if field.proto3_optional:  # each is in a oneof of its own
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")
    return message


FEATURES_FILE = descriptor_pb2.FileDescriptorProto(
    name="example/features.proto",
    package="example",
    syntax="proto3",
    dependency=["google/protobuf/wrappers.proto"],
    message_type=[
        _message(
            "Features",
            _field("amount_eur", 1, _F.TYPE_DOUBLE, optional=True, json="amount"),
            _field("age", 2, _F.TYPE_INT64, optional=True),
            _field("verified", 3, _F.TYPE_MESSAGE, ".google.protobuf.BoolValue"),
            _field("country", 4, _F.TYPE_ENUM, ".example.Country", optional=True),
        )
    ],
    enum_type=[
        descriptor_pb2.EnumDescriptorProto(
            name="Country",
            value=[
                descriptor_pb2.EnumValueDescriptorProto(name="DE", number=0),
                descriptor_pb2.EnumValueDescriptorProto(name="FR", number=1),
            ],
        )
    ],
)
EVENT_FILE = descriptor_pb2.FileDescriptorProto(
    name="example/event.proto",
    package="example",
    syntax="proto3",
    dependency=[
        "example/features.proto",
        "google/protobuf/struct.proto",
        "google/protobuf/timestamp.proto",
    ],
    message_type=[
        _message("Other", _field("id", 1, _F.TYPE_STRING)),
        descriptor_pb2.DescriptorProto(
            name="Outer",
            nested_type=[
                _message(
                    "Event",
                    _field("id", 1, _F.TYPE_STRING),
                    _field("time", 2, _F.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
                    _field("features", 3, _F.TYPE_MESSAGE, ".example.Features"),
                ),
                _message(
                    "Loose",
                    _field("id", 1, _F.TYPE_STRING),
                    _field("features", 3, _F.TYPE_MESSAGE, ".google.protobuf.Struct"),
                ),
            ],
        ),
    ],
)


@cache
def protobuf_messages() -> Mapping[str, Any]:
    """The classes of the two files: of the messages `Event` and `Loose` within `Outer`."""
    pool = DescriptorPool()
    for known in (wrappers_pb2, struct_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    for file in (FEATURES_FILE, EVENT_FILE):
        pool.AddSerializedFile(file.SerializeToString())
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"example.Outer.{name}"))
        for name in ("Event", "Loose")
    }


def protobuf_event(event_id: str, time: datetime | None = None, **features: Any) -> Any:
    """An event as a message; features that are not given are not set."""
    event = protobuf_messages()["Event"](id=event_id)
    if time is not None:
        event.time.FromDatetime(time)
    event.features.SetInParent()
    names = {"amount": "amount_eur"}
    for name, value in features.items():
        if name == "verified":
            event.features.verified.value = value
        elif name == "country":
            event.features.country = ["DE", "FR"].index(value)
        else:
            setattr(event.features, names.get(name, name), value)
    return event
