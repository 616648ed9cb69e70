"""Laws of records that name a schema: any bytes give an event or a rejection."""

import asyncio
import base64
import json
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.adapters.schema_avro import avro_reader
from sidecar.adapters.schema_protobuf import protobuf_reader
from sidecar.events import Headers, RejectCode
from sidecar.pipeline.framing import HEADER
from sidecar.ports import PlainJson, Schemas, UnknownSchema
from tests.event_samples import GOOD, decoder, encoded, event, records
from tests.registry_samples import (
    AVRO_EVENT,
    EVENT_FILE,
    FEATURES_FILE,
    avro_serialiser,
    mock_registry,
    protobuf_event,
    protobuf_messages,
    protobuf_serialiser,
    serialised,
)
from tests.strategies import headers as any_headers
from tests.strategies import spoiled


def text(file: Any) -> str:
    return base64.b64encode(file.SerializeToString()).decode()


async def _samples() -> tuple[bytes, bytes]:
    client = mock_registry()
    avro = await avro_serialiser(client, "prefix")
    protobuf = await protobuf_serialiser(client, "prefix", protobuf_messages()["Event"])
    return (
        (await serialised(avro, {"id": "e-1", "time": None, "features": GOOD}))[0][5:],
        (await serialised(protobuf, protobuf_event("e-1", **GOOD)))[0][5:],
    )


GUID = b"\x01" + bytes(range(16))
SCHEMAS: Schemas = {
    1: PlainJson(),
    2: avro_reader(json.dumps(AVRO_EVENT), (), 32),
    3: protobuf_reader(text(EVENT_FILE), {"example/features.proto": text(FEATURES_FILE)}),
    4: UnknownSchema("gone"),
}
GOOD_BODIES = (encoded(event()), *asyncio.run(_samples()))
DECODERS = [
    decoder(format=form, on_missing=on_missing)
    for form in ("auto", "json", "msgpack", "cloudevents")
    for on_missing in ("reject", "flag")
]


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A payload with some of its bytes replaced, or cut off."""
    body = draw(st.sampled_from(GOOD_BODIES))
    start = draw(st.integers(0, len(body)))
    stop = draw(st.integers(start, len(body)))
    return body[:start] + draw(st.binary(max_size=12)) + body[stop:]


bodies = st.sampled_from(GOOD_BODIES) | bent() | st.binary(max_size=80) | spoiled()
numbers = st.integers(0, 5).map(lambda number: b"\x00" + number.to_bytes(4, "big"))


@st.composite
def framed_records(draw: st.DrawFn) -> tuple[bytes, Headers]:
    """Any bytes behind a prefix, or beside a header; frames may be broken too."""
    name = draw(numbers | st.just(GUID) | st.binary(max_size=18))
    others = draw(any_headers | st.just(()))
    if draw(st.booleans()):
        return name + draw(bodies), others
    return draw(bodies), [*others, (HEADER, name)]


@settings(max_examples=300)
@given(st.sampled_from(DECODERS), st.lists(framed_records(), max_size=4), st.booleans())
def test_any_framed_bytes_give_an_event_or_a_rejection(
    of: Any, given_records: list[tuple[bytes, Headers]], has_registry: bool
) -> None:
    batch = records(
        *(value for value, _ in given_records), headers=[named for _, named in given_records]
    )

    decoded = of.decode(batch, SCHEMAS if has_registry else {})

    rows = [*decoded.events.rows.tolist(), *(each.row for each in decoded.rejections)]
    assert sorted(rows) == list(range(len(batch)))
    assert decoded.tombstones == 0
    if not has_registry:
        codes = {each.code for each in decoded.rejections}
        assert RejectCode.UNKNOWN_SCHEMA not in codes
        assert RejectCode.MALFORMED_AVRO not in codes


@given(framed_records())
def test_the_neighbours_of_any_framed_record_are_untouched(
    other: tuple[bytes, Headers],
) -> None:
    value, headers = other
    avro = b"\x00\x00\x00\x00\x02" + GOOD_BODIES[1]

    among = decoder().decode(records(value, avro, headers=[headers, ()]), SCHEMAS).events
    alone = decoder().decode(records(avro), SCHEMAS).events

    kept = among.take(np.flatnonzero(among.rows == 1))
    assert (kept.ids, kept.features.text) == (alone.ids, alone.features.text)
    assert kept.features.matrix.tolist() == alone.features.matrix.tolist()
