"""Files of a replay: whole or not there, and nothing lost in them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from sidecar.adapters.replay_lines import record_lines
from sidecar.adapters.replay_outputs import dead_letters_file, decisions_file, whole_file
from sidecar.adapters.replay_records import KeptRecord, batches_of
from sidecar.errors import UserError
from sidecar.events import Headers, OutboundSlice, RecordBatch

DECISION = (
    b'{"id":"d-1-8","event_id":"a","event_time":"2026-03-01T12:00:00.000Z","model":"credit",'
    b'"version":"7","source":"rule","reason":"low_confidence","label":"review",'
    b'"confidence":0.5,"rule":"large","flags":["future_time"]}'
)
BARE = (
    b'{"id":"d-1-9","event_id":"b","event_time":"2026-03-01T12:00:00.001Z","model":"credit",'
    b'"version":"7","source":"default","reason":"model_error"}'
)


def batch() -> RecordBatch:
    kept = [KeptRecord("credit.events", 1, 8 + at, 10 + at, b"k", b"v") for at in range(2)]
    (made,) = batches_of(kept)
    return made


def part(values: list[bytes | None], headers: list[Headers] | None = None) -> OutboundSlice:
    return OutboundSlice("out", 1, [b"\xff", None], values, headers, [0, 1])


def test_lines_of_decisions_are_the_bytes_of_the_topic(tmp_path: Path) -> None:
    with decisions_file(tmp_path / "d.jsonl") as output:
        output.write(batch(), part([DECISION, BARE]))

    assert (tmp_path / "d.jsonl").read_bytes() == DECISION + b"\n" + BARE + b"\n"


def test_parquet_has_a_column_for_all_that_a_decision_says(tmp_path: Path) -> None:
    with decisions_file(tmp_path / "d.parquet") as output:
        output.write(batch(), part([DECISION, BARE]))

    rows = parquet.read_table(tmp_path / "d.parquet").to_pylist()

    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    said = {"model": "credit", "version": "7", "partition": 1}
    assert rows == [
        {
            **said,
            "id": "d-1-8",
            "event_id": "a",
            "event_time": noon,
            "source": "rule",
            "reason": "low_confidence",
            "label": "review",
            "score": None,
            "confidence": 0.5,
            "rule": "large",
            "flags": ["future_time"],
            "offset": 8,
            "key": b"\xff",
        },
        {
            **said,
            "id": "d-1-9",
            "event_id": "b",
            "event_time": noon.replace(microsecond=1000),
            "source": "default",
            "reason": "model_error",
            "label": None,
            "score": None,
            "confidence": None,
            "rule": None,
            "flags": None,
            "offset": 9,
            "key": None,
        },
    ]


def test_a_parquet_file_without_a_decision_has_its_columns(tmp_path: Path) -> None:
    with decisions_file(tmp_path / "d.parquet"):
        pass

    table = parquet.read_table(tmp_path / "d.parquet")

    assert (table.num_rows, table.num_columns) == (0, 15)


async def test_dead_letters_can_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    twice: Headers = [("a", b"1"), ("a", b"\x00\xff")]
    with dead_letters_file(path) as output:
        output.write(batch(), part([b'{"id', b"\x80"], [twice, [("code", None)]]))

    (read,) = [found async for found in record_lines(path, "other").batches(10)]

    assert (read.topic, read.spans[0].partition) == ("credit.events", 1)
    assert (read.offsets.tolist(), read.timestamps_ms.tolist()) == ([8, 9], [10, 11])
    assert list(read.keys) == [b"\xff", None]
    assert list(read.values) == [b'{"id', b"\x80"]
    assert list(read.headers) == [twice, [("code", None)]]


def test_headers_are_an_object_unless_a_name_comes_twice(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    with dead_letters_file(path) as output:
        output.write(batch(), part([b"x", b"y"], [[("a", b"1"), ("a", b"2")], [("b", b"3")]]))

    lines = [json.loads(line)["headers"] for line in path.read_bytes().splitlines()]

    assert lines == [[["a", "1"], ["a", "2"]], {"b": "3"}]


def test_a_file_that_was_not_finished_is_not_there_and_the_old_one_is(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]

    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [
        ("report.json", "old")
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("d.csv", "`d.csv` has an ending that is not written"),
        ("no/d.jsonl", "cannot be written"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message), decisions_file(tmp_path / name):
        pass


def test_dead_letters_are_lines_alone(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match="an ending that is not written")
    with refused, dead_letters_file(tmp_path / "l.parquet"):
        pass
