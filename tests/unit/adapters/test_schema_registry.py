"""Unit: what Confluent's serialisers write is decoded, and what cannot be used is refused."""

import base64
import json
import struct
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference

from sidecar.adapters.schema_avro import avro_reader
from sidecar.adapters.schema_registry import SchemaRegistryClient
from sidecar.config.settings import RegistrySettings
from sidecar.config.values import Secret
from sidecar.errors import MalformedPayloadError, RegistryUnavailableError
from sidecar.events import Decoded
from sidecar.ports import UnknownSchema
from tests.event_samples import GOOD, NOON_MS, event
from tests.registry_samples import (
    AVRO_EVENT,
    AVRO_FEATURES,
    EVENT_FILE,
    FRAMINGS,
    Framing,
    asking,
    avro_serialiser,
    decoded,
    json_serialiser,
    mock_registry,
    protobuf_event,
    protobuf_messages,
    protobuf_serialiser,
    serialised,
)

NOON = datetime.fromtimestamp(NOON_MS / 1000, UTC)
each_framing = pytest.mark.parametrize("framing", FRAMINGS)


def seen(of: Decoded) -> dict[str, Any]:
    """The one event, as it came out."""
    assert of.rejections == []
    events = of.events
    return {
        "id": events.ids[0],
        "time": int(events.event_time_ms[0]),
        "features": events.features.matrix[0].tolist(),
        "text": events.features.text,
    }


def fault(of: Decoded) -> tuple[str, str]:
    (rejection,) = of.rejections
    return rejection.code.value, rejection.path


EXPECTED = {
    "id": "e-1",
    "time": NOON_MS,
    "features": [12.5, 40.0, 1.0, 0.0],
    "text": {"country": ["DE"]},
}


@each_framing
async def test_json_schema(framing: Framing) -> None:
    client = mock_registry()
    written = await serialised(
        await json_serialiser(client, framing), event(time="2026-11-01T12:00:00Z")
    )

    assert seen(await decoded(*written, client)) == EXPECTED


@each_framing
async def test_avro(framing: Framing) -> None:
    client = mock_registry()
    serialiser = await avro_serialiser(client, framing)
    written = await serialised(serialiser, {"id": "e-1", "time": NOON, "features": GOOD})

    assert seen(await decoded(*written, client)) == EXPECTED


@each_framing
async def test_protobuf(framing: Framing) -> None:
    client = mock_registry()
    serialiser = await protobuf_serialiser(client, framing, protobuf_messages()["Event"])
    written = await serialised(serialiser, protobuf_event("e-1", NOON, **GOOD))

    assert seen(await decoded(*written, client)) == EXPECTED


# --- what has no value ------------------------------------------------------------------------


async def test_a_null_of_avro_is_missing() -> None:
    client = mock_registry()
    lacking = {**GOOD, "amount": None, "verified": None}
    serialiser = await avro_serialiser(client, "prefix")
    written = await serialised(serialiser, {"id": "e-1", "features": lacking})

    assert fault(await decoded(*written, client)) == ("missing_feature", "$.features.amount")
    assert seen(await decoded(*written, client, on_missing="flag"))["id"] == "e-1"


async def test_a_field_of_protobuf_that_is_not_set_is_missing_and_zero_is_not() -> None:
    client = mock_registry()
    serialiser = await protobuf_serialiser(client, "prefix", protobuf_messages()["Event"])
    zero = await serialised(serialiser, protobuf_event("e-1", amount=0.0, age=0, country="DE"))
    none = await serialised(serialiser, protobuf_event("e-1", amount=0.0, country="DE"))

    assert seen(await decoded(*zero, client))["features"][:2] == [0.0, 0.0]
    assert fault(await decoded(*none, client)) == ("missing_feature", "$.features.age")


async def test_a_struct_of_protobuf_is_read_as_json_is() -> None:
    client = mock_registry()
    loose = protobuf_messages()["Loose"]
    serialiser = await protobuf_serialiser(client, "prefix", loose)
    message = loose(id="e-1")
    message.features.update(GOOD)

    assert seen(await decoded(*await serialised(serialiser, message), client)) == EXPECTED


# --- types ------------------------------------------------------------------------------------


def with_field(name: str, kind: object, *, of: str = "features") -> dict[str, Any]:
    """The schema of an event with another type for one field."""
    fields = AVRO_FEATURES["fields"] if of == "features" else AVRO_EVENT["fields"]
    changed = [{"name": name, "type": kind} if f["name"] == name else f for f in fields]
    if of == "features":
        return with_field("features", {**AVRO_FEATURES, "fields": changed}, of="event")
    return {**AVRO_EVENT, "fields": changed}


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


@pytest.mark.parametrize(
    ("schema", "changed"),
    [
        (with_field("amount", DECIMAL), {"features": {**GOOD, "amount": Decimal("12.50")}}),
        (with_field("amount", ["float", "string"]), {}),
        (with_field("age", "long"), {}),
        (with_field("country", ["null", "string"]), {}),
        (with_field("time", MICROS, of="event"), {}),
        (with_field("time", "long", of="event"), {"time": NOON_MS}),
        (with_field("time", "string", of="event"), {"time": "2026-11-01T12:00:00Z"}),
    ],
    ids=["decimal", "union", "long", "text", "micros", "epoch", "RFC 3339"],
)
async def test_types_of_avro_that_stand_for_a_value(
    schema: dict[str, Any], changed: dict[str, Any]
) -> None:
    client = mock_registry()
    sent = {"id": "e-1", "time": NOON, "features": GOOD, **changed}
    written = await serialised(await avro_serialiser(client, "prefix", schema), sent)

    assert seen(await decoded(*written, client)) == EXPECTED


@pytest.mark.parametrize(
    ("schema", "changed", "code", "path"),
    [
        (with_field("age", "double"), {}, "wrong_type", "$.features.age"),
        (with_field("age", "int"), {"age": 200}, "out_of_limits", "$.features.age"),
        (with_field("amount", "bytes"), {"amount": b"x"}, "wrong_type", "$.features.amount"),
        (
            with_field("amount", "double"),
            {"amount": float("nan")},
            "number_out_of_range",
            "$.features.amount",
        ),
        (with_field("amount", "double"), {"amount": 1e300}, "number_out_of_range", None),
    ],
)
async def test_refusals_are_those_of_json(
    schema: dict[str, Any], changed: dict[str, Any], code: str, path: str | None
) -> None:
    client = mock_registry()
    sent = {"id": "e-1", "time": NOON, "features": {**GOOD, **changed}}
    written = await serialised(await avro_serialiser(client, "prefix", schema), sent)

    assert fault(await decoded(*written, client)) == (code, path or "$.features.amount")


async def test_features_may_be_a_map_with_names_that_avro_cannot_write() -> None:
    client = mock_registry()
    schema = with_field("features", {"type": "map", "values": ["double", "string"]}, of="event")
    written = await serialised(
        await avro_serialiser(client, "prefix", schema),
        {"id": "e-1", "features": {"hours-per-week": 3.0, "amount": 1.5}},
    )

    assert fault(await decoded(*written, client)) == ("missing_feature", "$.features.age")


async def test_a_binary_cloud_event_may_hold_avro() -> None:
    client = mock_registry()
    schema = {**AVRO_EVENT, "fields": AVRO_EVENT["fields"][1:]}
    serialiser = await avro_serialiser(client, "prefix", schema)
    value, _ = await serialised(serialiser, {"time": NOON, "features": GOOD})
    marks = [
        *(
            ("ce_specversion", b"1.0"),
            ("ce_id", b"e-1"),
            ("ce_source", b"/"),
            ("ce_type", b"t"),
        ),
        ("content-type", b"application/avro"),
    ]

    assert seen(await decoded(value, marks, client)) == EXPECTED
    assert seen(await decoded(value, marks, client, format="cloudevents")) == EXPECTED
    assert fault(await decoded(value, [], client, format="cloudevents"))[0] == (
        "unsupported_format"
    )
    assert fault(await decoded(value, marks, client, format="json"))[0] == "unsupported_format"


# --- references -------------------------------------------------------------------------------


async def test_avro_refers_to_another_schema() -> None:
    client = mock_registry()
    await client.register_schema("features", Schema(json.dumps(AVRO_FEATURES), "AVRO"))
    text = json.dumps(with_field("features", "Features", of="event") | {"namespace": ""})
    references = [SchemaReference("Features", "features", 1)]
    number = await client.register_schema("e-value", Schema(text, "AVRO", references))
    whole = await avro_serialiser(mock_registry(), "prefix", {**AVRO_EVENT, "namespace": ""})
    value, _ = await serialised(whole, {"id": "e-1", "time": NOON, "features": GOOD})

    framed = b"\x00" + struct.pack(">I", number) + value[5:]

    assert seen(await decoded(framed, (), client)) == EXPECTED


# --- broken payloads --------------------------------------------------------------------------


@each_framing
async def test_a_payload_that_is_cut_off_or_too_long(framing: Framing) -> None:
    client = mock_registry()
    avro, headers = await serialised(
        await avro_serialiser(client, framing), {"id": "e-1", "time": None, "features": GOOD}
    )
    serialiser = await protobuf_serialiser(client, framing, protobuf_messages()["Event"])
    protobuf, named = await serialised(serialiser, protobuf_event("e-1", NOON, **GOOD))

    assert fault(await decoded(avro[:-3], headers, client)) == ("malformed_avro", "$")
    assert fault(await decoded(avro + b"\x00", headers, client)) == ("malformed_avro", "$")
    assert fault(await decoded(protobuf[:-3], named, client)) == ("malformed_protobuf", "$")


@pytest.mark.timeout(20)
def test_a_decimal_of_a_megabyte_is_refused_at_once() -> None:
    text = json.dumps(
        {"type": "record", "name": "A", "fields": [{"name": "d", "type": DECIMAL}]}
    )
    length = b"\x80\x89\x7a"  # 1,000,000 as Avro writes it

    with pytest.raises(MalformedPayloadError, match="ValueError"):
        avro_reader(text, (), 8).read(length + b"\x7f" * 1_000_000)


async def test_a_place_that_is_not_in_the_file() -> None:
    client = mock_registry()
    serialiser = await protobuf_serialiser(client, "prefix", protobuf_messages()["Event"])
    value, _ = await serialised(serialiser, protobuf_event("e-1"))
    head, body = value[:5], value[8:]  # two places, each one byte

    codes = [
        fault(await decoded(head + places + body, (), client))
        for places in (b"\x04\x02\x08", b"\x02\x0a", b"\x01", b"\x02", b"\xff" * 12, b"")
    ]

    assert set(codes) == {("malformed_protobuf", "$")}


# --- schemas that cannot be used --------------------------------------------------------------


async def refused(schema: Schema) -> str:
    client = mock_registry()
    number = await client.register_schema("any-value", schema)
    found = await asking(client).schema(number)
    assert isinstance(found, UnknownSchema)
    return found.why


def avro(name: str, kind: object) -> Schema:
    fields = [{"name": "a", "type": kind}]
    return Schema(json.dumps({"type": "record", "name": name, "fields": fields}), "AVRO")


EMPTY: dict[str, Any] = {"type": "record", "name": "Nothing", "fields": []}
DEEP: Any = "int"
for _ in range(9):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (avro("Node", ["null", "Node"]), "`Node` refers to itself"),
        (avro("Node", {"type": "map", "values": "Node"}), "`Node` refers to itself"),
        (avro("A", {"type": "array", "items": "null"}), "items that take no bytes"),
        (avro("A", {"type": "array", "items": EMPTY}), "items that take no bytes"),
        (avro("A", DEEP), "nested deeper than 8"),
        (avro("A", "Elsewhere"), "cannot be used: UnknownType"),
        (Schema("{", "AVRO"), "cannot be used"),
        (Schema("{}", "THRIFT"), "is of the type `THRIFT`"),
        (Schema("message A {}", "PROTOBUF"), "as text alone"),
    ],
)
async def test_a_schema_that_cannot_be_used(schema: Schema, why: str) -> None:
    assert why in await refused(schema)


async def test_protobuf_that_imports_what_nobody_has() -> None:
    text = base64.b64encode(EVENT_FILE.SerializeToString()).decode()

    assert "imports `example/features.proto`" in await refused(Schema(text, "PROTOBUF"))


async def test_a_schema_that_is_not_there() -> None:
    registry = asking(mock_registry())

    found = await registry.schema(17)
    beyond = await registry.schema(2**32 - 1)

    assert isinstance(found, UnknownSchema)
    assert isinstance(beyond, UnknownSchema)


async def test_a_password_that_cannot_be_read_is_no_unknown_schema() -> None:
    settings = RegistrySettings(
        url="https://registry:8081", username="u", password=Secret(file=Path("/nowhere"))
    )

    with pytest.raises(RegistryUnavailableError, match="cannot be set up") as caught:
        await SchemaRegistryClient(settings, {}, max_depth=8).schema(1)

    assert caught.value.reason == "registry_not_set_up"
