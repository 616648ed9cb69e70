"""Unit: pipeline.decode."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sidecar.bundle.manifest import Feature, FeatureType
from sidecar.config.settings import LimitSettings
from sidecar.config.values import ByteSize
from sidecar.errors import BundleError
from sidecar.events import RejectCode, Rejection, Stage, UpstreamPrediction
from sidecar.pipeline.columns import AHEAD_MS
from tests.event_samples import (
    AMOUNT,
    COUNTRY,
    GOOD,
    NOON_MS,
    decode,
    decoder,
    encoded,
    event,
    features,
    packed,
    records,
    refused,
)

NOON = "2026-11-01T12:00:00Z"


def test_a_good_event_becomes_columns() -> None:
    decoded = decode(encoded(event(id="e-7", time=NOON)))

    events = decoded.events
    assert (decoded.rejections, decoded.tombstones) == ([], 0)
    assert events.ids == ["e-7"]
    assert events.rows.tolist() == [0]
    assert events.features.matrix.tolist() == [[12.5, 40.0, 1.0, 0.0]]
    assert events.features.text == {"country": ["DE"]}
    assert events.event_time_ms.tolist() == [NOON_MS]
    assert events.upstream is None
    assert [c.tolist() for c in (events.missing, events.out_of_range, events.future)] == [
        [False]
    ] * 3


def test_a_signature_of_numbers_becomes_one_matrix() -> None:
    batch = decoder(
        AMOUNT, Feature(name="age", type=FeatureType.INTEGER, required=False)
    ).decode(
        records(
            encoded({"id": "1", "features": {"amount": 1.5, "age": 2**53}}),
            encoded({"id": "2", "features": {"amount": 2}}),
        )
    )

    matrix = batch.events.features.matrix
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, [[1.5, 2.0**53], [2.0, np.nan]])


def test_a_text_that_the_reference_never_had_has_the_code_past_the_last() -> None:
    texts = ["FR", "XX", "DE", "YY"]

    batch = decode(*(encoded(features(country=text)) for text in texts))

    assert batch.events.features.matrix[:, 3].tolist() == [1.0, 2.0, 0.0, 2.0]
    assert batch.events.features.text == {"country": texts}


def test_a_missing_text_is_nan_and_none() -> None:
    optional = Feature(
        name="country", type=FeatureType.STRING, categories=("DE",), required=False
    )

    batch = decoder(optional).decode(
        records(
            encoded({"id": "1", "features": {}}),
            encoded({"id": "2", "features": {"country": None}}),
        )
    )

    np.testing.assert_array_equal(batch.events.features.matrix, [[np.nan], [np.nan]])
    assert batch.events.features.text == {"country": [None, None]}


@pytest.mark.parametrize("of", [(AMOUNT,), (AMOUNT, COUNTRY)], ids=["numbers", "texts too"])
def test_no_events_give_columns_without_rows(of: tuple[Feature, ...]) -> None:
    decoded = decoder(*of).decode(records(None, b"{"))

    assert len(decoded.events) == 0
    assert decoded.events.features.matrix.shape == (0, len(of))
    assert decoded.events.features.text == ({"country": []} if COUNTRY in of else {})
    assert decoded.tombstones == 1


def test_messagepack_gives_the_same_event_as_json() -> None:
    both = event(time=NOON_MS, prediction={"label": "approve", "score": 0.75})

    json, msgpack = decode(encoded(both)).events, decode(packed(both)).events

    assert json.ids == msgpack.ids
    assert json.upstream == msgpack.upstream == [UpstreamPrediction("approve", 0.75)]
    assert json.event_time_ms.tolist() == msgpack.event_time_ms.tolist()
    np.testing.assert_array_equal(json.features.matrix, msgpack.features.matrix)


def test_a_bad_record_does_not_touch_its_neighbours() -> None:
    good = [encoded(event(id=f"e-{at}")) for at in range(3)]

    decoded = decode(good[0], b"{", good[1], None, b"", good[2])

    assert decoded.events.ids == ["e-0", "e-1", "e-2"]
    assert decoded.events.rows.tolist() == [0, 2, 5]
    assert [(r.row, r.code) for r in decoded.rejections] == [
        (1, RejectCode.MALFORMED_JSON),
        (4, RejectCode.EMPTY),
    ]
    assert decoded.tombstones == 1


def test_all_that_is_unusual_among_usual_events_is_found() -> None:
    other = event(prediction={"label": "approve", "model": "another"})
    deep = encoded(event(extra={"a": {"b": {"c": {"d": {}}}}}))
    large = encoded(event(note="x" * 900))
    usual = [encoded(event(id=f"e-{at}")) for at in range(5)]
    of = decoder(AMOUNT, limits=LimitSettings(max_depth=4, max_record_bytes=ByteSize(800)))

    found = [
        of.decode(records(*usual[:2], None, odd, *usual[2:], packed(event(id="m"))))
        for odd in (encoded(other), deep, large)
    ]

    assert [[each.code for each in one.rejections] for one in found] == [
        [RejectCode.UNKNOWN_MODEL],
        [RejectCode.TOO_DEEP],
        [RejectCode.TOO_LARGE],
    ]
    for one in found:
        assert one.events.rows.tolist() == [0, 1, 4, 5, 6, 7]
        assert one.events.ids == ["e-0", "e-1", "e-2", "e-3", "e-4", "m"]
        assert one.tombstones == 1


def test_unknown_fields_are_ignored() -> None:
    extra = {"tags": [1, {"deep": [None]}], "features": {**GOOD, "colour": "red"}}

    assert decode(encoded(event(**extra))).events.features.matrix.tolist() == [
        [12.5, 40.0, 1.0, 0.0]
    ]


def test_predictions_that_came_along_stand_beside_their_events() -> None:
    said = {
        "label": "approve",
        "score": 0.9,
        "confidence": 0.8,
        "model": "credit",
        "version": "6",
    }

    events = decode(encoded(event(prediction=said)), encoded(event())).events

    assert events.upstream == [UpstreamPrediction(**said), None]  # type: ignore[arg-type]


# --- event time ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "event_time_ms", "future"),
    [
        (None, NOON_MS, False),
        (NOON, NOON_MS, False),
        ("2026-11-01T13:59:59.9996+02:00", NOON_MS, False),
        ("2026-11-01t11:59:59.250z", NOON_MS - 750, False),
        (NOON_MS - 1, NOON_MS - 1, False),
        (NOON_MS + AHEAD_MS, NOON_MS + AHEAD_MS, False),
        (NOON_MS + AHEAD_MS + 1, NOON_MS + AHEAD_MS, True),
        ("9999-12-31T23:59:59Z", NOON_MS + AHEAD_MS, True),
        ("0001-01-01T00:00:00+14:00", -62_135_596_800_000, False),
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "among others"])
def test_event_time(time: Any, event_time_ms: int, future: bool, alone: bool) -> None:
    others = [] if alone else [encoded(event(time=5)), encoded(event())]

    events = decode(encoded(event(time=time)), *others).events

    assert (events.event_time_ms[0], events.future[0]) == (event_time_ms, future)


@pytest.mark.parametrize("timestamp_ms", [2**63 - 1, -(2**63)])
def test_a_timestamp_that_no_calendar_has_is_brought_into_it(timestamp_ms: int) -> None:
    batch = records(encoded(event()), timestamp_ms=timestamp_ms)

    (time_ms,) = decoder().decode(batch).events.event_time_ms.tolist()

    assert time_ms == (253_402_300_799_999 if timestamp_ms > 0 else -62_135_596_800_000)


# --- what is refused -------------------------------------------------------------------------

CODES = RejectCode
REFUSED: dict[str, tuple[bytes, RejectCode, str]] = {
    "truncated JSON": (encoded(event())[:-3], CODES.MALFORMED_JSON, "$"),
    "zero bytes": (b"", CODES.EMPTY, "$"),
    "10 MB": (b'{"id": "' + b"x" * 10_000_000 + b'"}', CODES.TOO_LARGE, "$"),
    "10,000 deep": (encoded(event())[:-1] + b',"x":' + b"[" * 10_000, CODES.TOO_DEEP, "$"),
    "10,000 deep and closed": (
        b'{"x":' * 10_000 + b"1" + b"}" * 10_000,
        CODES.TOO_DEEP,
        "$",
    ),
    "10,000 deep MessagePack": (b"\x81\xa1x" * 10_000 + b"\xc0", CODES.TOO_DEEP, "$"),
    "NaN as text": (b'{"id":"1","features":{"amount":NaN}}', CODES.MALFORMED_JSON, "$"),
    "Infinity as text": (
        b'{"id":"1","features":{"amount":-Infinity}}',
        CODES.MALFORMED_JSON,
        "$",
    ),
    "trailing bytes": (encoded(event()) + b"{}", CODES.MALFORMED_JSON, "$"),
    "a text of half a surrogate pair": (rb'{"id":"\ud800"}', CODES.MALFORMED_JSON, "$"),
    "truncated MessagePack": (packed(event())[:-1], CODES.MALFORMED_MSGPACK, "$"),
    "invalid UTF-8": (b'{"id":"abc\xe9"}', CODES.INVALID_UTF8, "$"),
    "invalid UTF-8 in MessagePack": (b"\x81\xa2id\xa2\xff\xfe", CODES.INVALID_UTF8, "$"),
    "a registry's prefix": (
        b"\x00\x00\x00\x00\x07" + encoded(event()),
        CODES.REGISTRY_PREFIX,
        "$",
    ),
    "an array": (b"[]", CODES.WRONG_TYPE, "$"),
    "a number as id": (encoded(event(id=7)), CODES.WRONG_TYPE, "$.id"),
    "no id": (encoded({"features": GOOD}), CODES.MISSING_FIELD, "$.id"),
    "no features": (encoded({"id": "1"}), CODES.MISSING_FIELD, "$.features"),
    "null features": (encoded(event(features=None)), CODES.MISSING_FIELD, "$.features"),
    "features as array": (encoded(event(features=[1])), CODES.WRONG_TYPE, "$.features"),
    "text for a number": (
        encoded(features(amount="12")),
        CODES.WRONG_TYPE,
        "$.features.amount",
    ),
    "a fraction for an integer": (
        encoded(features(age=4.5)),
        CODES.WRONG_TYPE,
        "$.features.age",
    ),
    "a number for true": (
        encoded(features(verified=1)),
        CODES.WRONG_TYPE,
        "$.features.verified",
    ),
    "a number for a text": (
        encoded(features(country=1)),
        CODES.WRONG_TYPE,
        "$.features.country",
    ),
    "missing required feature": (
        encoded(event(features={"amount": 1.0})),
        CODES.MISSING_FEATURE,
        "$.features.age",
    ),
    "null required feature": (
        encoded(features(amount=None)),
        CODES.MISSING_FEATURE,
        "$.features.amount",
    ),
    "past float32": (
        encoded(features(amount=3.5e38)),
        CODES.NUMBER_OUT_OF_RANGE,
        "$.features.amount",
    ),
    "past float64": (
        b'{"id":"1","features":{"amount":1e400}}',
        CODES.NUMBER_OUT_OF_RANGE,
        "$.features.amount",
    ),
    "a NaN in MessagePack": (
        packed(features(amount=float("nan"))),
        CODES.NUMBER_OUT_OF_RANGE,
        "$.features.amount",
    ),
    "an infinity in MessagePack": (
        packed(features(amount=float("-inf"))),
        CODES.NUMBER_OUT_OF_RANGE,
        "$.features.amount",
    ),
    "past the limits": (encoded(features(age=151)), CODES.OUT_OF_LIMITS, "$.features.age"),
    "before the limits": (encoded(features(age=-1)), CODES.OUT_OF_LIMITS, "$.features.age"),
    "unknown model": (encoded(event(model="fraud")), CODES.UNKNOWN_MODEL, "$.model"),
    "a number as model": (encoded(event(model=7)), CODES.WRONG_TYPE, "$.model"),
    "unknown upstream model": (
        encoded(event(prediction={"model": "fraud"})),
        CODES.UNKNOWN_MODEL,
        "$.prediction.model",
    ),
    "a confidence past one": (
        encoded(event(prediction={"confidence": 1.1})),
        CODES.NUMBER_OUT_OF_RANGE,
        "$.prediction.confidence",
    ),
    "a time that is none": (encoded(event(time="noon")), CODES.INVALID_TIME, "$.time"),
    "a time without offset": (
        encoded(event(time="2026-11-01T12:00:00")),
        CODES.INVALID_TIME,
        "$.time",
    ),
    "a time past the calendar": (encoded(event(time=10**15)), CODES.INVALID_TIME, "$.time"),
    "a fraction as time": (encoded(event(time=1.5)), CODES.WRONG_TYPE, "$.time"),
    "a key that is no text": (b"\x81\x01\x02", CODES.WRONG_TYPE, "$"),
}


@pytest.mark.parametrize(("value", "code", "path"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(value: bytes, code: RejectCode, path: str) -> None:
    rejection = refused(value)

    assert (rejection.row, rejection.stage) == (0, Stage.DECODE)
    assert (rejection.code, rejection.path) == (code, path)


def test_the_message_says_where_in_the_record_the_text_is_broken() -> None:
    assert refused(b'{"id":"abc\xe9"}') == Rejection(
        0,
        Stage.DECODE,
        RejectCode.INVALID_UTF8,
        "text is not UTF-8: unexpected end of data (byte 10)",
    )


@pytest.mark.parametrize(
    "value",
    [
        encoded(event(model="s3cret")),
        encoded(event(time="s3cret")),
        encoded(event(prediction={"model": "s3cret"})),
        encoded(features(amount="s3cret")),
        encoded({"id": "s3cret", "s3cret": "s3cret"}),
        b'{"id":"s3cret\xff"}',
        b'{"id":"s3cret"',
        b"s3cret",
    ],
)
def test_messages_hold_no_value_of_the_payload(value: bytes) -> None:
    rejection = refused(value)

    assert "s3cret" not in rejection.message + rejection.path


@pytest.mark.parametrize("on_missing", ["flag", "fallback"])
@pytest.mark.parametrize("absent", [{}, {"amount": None}], ids=["left out", "null"])
def test_a_required_feature_may_be_missing_where_the_settings_say_so(
    on_missing: str, absent: dict[str, None]
) -> None:
    rest = {name: value for name, value in GOOD.items() if name != "amount"}

    decoded = decode(encoded(event(features={**rest, **absent})), on_missing=on_missing)

    assert decoded.rejections == []
    np.testing.assert_array_equal(decoded.events.features.matrix, [[np.nan, 40.0, 1.0, 0.0]])


# --- limits ----------------------------------------------------------------------------------


def test_the_largest_record_that_is_read_has_the_limit_s_size() -> None:
    value = encoded(event())
    limits = LimitSettings(max_record_bytes=ByteSize(len(value)))

    decoded = decoder(limits=limits).decode(records(value, value + b" "))

    assert decoded.events.rows.tolist() == [0]
    assert [(r.row, r.code) for r in decoded.rejections] == [(1, RejectCode.TOO_LARGE)]


@pytest.mark.parametrize("encode", [encoded, packed])
@pytest.mark.parametrize("nest", [lambda x: {"x": x}, lambda x: [x]], ids=["maps", "arrays"])
@pytest.mark.parametrize("max_depth", [2, 3, 4, 32, 500])
def test_the_deepest_record_that_is_read_has_the_limit_s_depth(
    encode: Any, nest: Callable[[object], object], max_depth: int
) -> None:
    deepest: object = 1
    for _ in range(max_depth - 1):
        deepest = nest(deepest)
    limited = decoder(limits=LimitSettings(max_depth=max_depth))

    decoded = limited.decode(
        records(encode(event(extra=deepest)), encode(event(extra=nest(deepest))))
    )

    assert decoded.events.rows.tolist() == [0]
    assert [(r.row, r.code) for r in decoded.rejections] == [(1, RejectCode.TOO_DEEP)]


def test_many_brackets_side_by_side_or_in_texts_are_not_deep() -> None:
    wide = event(id="[{" * 100, lists=[[1], [2]] * 50, maps=[{"x": '\\"[['}] * 50)

    assert decode(encoded(wide), packed(wide)).rejections == []


def test_a_name_that_json_escapes_is_refused_with_the_bundle() -> None:
    with pytest.raises(BundleError, match="rename it"):
        decoder(Feature(name='net "income"', type=FeatureType.FLOAT))
