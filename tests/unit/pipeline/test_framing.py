"""Unit: pipeline.framing, with the client's own framing as the one that knows it."""

import pytest
from confluent_kafka.schema_registry.serde import SchemaId as Theirs

from sidecar.events import Decoded, Headers
from sidecar.pipeline.decode import EventDecoder
from sidecar.pipeline.framing import HEADER, framed, offline_schemas, schema_ids
from sidecar.ports import PlainJson, Schemas, UnknownSchema
from tests.event_samples import GOOD, decode, decoder, encoded, event, packed, records, refused

GUID = "7b3b2a36-9e2e-4a5b-8f6c-0d1e2f3a4b5c"
BY_NUMBER = Theirs("JSON", 258).id_to_bytes()
BY_GUID = Theirs("JSON", guid=GUID).guid_to_bytes()
VALUE = encoded(event())


def named(text: bytes | None) -> Headers:
    return [("trace", b"1"), (HEADER, text)]


@pytest.mark.parametrize(
    ("value", "headers", "schema_id", "body"),
    [
        (BY_NUMBER + VALUE, (), 258, VALUE),
        (VALUE, named(BY_GUID), GUID, VALUE),
        (VALUE, named(BY_NUMBER), 258, VALUE),
        (BY_NUMBER + VALUE, named(BY_GUID), GUID, BY_NUMBER + VALUE),
        (VALUE, named(BY_GUID + b"\x02\x04"), GUID, b"\x02\x04" + VALUE),
        (VALUE, [(HEADER, BY_NUMBER), (HEADER, BY_GUID)], GUID, VALUE),
        (BY_NUMBER, (), 258, b""),
    ],
    ids=[
        "prefix",
        "header",
        "a number in the header",
        "the header comes first",
        "the place of a message goes with the payload",
        "the last header counts",
        "nothing behind it",
    ],
)
def test_a_record_names_its_schema(
    value: bytes, headers: Headers, schema_id: int | str, body: bytes
) -> None:
    assert framed(value, headers) == (schema_id, body)
    assert schema_ids(records(value, headers=[headers])) == {schema_id}


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (VALUE, ()),
        (packed(event()), ()),
        (VALUE, [("__key_schema_id", BY_GUID)]),
        (VALUE, named(None)),
        (VALUE, named(b"")),
        (VALUE, named(BY_GUID[:-1])),
        (VALUE, named(b"\x02" + BY_GUID[1:])),
        (BY_NUMBER[:-1], ()),
        (BY_GUID + VALUE, ()),
        (b"", ()),
    ],
)
def test_a_record_that_names_none(value: bytes, headers: Headers) -> None:
    assert framed(value, headers) is None
    assert schema_ids(records(value, None, headers=[headers, ()])) == set()


# --- without a registry -----------------------------------------------------------------------


def test_the_prefix_is_refused_and_the_message_says_what_mends_it() -> None:
    rejection = refused(BY_NUMBER + VALUE)

    assert (rejection.code, rejection.path) == ("registry_prefix", "$")
    assert "schema 258" in rejection.message
    assert "`registry.url`" in rejection.message
    assert "plain JSON" in rejection.message


@pytest.mark.parametrize("value", [b"\x00", b"\x00\x00\x00\x01"])
def test_a_prefix_that_is_cut_off_is_refused(value: bytes) -> None:
    assert refused(value).code == "registry_prefix"
    assert "cut off" in refused(value).message


@pytest.mark.parametrize("encode", [encoded, packed])
def test_a_plain_value_beside_the_header_is_decoded_as_it_is(encode: object) -> None:
    value = encoded(event()) if encode is encoded else packed(event())

    assert decode(value, headers=named(BY_GUID)).events.ids == ["e-1"]


@pytest.mark.parametrize(
    "value", [b"\x06e-1\x00\x19@", b"\x80\x02e", b"\x0a\x03e-1\x1a\x02", b"\xff"]
)
def test_what_is_no_json_beside_the_header_is_refused_for_the_header(value: bytes) -> None:
    rejection = refused(value, named(BY_GUID))

    assert (rejection.code, rejection.path) == ("registry_prefix", f"headers.{HEADER}")
    assert GUID in rejection.message
    assert "`registry.url`" in rejection.message


def test_a_fault_in_json_beside_the_header_is_named_as_ever() -> None:
    rejection = refused(encoded(event(features={**GOOD, "age": "x"})), named(BY_GUID))

    assert (rejection.code, rejection.path) == ("wrong_type", "$.features.age")


def test_a_header_that_names_nothing_is_said_to() -> None:
    rejection = refused(b"\x06e-1", named(b"\x07"))

    assert (rejection.code, "no schema" in rejection.message) == ("registry_prefix", True)


# --- with a registry --------------------------------------------------------------------------


def by(
    schemas: Schemas, value: bytes, headers: Headers = (), of: EventDecoder | None = None
) -> Decoded:
    return (of or decoder()).decode(records(value, headers=[headers]), schemas)


def test_json_behind_a_prefix_is_what_it_is_without() -> None:
    schemas: Schemas = {258: PlainJson()}

    assert by(schemas, BY_NUMBER + VALUE).events.ids == ["e-1"]
    (rejection,) = by(schemas, BY_NUMBER + encoded(event(id=5))).rejections
    assert (rejection.code, rejection.path) == ("wrong_type", "$.id")


@pytest.mark.parametrize("form", ["auto", "json"])
def test_json_behind_a_prefix_is_read_where_json_is(form: str) -> None:
    of = decoder(format=form)

    assert by({258: PlainJson()}, BY_NUMBER + VALUE, of=of).events.ids == ["e-1"]


def test_a_schema_that_is_not_there_is_refused_with_its_name() -> None:
    (rejection,) = by({258: UnknownSchema("gone")}, BY_NUMBER + VALUE).rejections

    assert (rejection.code, rejection.message) == ("unknown_schema", "schema 258: gone")


def test_a_value_that_is_too_large_is_not_looked_into() -> None:
    value = BY_NUMBER + b" " * (1 << 20)

    (rejection,) = by({258: UnknownSchema("gone")}, value).rejections

    assert rejection.code == "too_large"


def test_without_asking_anybody_json_is_known_by_its_first_byte() -> None:
    batch = records(BY_NUMBER + b" " + VALUE, b"\x00\x00\x00\x00\x01\x06e-1", VALUE, None)

    assert offline_schemas(batch) == {258: PlainJson()}
