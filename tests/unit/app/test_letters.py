"""Unit: app.letters, app.letter_view, app.resend."""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from sidecar.adapters.schema_avro import avro_reader
from sidecar.app.letter_view import decode, describe, dump, find
from sidecar.app.letters import (
    Letter,
    Skip,
    Wanted,
    letters_of,
    line_of,
    outbound,
    parse_instant,
    parse_key,
    parse_place,
    printable,
    why_skipped,
)
from sidecar.app.resend import Resend, Tally, Terms
from sidecar.errors import UserError
from sidecar.events import (
    Headers,
    OutboundSlice,
    RecordBatch,
    RejectCode,
    Rejection,
    Span,
    Stage,
)
from sidecar.pipeline.encode import Encoder
from sidecar.ports import UnknownSchema
from tests.event_samples import NOON_MS, manifest, records
from tests.fakes import FakeClock, MemoryLog, MemorySink

TOPIC = "credit.events"
ENCODER = Encoder(manifest(), "credit.decisions", "credit.dead-letters", "1.2.3")
WRONG = Rejection(
    0, Stage.DECODE, RejectCode.WRONG_TYPE, "Expected `float`", "$.features.amount"
)
SECRET = "4111-1111"


def said(**changes: object) -> Headers:
    """Give the headers of a letter; None leaves one out."""
    whole: dict[str, object] = {
        "code": "wrong_type",
        "stage": "decode",
        "message": "Expected `float`, got `str`",
        "path": "$.features.amount",
        "topic": TOPIC,
        "partition": 3,
        "offset": 90,
        "timestamp": NOON_MS,
        "attempts": 1,
        "version": "1.2.3",
        **changes,
    }
    return [(f"sidecar.error.{k}", str(v).encode()) for k, v in whole.items() if v is not None]


def letter(value: bytes | None = b"{", *, offset: int = 7, **changes: Any) -> Letter:
    columns = {"key": b"k", "time_ms": NOON_MS, **changes}
    headers = columns.pop("headers", None)
    known = {name: columns.pop(name) for name in ("key", "time_ms")}
    return Letter(1, offset, known["time_ms"], known["key"], value, headers or said(**columns))


def stored(slices: Sequence[OutboundSlice]) -> list[Letter]:
    """Give what the encoder wrote as it is read from the dead-letter topic."""
    (part,) = slices
    assert part.headers is not None
    count = len(part.rows)
    batch = RecordBatch(
        part.topic,
        (Span(part.partition, 0, count),),
        np.arange(count, dtype=np.int64),
        np.full(count, NOON_MS, np.int64),
        part.keys,
        part.values,
        part.headers,
    )
    return list(letters_of(batch))


# --- what a letter says --------------------------------------------------------------------


def test_a_letter_of_the_encoder_says_what_was_wrong_and_where_it_was() -> None:
    (found,) = stored(ENCODER.dead_letters(records(b"{"), [WRONG]))

    assert found.facts() == {
        "letter": "3:0",
        "code": "wrong_type",
        "stage": "decode",
        "path": "$.features.amount",
        "source": "credit.events-3-100",
        "time": "2026-11-01T12:00:00.000Z",
        "attempts": 1,
    }
    assert line_of(found).split() == [
        *("3:0", "wrong_type", "decode", "2026-11-01T12:00:00.000Z", "attempts", "1"),
        *("credit.events-3-100", "$.features.amount"),
    ]


def test_a_letter_that_is_sent_back_is_the_record_that_it_was_and_its_attempts_count_on() -> (
    None
):
    original = records(b"{", headers=[[("trace", b"a"), ("trace", b"b")]], keys=[b"\x00key"])
    (once,) = stored(ENCODER.dead_letters(original, [WRONG]))

    (part,) = outbound([once], TOPIC).slices
    assert part == OutboundSlice(
        topic=TOPIC,
        partition=3,
        keys=[b"\x00key"],
        values=[b"{"],
        headers=[[("trace", b"a"), ("trace", b"b"), ("sidecar.error.attempts", b"1")]],
        rows=[0],
        timestamps_ms=original.timestamps_ms.tolist(),
    )
    assert part.headers is not None
    again = records(b"{", headers=part.headers)
    (twice,) = stored(ENCODER.dead_letters(again, [WRONG]))
    assert (twice.attempts, twice.original_headers()) == (2, once.original_headers())


def test_letters_keep_their_order_in_each_partition_that_they_came_from() -> None:
    found = [letter(b"%d" % at, offset=at, partition=at % 2) for at in range(5)]

    batch = outbound(found, TOPIC)

    assert [(part.partition, part.values) for part in batch.slices] == [
        (0, [b"0", b"2", b"4"]),
        (1, [b"1", b"3"]),
    ]


@pytest.mark.parametrize("text", ["", "-1", "9" * 19, "one", "٣"])
def test_a_header_that_is_no_number_is_none(text: str) -> None:
    odd = letter(timestamp=text, attempts=text, partition=text)

    (part,) = outbound([odd], TOPIC).slices

    assert (odd.attempts, part.partition, part.timestamps_ms) == (0, 1, [None])


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (letter(), None),
        (letter(b"{}"), None),
        (letter(attempts=2), None),
        (letter(attempts=3), Skip.TOO_OFTEN),
        (letter(None), Skip.NO_PAYLOAD),
        (letter(topic="other.events"), Skip.OTHER_TOPIC),
        (letter(headers=[("x", b"y")]), Skip.NO_LETTER),
        (stored(ENCODER.stubs(records(b"secret"), [WRONG]))[0], Skip.NO_PAYLOAD),
    ],
)
def test_what_may_not_go_back_is_skipped_with_the_reason(
    found: Letter, why: Skip | None
) -> None:
    assert why_skipped(found, TOPIC, max_attempts=3) is why


# --- which are wanted ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (Wanted(), True),
        (Wanted(codes=frozenset({"wrong_type", "empty"})), True),
        (Wanted(codes=frozenset({"empty"})), False),
        (Wanted(stages=frozenset({"send"})), False),
        (Wanted(since_ms=NOON_MS), True),
        (Wanted(since_ms=NOON_MS + 1), False),
        (Wanted(until_ms=NOON_MS), False),
        (Wanted(until_ms=NOON_MS + 1), True),
        (Wanted(key=b"k"), True),
        (Wanted(key=b""), False),
        (Wanted(codes=frozenset({"wrong_type"}), key=b"x"), False),
    ],
)
def test_a_filter_takes_what_all_of_it_fits(wanted: Wanted, takes: bool) -> None:
    assert wanted.takes(letter()) is takes


def test_an_instant_is_a_time_or_how_long_ago() -> None:
    assert parse_instant("--since", "90m", NOON_MS) == NOON_MS - 5_400_000
    assert parse_instant("--since", "2026-11-01T12:00:00Z", 0) == NOON_MS
    assert parse_instant("--since", "2026-11-01T14:00:00.5+02:00", 0) == NOON_MS + 500


@pytest.mark.parametrize("text", ["yesterday", "2026-11-01T12:00:00", "2", ""])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_instant("--since", text, NOON_MS)

    assert caught.value.findings[0].path == "--since"


@pytest.mark.parametrize("text", ["3", "3:", ":3", "-1:3", "1:2:3", "a:b", "1:٣"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_place("--after", text)


def test_what_is_no_hexadecimal_key_is_refused() -> None:
    with pytest.raises(UserError):
        parse_key("--key", "hex:zz")


def test_text_from_outside_cannot_steer_a_terminal() -> None:
    hostile = letter(path="$.\x1b[2J\x9b\u202e")

    assert "$.\\x1b[2J\\x9b\\u202e" in line_of(hostile)
    assert printable("\udcff") == "\\udcff"


# --- letters that name a schema ---------------------------------------------------------------


AVRO = json.dumps(
    {
        "type": "record",
        "name": "Event",
        "fields": [{"name": "id", "type": "string"}, {"name": "age", "type": "int"}],
    }
)


def framed_letter(number: int, body: bytes, **fields: Any) -> Letter:
    return letter(b"\x00" + number.to_bytes(4, "big") + body, **fields)


def test_json_behind_the_prefix_of_a_registry_is_shown() -> None:
    lines = describe(framed_letter(17, b'{"id": "a"}'), reveal=True).splitlines()

    assert "schema     17" in lines
    assert '  "id": "a"' in lines


def test_avro_is_shown_by_its_schema() -> None:
    schema = avro_reader(AVRO, (), 8)
    found = framed_letter(17, b"\x06abc\x52", path="$.age")

    text = describe(found, reveal=False, schema=schema)

    assert text.partition("\n\n")[2].splitlines() == [
        "Payload, 10 bytes of Avro; values are masked, --reveal shows them:",
        "{",
        '  "id": <text, 3 characters>,',
        '  "age": <integer>  <== here',
        "}",
    ]


@pytest.mark.parametrize("body", [b"", b"\x06ab", b"\x06abc\x52\x00"])
def test_avro_that_does_not_fit_its_schema_is_shown_as_bytes(body: bytes) -> None:
    text = describe(framed_letter(17, body), reveal=False, schema=avro_reader(AVRO, (), 8))

    assert "which cannot be read" in text


def test_why_a_schema_is_not_known_is_shown() -> None:
    lines = describe(
        framed_letter(17, b"\x06abc"), reveal=False, schema=UnknownSchema("no answer")
    ).splitlines()

    assert "schema     17: no answer" in lines


# --- how one is shown ----------------------------------------------------------------------

TREE = {"id": SECRET, "features": {"amount": SECRET, "age": 41, "tags": [None, True, 1.5]}}
MASKED = [
    "{",
    '  "id": <text, 9 characters>,',
    '  "features": {',
    '    "amount": <text, 9 characters>,  <== here',
    '    "age": <integer>,',
    '    "tags": [',
    "      null,",
    "      <boolean>,",
    "      <number>",
    "    ]",
    "  }",
    "}",
]


@pytest.mark.parametrize(
    ("value", "title"),
    [
        (json.dumps(TREE).encode(), "Payload, 94 bytes of JSON"),
        (msgspec.msgpack.encode(TREE), "Payload, 63 bytes of MessagePack"),
    ],
    ids=["JSON", "MessagePack"],
)
def test_a_payload_is_shown_with_names_types_and_a_mark_and_without_values(
    value: bytes, title: str
) -> None:
    text = describe(letter(value, key=SECRET.encode()), reveal=False)

    _, _, payload = text.partition("\n\n")
    assert payload.splitlines() == [
        f"{title}; values are masked, --reveal shows them:",
        *MASKED,
    ]
    assert SECRET not in text
    assert "key        <9 bytes>" in text.splitlines()


def test_a_payload_is_revealed_when_asked_for() -> None:
    headers = [("Content-Type", b"application/json"), ("owner", b"Ann"), *said()]
    found = letter(json.dumps(TREE).encode(), key=b"\xff", headers=headers)

    lines = describe(found, reveal=True).splitlines()
    masked = describe(found, reveal=False).splitlines()

    assert f'    "amount": "{SECRET}",  <== here' in lines
    assert "key        hex:ff" in lines
    assert "header     owner: Ann" in lines
    assert "header     owner: <3 bytes>" in masked
    assert "header     Content-Type: application/json" in masked


def test_what_is_missing_is_named_where_it_should_be() -> None:
    lines = describe(letter(b'{"features": {}}', path="$.features.age"), reveal=False)

    assert '  "features": {}  <== here, without `age`' in lines.splitlines()


@pytest.mark.parametrize(
    ("path", "steps", "rest"),
    [
        ("$", (), ""),
        ("$.a", ("a",), ""),
        ("$.a.b", ("a.b",), ""),
        ("$.a.c", ("a", "c"), ""),
        ("$.list[1].x", ("list", 1, "x"), ""),
        ("$.list[2]", ("list",), "[2]"),
        ("$.list[...]", ("list",), "[...]"),
        ("$.ab", (), ".ab"),
        ("headers.ce_time", (), "headers.ce_time"),
        ("", (), ""),
    ],
)
def test_a_path_is_followed_as_far_as_it_goes(
    path: str, steps: tuple[str | int, ...], rest: str
) -> None:
    tree = {"a": {"c": 1}, "a.b": 2, "list": [0, {"x": 1}]}

    assert find(tree, path) == (steps, rest)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'{"a":',
        b"\xff\xfe",
        b"\x81\xa1",
        b"[" * 100_000,
        b"\x81\xa1a" * 100_000,
        b"9" * 9_000,
    ],
)
def test_any_bytes_are_shown(value: bytes) -> None:
    assert decode(value, []) is None
    assert "which cannot be read" in describe(letter(value), reveal=False)


def test_nothing_of_bytes_that_cannot_be_read_is_shown_but_their_syntax() -> None:
    json_rows = list(dump(b'{"card": "4111 11', "", reveal=False))
    other_rows = list(dump(b"\x00\x00\x00\x00\x2a{secret", "", reveal=False))

    assert [row[59:] for row in json_rows] == ['{"....": ".... .', "."]
    assert other_rows == [f"00000000  00{' ..' * 11:<45}  ............"]


def test_bytes_around_the_fault_are_shown_and_how_many_there_are_more() -> None:
    value = bytes(range(32, 127)) * 20
    rows = list(dump(value, "JSON is malformed: trailing characters (byte 1000)", reveal=True))

    assert rows[0].startswith("00000360  ")
    (marked,) = [row for row in rows if row.endswith("<== here")]
    assert marked.startswith("000003e0  ")
    assert rows[-1] == "... and 780 bytes more"


def test_nan_is_shown_as_what_is_wrong() -> None:
    lines = describe(letter(b'{"features": {"amount": NaN}}'), reveal=False).splitlines()

    assert '    "amount": <number, not finite>  <== here' in lines


# --- sending back --------------------------------------------------------------------------


async def each(*found: Letter) -> AsyncGenerator[Letter, None]:
    for one in found:
        yield one


class Bench:
    """A sink into memory, and a clock that goes on when somebody sleeps."""

    def __init__(self, *refused: bytes) -> None:
        self.log = MemoryLog()
        self.log.create(TOPIC, 4)
        self.clock = FakeClock()
        self.sink = MemorySink(self.log, [TOPIC], refuses=lambda _t, _k, v: v in refused)

    async def run(self, terms: Terms, *found: Letter) -> Tally:
        await self.sink.start()
        resend = Resend(self.sink, terms, clock=self.clock, sleep=self._sleep)
        await resend.run(each(*found), lambda: None)
        return resend.tally

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)


async def test_letters_are_sent_and_what_is_skipped_or_refused_is_counted() -> None:
    bench = Bench(b"huge")
    found = [letter(b"a", offset=0), letter(b"huge", offset=1), letter(None, offset=2)]

    tally = await bench.run(Terms(TOPIC), *found, letter(b"b", offset=3, attempts=9))

    assert bench.log.values(TOPIC) == [b"a"]
    assert tally == Tally(
        sent=1,
        skipped=tally.skipped,
        refused=[("1:1", "refused by the test")],
        after={1: 1},
    )
    assert tally.skipped == {Skip.NO_PAYLOAD: 1, Skip.TOO_OFTEN: 1}


async def test_no_more_than_the_limit_are_sent() -> None:
    bench = Bench()

    tally = await bench.run(Terms(TOPIC, limit=2), *(letter(b"%d" % at) for at in range(5)))

    assert (tally.sent, bench.log.values(TOPIC)) == (2, [b"0", b"1"])


@pytest.mark.parametrize(("rate", "seconds"), [(100.0, 9.9), (0.5, 1_998.0), (1e9, 0.0)])
async def test_letters_go_out_at_the_rate(rate: float, seconds: float) -> None:
    bench = Bench()

    tally = await bench.run(Terms(TOPIC, rate=rate), *(letter(b"x") for _ in range(1_000)))

    assert tally.sent == 1_000
    assert bench.clock.monotonic() == pytest.approx(seconds, abs=1e-3)


async def test_a_sink_that_fails_ends_it_and_what_was_sent_is_known() -> None:
    bench = Bench()
    await bench.sink.start()
    terms = Terms(TOPIC, rate=10.0)
    resend = Resend(bench.sink, terms, clock=bench.clock, sleep=bench._sleep)

    async def failing() -> AsyncGenerator[Letter, None]:
        yield letter(b"a", offset=4)
        bench.sink.fail()
        yield letter(b"b", offset=5)

    await resend.run(failing(), lambda: None)

    assert resend.tally == Tally(sent=1, after={1: 4}, trouble="made to fail")
