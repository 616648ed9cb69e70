"""Unit: pipeline.formats, with the CloudEvents SDK as the one that knows the envelopes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from sidecar.events import EventBatch, Headers, RejectCode
from tests.event_samples import GOOD, NOON_MS, decode, encoded, event, features, packed, refused

TIME = datetime(2026, 11, 1, 12, tzinfo=UTC)
MARKS = {"ce_specversion": b"1.0", "ce_id": b"ce-1", "ce_source": b"/s", "ce_type": b"t.v1"}


def cloud_event(data: Any, **attributes: Any) -> CloudEvent:
    said = {"id": "ce-1", "source": "/shop", "type": "org.shop.order.v1", "time": TIME}
    return CloudEvent({**said, "specversion": "1.0", **attributes}, data)


def sent(message: KafkaMessage) -> EventBatch:
    """Decode what the SDK would send."""
    decoded = decode(message.value, headers=list(message.headers.items()))
    assert decoded.rejections == []
    return decoded.events


def seen(events: EventBatch) -> tuple[list[str], list[int], list[list[float]]]:
    return events.ids, events.event_time_ms.tolist(), events.features.matrix.tolist()


def headers(**named: bytes) -> Headers:
    return [
        (name.replace("content_type", "content-type"), text) for name, text in named.items()
    ]


EXPECTED = (["ce-1"], [NOON_MS], [[12.5, 40.0, 1.0, 0.0]])


@pytest.mark.parametrize("to_kafka", [to_binary, to_structured])
@pytest.mark.parametrize(
    "data",
    [{"features": GOOD}, event(id="inner", time=5), event(id=7)],
    ids=["data alone", "a whole event", "an id of another type"],
)
def test_a_cloud_event_s_id_and_time_are_those_of_its_envelope(
    to_kafka: Any, data: Any
) -> None:
    message = to_kafka(cloud_event(data, datacontenttype="application/json"), JSONFormat())

    assert seen(sent(message)) == EXPECTED


@pytest.mark.parametrize("to_kafka", [to_binary, to_structured])
def test_a_cloud_event_gives_the_columns_of_the_bare_event(to_kafka: Any) -> None:
    prediction = {"label": "approve", "score": 0.5}
    bare = decode(encoded(event(id="ce-1", time=NOON_MS, prediction=prediction))).events
    data = {"features": GOOD, "prediction": prediction}

    events = sent(to_kafka(cloud_event(data), JSONFormat()))

    assert seen(events) == seen(bare)
    assert (events.features.text, events.upstream) == (bare.features.text, bare.upstream)
    assert events.features.text == {"country": ["DE"]}
    for column in ("rows", "missing", "out_of_range", "future"):
        assert getattr(events, column).tolist() == getattr(bare, column).tolist()


@pytest.mark.parametrize("to_kafka", [to_binary, to_structured])
def test_messagepack_as_data_of_a_cloud_event(to_kafka: Any) -> None:
    data = packed({"features": GOOD})

    message = to_kafka(cloud_event(data, datacontenttype="application/msgpack"), JSONFormat())

    assert seen(sent(message)) == EXPECTED


def test_json_as_bytes_of_a_structured_cloud_event() -> None:
    message = to_structured(cloud_event(encoded({"features": GOOD})), JSONFormat())

    assert b"data_base64" in message.value
    assert seen(sent(message)) == EXPECTED


@pytest.mark.parametrize("to_kafka", [to_binary, to_structured])
def test_a_prediction_in_the_data_of_a_cloud_event_is_kept(to_kafka: Any) -> None:
    data = {"features": GOOD, "prediction": {"label": "approve"}}

    (prediction,) = sent(to_kafka(cloud_event(data), JSONFormat())).upstream or [None]

    assert prediction is not None
    assert prediction.label == "approve"


def test_an_envelope_without_time_leaves_the_data_s() -> None:
    decoded = decode(encoded(event(time=NOON_MS - 9)), headers=headers(**MARKS))

    assert decoded.events.ids == ["ce-1"]
    assert decoded.events.event_time_ms.tolist() == [NOON_MS - 9]


@pytest.mark.parametrize(
    "content_type",
    [b"Application/CloudEvents+JSON; charset=UTF-8", b"application/cloudevents"],
)
def test_the_content_type_of_a_structured_event_has_no_case(content_type: bytes) -> None:
    value = to_structured(cloud_event({"features": GOOD}), JSONFormat()).value

    decoded = decode(value, headers=[("Content-Type", content_type)])

    assert seen(decoded.events) == EXPECTED


def test_three_of_the_four_headers_make_no_cloud_event() -> None:
    some = [(name, text) for name, text in MARKS.items() if name != "ce_source"]

    assert decode(encoded(event()), headers=some).events.ids == ["e-1"]


def test_an_unmarked_record_is_taken_as_structured_when_only_cloud_events_are_read() -> None:
    value = to_structured(cloud_event({"features": GOOD}), JSONFormat()).value

    assert seen(decode(value, format="cloudevents").events) == EXPECTED
    assert refused(encoded(event()), format="cloudevents").code is RejectCode.MISSING_FIELD


@pytest.mark.parametrize(
    "content_type",
    [b"application/msgpack", b"application/x-msgpack", b"Application/vnd.msgpack"],
)
def test_a_content_type_says_messagepack(content_type: bytes) -> None:
    named = headers(content_type=content_type)

    assert decode(packed(event()), headers=named).events.ids == ["e-1"]
    assert refused(encoded(event()), named).code is RejectCode.WRONG_TYPE


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"application/json; charset=utf-8", b"application/vnd.shop+json"],
)
def test_a_content_type_says_json(content_type: bytes) -> None:
    named = headers(content_type=content_type)

    assert decode(encoded(event()), headers=named).events.ids == ["e-1"]
    assert refused(packed(event()), named).code is RejectCode.MALFORMED_JSON


@pytest.mark.parametrize(
    "of",
    [
        (),
        [("traceparent", b"00-1-2-01")],
        [("content-type", None)],
        [("content-type", b"application/octet-stream")],
    ],
    ids=["no headers", "others", "a null one", "one that says nothing"],
)
@pytest.mark.parametrize("encode", [encoded, packed])
def test_the_first_byte_decides_where_no_header_does(of: Headers, encode: Any) -> None:
    assert decode(encode(event()), headers=of).events.ids == ["e-1"]


def test_a_large_map_of_messagepack_is_known_by_its_first_byte() -> None:
    wide = event(**{f"x{at}": at for at in range(70_000)})

    assert packed(wide)[:1] == b"\xdf"
    assert decode(packed(wide)).events.ids == ["e-1"]


def test_json_may_begin_with_white_space() -> None:
    assert decode(b"\n " + encoded(event())).events.ids == ["e-1"]


def test_a_set_format_reads_nothing_else_whatever_the_headers_say() -> None:
    says_json, says_msgpack = (
        headers(content_type=b"application/json"),
        headers(content_type=b"application/msgpack"),
    )

    assert decode(encoded(event()), headers=says_msgpack, format="json").events.ids == ["e-1"]
    assert decode(packed(event()), headers=says_json, format="msgpack").events.ids == ["e-1"]
    assert refused(packed(event()), format="json").code is RejectCode.MALFORMED_JSON


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/cloudevents+avro",
        b"application/cloudevents+protobuf",
        b"application/cloudevents-batch+json",
        b"application/avro",
        b"application/x-protobuf",
        b"\xff",
    ],
)
def test_unsupported_formats(content_type: bytes) -> None:
    named = headers(**MARKS, content_type=content_type)

    assert refused(encoded(event()), named).code is RejectCode.UNSUPPORTED_FORMAT


STRUCTURED = headers(content_type=b"application/cloudevents+json")


def structured(**fields: Any) -> bytes:
    envelope = {"specversion": "1.0", "id": "ce-1", "source": "/s", "type": "t"}
    return encoded({**envelope, **fields})


@pytest.mark.parametrize(
    ("value", "code", "path"),
    [
        (structured(data=features(amount="x")), "wrong_type", "$.data.features.amount"),
        (structured(data={"features": {}}), "missing_feature", "$.data.features.amount"),
        (structured(data=features(age=200)), "out_of_limits", "$.data.features.age"),
        (structured(data=None), "missing_field", "$.data"),
        (structured(), "missing_field", "$.data"),
        (structured(data="text"), "wrong_type", "$.data"),
        (structured(data={}, id=None), "missing_field", "$.id"),
        (structured(data={}, time="noon"), "invalid_time", "$.time"),
        (structured(data={}, specversion="0.3"), "unsupported_format", "$"),
        (structured(data_base64="?"), "wrong_type", "$.data_base64"),
        (structured(data_base64="AAAA"), "registry_prefix", "$.data_base64"),
        (structured(data_base64=""), "malformed_json", "$.data_base64"),
        (structured(data_base64="W" * 400), "malformed_json", "$.data_base64"),
        (structured(data_base64="W1tb" * 40), "too_deep", "$.data_base64"),
        (structured(data={"x": [[[1]]] * 9})[:-1], "malformed_json", "$"),
        (b"[" * 10_000, "too_deep", "$"),
    ],
)
def test_a_structured_event_is_refused(value: bytes, code: str, path: str) -> None:
    rejection = refused(value, STRUCTURED)

    assert (rejection.code, rejection.path) == (code, path)


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"ce_id": b"\xff"}, "invalid_utf8", "headers.ce_id"),
        ({"ce_time": b"noon"}, "invalid_time", "headers.ce_time"),
        ({"ce_time": b"\xff"}, "invalid_utf8", "headers.ce_time"),
        ({"ce_specversion": b"0.3"}, "unsupported_format", "$"),
    ],
)
def test_a_binary_event_is_refused(changed: dict[str, bytes], code: str, path: str) -> None:
    rejection = refused(encoded({"features": GOOD}), headers(**{**MARKS, **changed}))

    assert (rejection.code, rejection.path) == (code, path)


def test_a_binary_event_without_data_is_a_tombstone() -> None:
    decoded = decode(None, headers=headers(**MARKS))

    assert (len(decoded.events), decoded.rejections, decoded.tombstones) == (0, [], 1)
