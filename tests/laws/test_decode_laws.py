"""Laws of decoding: bytes in, events or rejections out, and nothing else."""

import json
from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.settings import InputSettings, LimitSettings
from sidecar.events import Decoded, RecordBatch
from sidecar.pipeline.decode import EventDecoder
from sidecar.pipeline.depth import json_too_deep, msgpack_too_deep
from tests.event_samples import NUMBERS, decoder, encoded, event, manifest, packed, records
from tests.strategies import anything, headers, requests_of, spoiled, values, wire_events

GOOD = encoded(event())
DECODERS = {
    (form, on_missing): EventDecoder(
        manifest(inputs=(NUMBERS,)),
        InputSettings(format=form, on_missing=on_missing),
        LimitSettings(max_depth=6),
    )
    for form in ("auto", "json", "msgpack", "cloudevents", "oip")
    for on_missing in ("reject", "flag")
}


@given(
    st.sampled_from(list(DECODERS.values())),
    st.lists(st.tuples(values, st.just(()) | headers), max_size=6),
)
def test_any_bytes_give_an_event_a_rejection_or_a_tombstone(
    of: EventDecoder, given_records: list[Any]
) -> None:
    batch = records(
        *(value for value, _ in given_records), headers=[named for _, named in given_records]
    )

    decoded = of.decode(batch)

    rows = [*decoded.events.rows.tolist(), *(each.row for each in decoded.rejections)]
    tombstones = [row for row, value in enumerate(batch.values) if value is None]
    assert sorted([*rows, *tombstones]) == list(range(len(batch)))
    assert decoded.tombstones == len(tombstones)
    assert rejected_in_order(decoded)


def rejected_in_order(decoded: Decoded) -> bool:
    rows = [each.row for each in decoded.rejections]
    return rows == sorted(rows) and decoded.events.rows.tolist() == sorted(decoded.events.rows)


@given(st.lists(st.none() | spoiled() | st.binary(), max_size=3), st.data())
def test_the_neighbours_of_any_record_are_untouched(
    others: list[bytes | None], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(others)))

    among = decoder().decode(records(*others[:at], GOOD, *others[at:])).events
    alone = decoder().decode(records(GOOD)).events

    kept = among.take(np.flatnonzero(among.rows == at))
    assert kept.ids == alone.ids
    assert kept.event_time_ms.tolist() == alone.event_time_ms.tolist()
    assert kept.features.matrix.tolist() == alone.features.matrix.tolist()
    assert kept.features.text == alone.features.text


@given(
    st.sampled_from(list(DECODERS.values())),
    st.lists(st.just(GOOD) | values | wire_events(gaps=True).map(encoded), max_size=8),
)
def test_looking_at_each_closely_gives_what_a_whole_block_gives(
    of: EventDecoder, given_values: list[bytes | None]
) -> None:
    count = len(given_values)
    headers: list[Any] = [()] * count

    at_once = of.decode(records(*given_values, headers=headers))
    # A header of one record, whatever it says, has all of its block looked at closely.
    among = records(*given_values, GOOD, headers=[*headers, (("trace", b"1"),)])
    closely = of.decode(among)

    kept = closely.events.take(np.flatnonzero(closely.events.rows < count))
    assert at_once.rejections == [each for each in closely.rejections if each.row < count]
    assert at_once.tombstones == closely.tombstones
    assert at_once.events.ids == kept.ids
    assert at_once.events.rows.tolist() == kept.rows.tolist()
    assert at_once.events.event_time_ms.tolist() == kept.event_time_ms.tolist()
    np.testing.assert_array_equal(at_once.events.features.matrix, kept.features.matrix)
    assert (at_once.events.upstream or [None] * len(kept)) == (
        kept.upstream or [None] * len(kept)
    )


@given(st.lists(wire_events(gaps=True), max_size=4), st.sampled_from([encoded, packed]))
def test_decoding_an_encoded_event_gives_it_back(
    wire: list[dict[str, Any]], encode: Any
) -> None:
    batch: RecordBatch = records(*map(encode, wire))

    decoded = DECODERS["auto", "flag"].decode(batch)

    # What a producer adds for itself may nest as it likes, up to the limit.
    refused = {each.row for each in decoded.rejections}
    assert {each.code for each in decoded.rejections} <= {"too_deep"}
    kept = [each for row, each in enumerate(wire) if row not in refused]
    events = decoded.events
    assert events.ids == [each["id"] for each in kept]
    assert events.event_time_ms.tolist() == [
        each.get("time", batch.timestamps_ms[0]) for each in kept
    ]
    assert events.features.text == {"country": [e["features"].get("country") for e in kept]}
    codes = {"DE": 0.0, "FR": 1.0, None: np.nan}
    np.testing.assert_array_equal(
        events.features.matrix,
        np.array(
            [
                [
                    *(
                        each["features"].get(name, np.nan)
                        for name in ("amount", "age", "verified")
                    ),
                    codes.get(each["features"].get("country"), 2.0),
                ]
                for each in kept
            ],
            np.float64,
        ).reshape(-1, 4),
    )
    said = [each.get("prediction") for each in kept]
    back = events.upstream or [None] * len(kept)
    assert [msgspec.to_builtins(p) if p else None for p in back] == [
        dict.fromkeys(("label", "score", "confidence", "model", "version")) | prediction
        if prediction is not None
        else None
        for prediction in said
    ]


@given(
    st.sampled_from([DECODERS["auto", "flag"], DECODERS["oip", "flag"]]),
    st.lists(
        wire_events(gaps=True).flatmap(
            lambda event: st.tuples(st.just(event), requests_of(event))
        ),
        max_size=4,
    ),
)
def test_a_request_gives_the_columns_of_the_bare_event(
    of: EventDecoder, pairs: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    bare = [{"id": event["id"], "features": event["features"]} for event, _ in pairs]

    got = of.decode(records(*(encoded(request) for _, request in pairs)))

    # Parameters may nest as they like, up to the limit.
    refused = {each.row for each in got.rejections}
    assert {each.code for each in got.rejections} <= {"too_deep"}
    kept = [encoded(event) for row, event in enumerate(bare) if row not in refused]
    wanted = DECODERS["auto", "flag"].decode(records(*kept)).events
    assert got.events.ids == wanted.ids
    assert got.events.event_time_ms.tolist() == wanted.event_time_ms.tolist()
    np.testing.assert_array_equal(got.events.features.matrix, wanted.features.matrix)
    assert got.events.features.text == wanted.features.text
    assert got.events.upstream is None


# --- depth -----------------------------------------------------------------------------------


def depth(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
    return 0


@given(anything, st.integers(2, 5), st.booleans())
def test_the_depth_is_that_of_the_decoded_value(
    value: Any, limit: int, ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert json_too_deep(text, limit) == (depth(value) > limit)
    assert msgpack_too_deep(packed(value), limit) == (depth(value) > limit)


@given(st.binary(max_size=200) | spoiled(), st.integers(2, 5))
def test_any_bytes_have_a_depth(value: bytes, limit: int) -> None:
    assert json_too_deep(value, limit) in (True, False)
    assert msgpack_too_deep(value, limit) in (True, False)


@given(
    st.lists(st.sampled_from([b'"', b"\\", b"[", b"]", b"{", b"x"]), max_size=40).map(b"".join)
)
def test_brackets_in_texts_do_not_count_however_quotes_are_escaped(inside: bytes) -> None:
    text = json.dumps(inside.decode()).encode()

    assert not json_too_deep(b"[" + text + b"]", 2)
