"""Records as lines and as batches: nothing of a record is lost on the way."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.adapters.replay_records import (
    KeptRecord,
    batches_of,
    decode_record,
    encode_record,
    raw_bytes,
    raw_headers,
)
from sidecar.events import Headers, Span

contents = (
    st.none()
    | st.binary(max_size=12)
    | st.text(max_size=12).map(lambda text: text.encode(errors="replace"))
)
headers = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), contents), max_size=4)
records = st.builds(
    KeptRecord,
    topic=st.sampled_from(["one", "two"]),
    partition=st.integers(0, 3),
    offset=st.integers(0, 2**40),
    timestamp_ms=st.integers(-1, 2**41),
    key=contents,
    value=contents,
    headers=headers,
)


@given(records)
def test_a_line_gives_the_record_back(record: KeptRecord) -> None:
    line = decode_record(encode_record(record))

    assert record == KeptRecord(
        topic=line.topic or "",
        partition=line.partition,
        offset=-1 if line.offset is None else line.offset,
        timestamp_ms=-2 if line.timestamp is None else line.timestamp,
        key=raw_bytes(bytes(line.key)),
        value=line.content(),
        headers=list(raw_headers(bytes(line.headers))),
    )


@pytest.mark.parametrize(
    ("shown", "content"),
    [
        (b"null", None),
        (b'"text"', b"text"),
        (b'"Gr\\u00fc\\u00dfe"', "Grüße".encode()),
        (b'{"base64": "AP8="}', b"\x00\xff"),
        (b'{"base64": "AP8=", "id": "a"}', b'{"base64": "AP8=", "id": "a"}'),
        (b'{"id": "a"}', b'{"id": "a"}'),
        (b"17", b"17"),
    ],
    ids=["null", "text", "escapes", "bytes", "no bytes", "an object", "a number"],
)
def test_json_stands_for_bytes(shown: bytes, content: bytes | None) -> None:
    assert raw_bytes(shown) == content


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (b"null", ()),
        (b'{"a": "1", "b": null}', [("a", b"1"), ("b", None)]),
        (b'[["a", "1"], ["a", {"base64": "/w=="}]]', [("a", b"1"), ("a", b"\xff")]),
        (b'["a", "1", "b", "2"]', [("a", b"1"), ("b", b"2")]),
    ],
    ids=["none", "an object", "pairs", "a flat list"],
)
def test_headers_are_read_in_each_form(shown: bytes, expected: Headers) -> None:
    assert raw_headers(shown) == expected


def test_what_kcat_writes_is_read() -> None:
    line = decode_record(
        b'{"topic":"t","partition":2,"offset":7,"tstype":"create","ts":1767225600000,'
        b'"broker":1,"headers":["trace","x"],"key":"k","payload":"{\\"id\\":\\"a\\"}"}'
    )

    assert (line.topic, line.partition, line.offset, line.ts) == ("t", 2, 7, 1767225600000)
    assert (raw_bytes(bytes(line.key)), line.content()) == (b"k", b'{"id":"a"}')


def test_a_record_without_a_value_is_none() -> None:
    with pytest.raises(ValueError, match="a record has a value"):
        decode_record(b'{"topic": "t", "offset": 3}').content()


@given(st.lists(records, max_size=20))
def test_batches_keep_topics_in_order_and_partitions_in_order(kept: list[KeptRecord]) -> None:
    batches = list(batches_of(kept))

    by_place: dict[tuple[str, int], list[bytes | None]] = {}
    for batch in batches:
        for span in batch.spans:
            place = by_place.setdefault((batch.topic, span.partition), [])
            place += batch.values[span.start : span.stop]
    expected: dict[tuple[str, int], list[bytes | None]] = {}
    for record in kept:
        expected.setdefault((record.topic, record.partition), []).append(record.value)
    assert by_place == expected
    assert sum(map(len, batches)) == len(kept)


def test_a_batch_has_the_rows_of_a_partition_together() -> None:
    kept = [KeptRecord("t", at % 2, at, 10 * at, b"k", b"%d" % at) for at in range(4)]

    (batch,) = batches_of(kept)

    assert batch.spans == (Span(0, 0, 2), Span(1, 2, 4))
    assert batch.offsets.tolist() == [0, 2, 1, 3]
    assert batch.timestamps_ms.tolist() == [0, 20, 10, 30]


def test_a_line_is_made_to_be_read() -> None:
    assert msgspec.json.decode(encode_record(KeptRecord("t", 0, 1, 2, None, b"{"))) == {
        "topic": "t",
        "partition": 0,
        "offset": 1,
        "timestamp": 2,
        "key": None,
        "headers": {},
        "value": "{",
    }
