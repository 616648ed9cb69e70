"""Unit: pipeline.oip, requests of the Open Inference Protocol as events."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from sidecar.bundle.manifest import ModelInput
from sidecar.config.settings import InputSettings, LimitSettings
from sidecar.events import Decoded, EventBatch, Headers
from sidecar.pipeline.decode import EventDecoder
from tests.event_samples import (
    AGE,
    AMOUNT,
    NOON_MS,
    NUMBERS,
    VERIFIED,
    decode,
    encoded,
    event,
    manifest,
    packed,
    records,
    refused,
    request,
    tensor,
)

ROW = (12.5, 40, 1)
NUMERIC = manifest(AMOUNT, AGE, VERIFIED, inputs=(NUMBERS,))


def seen(events: EventBatch) -> tuple[list[str], list[list[float]], Any]:
    return events.ids, events.features.matrix.tolist(), events.features.text


EXPECTED = seen(decode(encoded(event())).events)


def of_numbers(*inputs: dict[str, Any], **settings: Any) -> Decoded:
    """Decode a request to a model whose three features are all numeric."""
    decoder = EventDecoder(NUMERIC, InputSettings(**settings), LimitSettings())
    return decoder.decode(records(encoded({"id": "e-1", "inputs": inputs})))


@pytest.mark.parametrize("form", ["auto", "oip"])
def test_a_tensor_for_each_feature(form: str) -> None:
    assert seen(decode(encoded(request()), format=form).events) == EXPECTED


@pytest.mark.parametrize(
    "matrix",
    [
        tensor("numbers", "FP32", *ROW, shape=(1, 3)),
        tensor("numbers", "FP64", list(ROW), shape=(1, 3)),
        tensor("numbers", "FP32", 12.5, 40.0, 1.0, shape=(3,)),
        tensor("input-0", "FP32", *ROW, shape=(1, 3)),
    ],
    ids=["flat", "nested", "without a first dimension", "of any name"],
)
def test_one_tensor_for_all_features_in_their_order(matrix: dict[str, Any]) -> None:
    decoded = of_numbers(matrix)

    assert decoded.events.features.matrix.tolist() == [[12.5, 40.0, 1.0]]


def test_a_matrix_of_the_model_s_input_beside_a_text() -> None:
    text = tensor("country", "BYTES", "DE")
    said = {"id": "e-1", "inputs": [text, tensor("numbers", "FP32", *ROW, shape=(1, 3))]}
    decoder = EventDecoder(manifest(inputs=(NUMBERS,)), InputSettings(), LimitSettings())

    assert seen(decoder.decode(records(encoded(said))).events) == EXPECTED


def test_a_matrix_follows_the_order_of_the_model_s_input() -> None:
    turned = ModelInput(name="x", dtype="float32", features=("verified", "amount", "age"))
    of = manifest(AMOUNT, AGE, VERIFIED, inputs=(turned,))
    said = {"id": "e-1", "inputs": [tensor("x", "FP32", 1, 12.5, 40, shape=(1, 3))]}

    decoded = EventDecoder(of, InputSettings(), LimitSettings()).decode(records(encoded(said)))

    assert decoded.events.features.matrix.tolist() == [[12.5, 40.0, 1.0]]


def test_a_tensor_that_the_model_has_no_feature_for_is_ignored() -> None:
    more = request(other=tensor("other", "FP16", 1, 2, 3, shape=(9, 9, 9), parameters={}))

    assert seen(decode(encoded(more)).events) == EXPECTED


def test_null_is_a_missing_value() -> None:
    unverified = request(verified=tensor("verified", "BOOL", None))

    matrix = decode(encoded(unverified)).events.features.matrix

    assert matrix.tolist()[0][:2] == [12.5, 40.0]
    assert str(matrix[0, 2]) == "nan"


# --- envelopes -------------------------------------------------------------------------------


@pytest.mark.parametrize("to_kafka", [to_binary, to_structured])
@pytest.mark.parametrize("form", ["auto", "cloudevents", "oip"])
def test_in_a_cloud_event_id_and_time_are_those_of_the_envelope(
    to_kafka: Any, form: str
) -> None:
    time = datetime(2026, 11, 1, 11, tzinfo=UTC)
    said = {"id": "ce-1", "source": "/s", "type": "t", "time": time, "specversion": "1.0"}
    data = {"inputs": request()["inputs"]}
    message = to_kafka(
        CloudEvent({**said, "datacontenttype": "application/json"}, data), JSONFormat()
    )

    decoded = decode(message.value, headers=list(message.headers.items()), format=form)

    assert seen(decoded.events) == (["ce-1"], *EXPECTED[1:])
    assert decoded.events.event_time_ms.tolist() == [NOON_MS - 3_600_000]


def test_without_an_envelope_the_time_is_that_of_the_record() -> None:
    assert decode(encoded(request())).events.event_time_ms.tolist() == [NOON_MS]


def test_paths_lead_through_a_structured_envelope() -> None:
    envelope = {"specversion": "1.0", "id": "ce-1", "source": "/s", "type": "t"}
    value = encoded({**envelope, "data": request(age=tensor("age", "INT64", 151))})

    rejection = refused(value, [("content-type", b"application/cloudevents+json")])

    assert (rejection.code, rejection.path) == ("out_of_limits", "$.data.inputs[1].data")


# --- which format ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_a_format_of_bare_events_reads_no_request(form: str) -> None:
    write = encoded if form == "json" else packed

    rejection = refused(write(request()), format=form)

    assert (rejection.code, rejection.path) == ("missing_field", "$.features")


def test_a_format_of_requests_reads_no_event() -> None:
    rejection = refused(encoded(event()), format="oip")

    assert (rejection.code, rejection.path) == ("missing_field", "$.inputs")


@pytest.mark.parametrize(
    "headers", [(), [("content-type", b"application/msgpack")]], ids=["first byte", "header"]
)
def test_a_request_in_messagepack_is_refused(headers: Headers) -> None:
    rejection = refused(packed(request()), headers, format="oip")

    assert (rejection.code, rejection.path) == ("unsupported_format", "$")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({**event(), "inputs": [], "id": 7}, "$.id"),
        ({"id": "e-1", "inputs": {}}, "$.features"),
        ({"id": "e-1", "inputs": None}, "$.features"),
        ({"id": "e-1"}, "$.features"),
    ],
    ids=["with features", "inputs are no list", "inputs are null", "without inputs"],
)
def test_what_is_refused_as_an_event_when_it_is_no_request(value: Any, path: str) -> None:
    assert refused(encoded(value)).path == path


def test_broken_json_with_inputs_is_refused_as_json() -> None:
    assert refused(encoded(request())[:-1]).code == "malformed_json"


def test_limits_of_size_and_depth_hold() -> None:
    deep = request() | {"parameters": [[[[[[[]]]]]]]}
    limits = LimitSettings(max_depth=6)
    decoder = EventDecoder(manifest(), InputSettings(), limits)

    assert decoder.decode(records(encoded(request()))).rejections == []
    (rejection,) = decoder.decode(records(encoded(deep))).rejections
    assert rejection.code == "too_deep"


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code", "path"),
    [
        ({"inputs": request()["inputs"]}, "missing_field", "$.id"),
        ({**request(), "id": 7}, "wrong_type", "$.id"),
        ({"id": "e-1", "inputs": [7]}, "wrong_type", "$.inputs[0]"),
        ({"id": "e-1", "inputs": []}, "missing_feature", "$.inputs"),
        (request(amount=None), "missing_feature", "$.inputs"),
        (request(amount={"name": "amount"}), "missing_field", "$.inputs[0].shape"),
        (request(more=tensor("age", "INT64", 41)), "invalid_tensor", "$.inputs[4]"),
        (
            {"id": "e-1", "inputs": [tensor("input-0", "FP32", 1.0)]},
            "invalid_tensor",
            "$.inputs",
        ),
    ],
    ids=[
        "no id", "id of a type", "no tensor", "no tensors", "a feature without", "no shape",
        "a feature twice", "no name that is known",
    ],
)  # fmt: skip
def test_a_request_is_refused(said: Any, code: str, path: str) -> None:
    rejection = refused(encoded(said), format="oip")

    assert (rejection.code, rejection.path) == (code, path)


AGE_AT = "$.inputs[1]"


@pytest.mark.parametrize(
    ("age", "code", "path"),
    [
        (tensor("age", "INT64", None), "missing_feature", ".data"),
        (tensor("age", "INT64", 151), "out_of_limits", ".data"),
        (tensor("age", "INT8", 128), "number_out_of_range", ".data"),
        (tensor("age", "UINT8", -1), "number_out_of_range", ".data"),
        (tensor("age", "INT64", 40.0), "wrong_type", ".data"),
        (tensor("age", "INT64", "40"), "wrong_type", ".data"),
        (tensor("age", "INT64", True), "wrong_type", ".data"),
        (tensor("age", "FP32", 40.0), "wrong_type", ".datatype"),
        (tensor("age", "BOOL", True), "wrong_type", ".datatype"),
        (tensor("age", "BYTES", "40"), "wrong_type", ".datatype"),
        (tensor("age", "FP16", 40.0), "unsupported_format", ".datatype"),
        (tensor("age", "BF16", 40.0), "unsupported_format", ".datatype"),
        (tensor("age", "int64", 40), "unsupported_format", ".datatype"),
        (tensor("age", "INT64", 40, 41, shape=(2,)), "not_one_row", ".shape[0]"),
        (tensor("age", "INT64", 40, 41, shape=(2, 1)), "not_one_row", ".shape[0]"),
        (tensor("age", "INT64", shape=(0,)), "not_one_row", ".shape[0]"),
        (tensor("age", "INT64", 40, 41, shape=(1, 2)), "invalid_tensor", ".shape"),
        (tensor("age", "INT64", 40, shape=(1, 1, 1)), "invalid_tensor", ".shape"),
        (tensor("age", "INT64", 40, shape=(-1,)), "number_out_of_range", ".shape[0]"),
        (tensor("age", "INT64", 40, 41), "invalid_tensor", ".data"),
        (tensor("age", "INT64"), "invalid_tensor", ".data"),
        (tensor("age", "INT64", [40]), "invalid_tensor", ".data"),
        (tensor("age", "INT64", [40], [41], shape=(1, 1)), "invalid_tensor", ".data"),
        (tensor("age", "INT64", [40, 41], shape=(1, 1)), "invalid_tensor", ".data[0]"),
        (tensor("age", "INT64", [[40]], shape=(1, 1)), "wrong_type", ".data[0][0]"),
        (tensor("age", "INT64", {}), "wrong_type", ".data[0]"),
    ],
    ids=lambda each: str(each)[:70] if isinstance(each, dict) else None,
)
def test_a_tensor_is_refused(age: dict[str, Any], code: str, path: str) -> None:
    rejection = refused(encoded(request(age=age)))

    assert (rejection.code, rejection.path) == (code, AGE_AT + path)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (tensor("amount", "FP64", 1e39), "number_out_of_range"),
        (tensor("amount", "FP32", 10**400), "number_out_of_range"),
        (tensor("amount", "FP32", "1"), "wrong_type"),
        (tensor("amount", "FP32", True), "wrong_type"),
    ],
)
def test_a_number_is_refused(amount: dict[str, Any], code: str) -> None:
    rejection = refused(encoded(request(amount=amount)))

    assert (rejection.code, rejection.path) == (code, "$.inputs[0].data")


def test_json_has_no_nan() -> None:
    assert refused(encoded(request()).replace(b"12.5", b"NaN")).code == "malformed_json"


@pytest.mark.parametrize(
    ("matrix", "code", "path"),
    [
        (tensor("x", "FP32", *ROW, *ROW, shape=(2, 3)), "not_one_row", ".shape[0]"),
        (tensor("numbers", "FP32", 1, 2, shape=(1, 2)), "invalid_tensor", ".shape"),
        (tensor("numbers", "FP32", 1, 2, shape=(2,)), "invalid_tensor", ".shape"),
        (tensor("x", "FP32", 1, 2, shape=(1, 3)), "invalid_tensor", ".data"),
        (tensor("x", "FP32", [1, 2], [3], shape=(1, 3)), "invalid_tensor", ".data"),
        (tensor("x", "FP32", 1, [2], 3, shape=(1, 3)), "invalid_tensor", ".data"),
        (tensor("x", "FP32", list(ROW), shape=(3,)), "invalid_tensor", ".data"),
        (tensor("x", "FP32", 12.5, 40.5, 1, shape=(1, 3)), "wrong_type", ".data[1]"),
        (tensor("x", "FP32", [12.5, 40, 2], shape=(1, 3)), "wrong_type", ".data[0][2]"),
        (tensor("x", "FP32", 12.5, 151.0, 1, shape=(1, 3)), "out_of_limits", ".data[1]"),
        (tensor("x", "FP32", None, 40, 1, shape=(1, 3)), "missing_feature", ".data[0]"),
        (tensor("x", "FP64", 1, 1e300, 1, shape=(1, 3)), "out_of_limits", ".data[1]"),
        (tensor("x", "FP64", 1, 10**400, 1, shape=(1, 3)), "out_of_limits", ".data[1]"),
        (tensor("x", "BOOL", True, True, True, shape=(1, 3)), "wrong_type", ".datatype"),
        (tensor("x", "BYTES", "a", "b", "c", shape=(1, 3)), "wrong_type", ".datatype"),
    ],
    ids=lambda each: str(each)[:70] if isinstance(each, dict) else None,
)
def test_a_matrix_is_refused(matrix: dict[str, Any], code: str, path: str) -> None:
    (rejection,) = of_numbers(matrix).rejections

    assert (rejection.code, rejection.path) == (code, "$.inputs[0]" + path)


def test_no_refusal_repeats_a_value() -> None:
    secret = "s3cret-7531"
    for bad in (
        request(age=tensor("age", "INT64", secret)),
        request(age=tensor("age", secret, 40)),
        request(age=tensor(secret, "INT64", 40)),
        request(age=tensor("age", "INT64", {secret: secret})),
    ):
        assert secret not in refused(encoded(bad)).message
