"""Tables as events: the types of the signature, whatever the file calls them."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as arrow  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from sidecar.adapters.replay_rows import TableColumns, converted, instant
from sidecar.adapters.replay_tables import TableFile
from sidecar.bundle.manifest import Feature, FeatureType
from sidecar.errors import Finding, UserError
from sidecar.events import RecordBatch

NAN = float("nan")
NOON = "2026-03-01T12:00:00Z"
NOON_MS = 1_772_366_400_000
SIGNATURE = (
    Feature(name="amount", type=FeatureType.FLOAT),
    Feature(name="age", type=FeatureType.INTEGER),
    Feature(name="is new", type=FeatureType.BOOLEAN),
    Feature(name="segment", type=FeatureType.STRING),
)
CHOICE = TableColumns(id="name", time="when", key="customer")
ROWS: list[dict[str, Any]] = [
    {
        "name": "a",
        "when": NOON,
        "customer": "c1",
        "amount": 12.5,
        "age": 41,
        "is new": True,
        "segment": "gold",
        "note": "x",
    },
    {
        "name": "b",
        "when": None,
        "customer": None,
        "amount": None,
        "age": None,
        "is new": None,
        "segment": None,
        "note": None,
    },
]
EVENTS = [
    {
        "id": "a",
        "features": {"amount": 12.5, "age": 41, "is new": True, "segment": "gold"},
        "time": NOON_MS,
    },
    {"id": "b", "features": {"amount": None, "age": None, "is new": None, "segment": None}},
]
Write = Callable[[Path, Sequence[dict[str, Any]]], Path]


def as_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    words = {None: "", True: "True", False: "False"}
    lines = [",".join(rows[0])]
    lines += [
        ",".join(
            str(words.get(v, v) if not isinstance(v, (int, float)) or v is True else v)
            for v in row.values()
        )
        for row in rows
    ]
    path = path.with_suffix(".csv")
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    return path


def as_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path = path.with_suffix(".parquet")
    parquet.write_table(arrow.Table.from_pylist(list(rows)), path, row_group_size=1)
    return path


def as_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path = path.with_suffix(".jsonl")
    present = [{k: v for k, v in row.items() if v is not None} for row in rows]
    path.write_text("\n\n".join(map(json.dumps, present)))
    return path


def batches(table: TableFile, max_records: int = 100) -> list[RecordBatch]:
    async def read() -> list[RecordBatch]:
        return [batch async for batch in table.batches(max_records)]

    return asyncio.run(read())


def events(table: TableFile) -> list[Any]:
    """Give the events of a table; empty values are left out."""
    return [json.loads(value or b"") for batch in batches(table) for value in batch.values]


@pytest.mark.parametrize("write", [as_csv, as_parquet, as_jsonl])
def test_each_kind_of_file_gives_the_same_events(tmp_path: Path, write: Write) -> None:
    table = TableFile(write(tmp_path / "t", ROWS), SIGNATURE, CHOICE, "credit.events")

    (batch,) = batches(table)

    assert [json.loads(value or b"") for value in batch.values] == EVENTS
    assert batch.topic == "credit.events"
    assert batch.offsets.tolist() == [0, 1]
    assert batch.timestamps_ms.tolist() == [NOON_MS, NOON_MS]
    assert list(batch.keys) == [b"c1", None]
    assert table.notes == ["columns that are no feature are ignored: note"]
    done, of = table.progress
    assert done == of


@pytest.mark.parametrize("write", [as_csv, as_parquet, as_jsonl])
def test_batches_have_at_most_so_many_rows_and_go_on_counting(
    tmp_path: Path, write: Write
) -> None:
    rows = [{"amount": float(at)} for at in range(7)]
    table = TableFile(write(tmp_path / "t", rows), SIGNATURE, TableColumns(), "t")

    found = batches(table, 3)

    assert max(map(len, found)) <= 3
    assert [at for batch in found for at in batch.offsets.tolist()] == list(range(7))
    first = json.loads(found[0].values[0] or b"")
    assert first == {"id": "0", "features": {"amount": 0.0}}
    assert table.notes == [
        "features without a column are missing everywhere: age, is new, segment"
    ]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (FeatureType.FLOAT, ["1", " 2.50 ", "1e3", "", "nan", "much", "inf"],
         [1.0, 2.5, 1000.0, None, None, "much", "inf"]),
        (FeatureType.FLOAT, [1, 2.5, NAN, None, Decimal("0.5"), float("inf"), True],
         [1, 2.5, None, None, 0.5, "inf", True]),
        (FeatureType.INTEGER, ["7", "7.0", "", "7.5", "1_0", "-3"],
         [7, 7, None, 7.5, "1_0", -3]),
        (FeatureType.INTEGER, [7, 7.0, NAN, None, 7.5], [7, 7, None, None, 7.5]),
        (FeatureType.BOOLEAN, ["true", "False", "", "1"], [True, False, None, "1"]),
        (FeatureType.BOOLEAN, [True, None, NAN, 1], [True, None, None, 1]),
        (FeatureType.STRING, [" gold", "", "007"], ["gold", None, "007"]),
        (FeatureType.STRING, ["gold", None, NAN, 7], ["gold", None, None, 7]),
    ],
    ids=["float text", "floats", "integer text", "integers", "boolean text", "booleans", "text",
         "mixed"],
)  # fmt: skip
def test_a_value_takes_its_features_type_or_stays_as_it_is(
    kind: FeatureType, values: list[Any], expected: list[Any]
) -> None:
    got = converted(kind, values)

    assert list(got) == expected
    assert list(map(type, got)) == list(map(type, expected))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (NOON, NOON_MS),
        ("2026-03-01 12:00:00.0004", NOON_MS),
        ("2026-03-01T13:00:00+01:00", NOON_MS),
        ("2026-03-01", NOON_MS - 43_200_000),
        (NOON_MS, NOON_MS),
        (float(NOON_MS), NOON_MS),
        (str(NOON_MS), NOON_MS),
        ("soon", "soon"),
        (10**17, "100000000000000000"),
        (None, None),
        ("", None),
    ],
)
def test_an_instant_is_read_as_people_write_it(value: object, expected: object) -> None:
    assert instant(value) == expected


@pytest.mark.parametrize(
    "kind",
    [
        arrow.timestamp("ns"),
        arrow.timestamp("us", "UTC"),
        arrow.timestamp("s", "Europe/Berlin"),
        arrow.date32(),
    ],
    ids=str,
)
def test_instants_of_parquet_keep_their_instant(tmp_path: Path, kind: Any) -> None:
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    column = arrow.array([midnight], arrow.timestamp("us", "UTC")).cast(kind)
    parquet.write_table(arrow.table({"when": column, "age": [1]}), tmp_path / "t.parquet")
    table = TableFile(tmp_path / "t.parquet", SIGNATURE, TableColumns(time="when"), "t")

    (batch,) = batches(table)

    assert batch.timestamps_ms.tolist() == [1_772_323_200_000]


def test_categories_and_decimals_of_parquet_are_values(tmp_path: Path) -> None:
    columns = {
        "segment": arrow.array(["gold", None, "gold"]).dictionary_encode(),
        "amount": arrow.array([Decimal("1.5"), None, Decimal("2.5")]),
    }
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")

    found = events(TableFile(tmp_path / "t.parquet", SIGNATURE, TableColumns(), "t"))

    assert [event["features"] for event in found] == [
        {"segment": "gold", "amount": 1.5},
        {"segment": None, "amount": None},
        {"segment": "gold", "amount": 2.5},
    ]


def test_rows_that_have_no_columns_stand_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('amount,age\n1,2\n3\n"4,5",6,7\n8,9\n')
    table = TableFile(path, SIGNATURE, TableColumns(), "t")

    (batch,) = batches(table)

    assert list(batch.values) == [
        b'{"id":"0","features":{"amount":1.0,"age":2}}',
        b"3",
        b"4,5,6,7",
        b'{"id":"3","features":{"amount":8.0,"age":9}}',
    ]


def test_lines_that_are_no_object_stand_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"amount": 1}\n[2]\n{"amount"\n')
    table = TableFile(path, SIGNATURE, TableColumns(), "t")

    (batch,) = batches(table)

    assert list(batch.values) == [
        b'{"id":"0","features":{"amount":1}}',
        b"[2]",
        b'{"amount"',
    ]


def test_columns_that_are_named_and_not_there_are_all_listed(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "t", [{"price": 1, "b": 2}])

    with pytest.raises(UserError) as caught:
        TableFile(path, SIGNATURE, TableColumns(id="name", key="b"), "t")

    assert caught.value.findings == (
        Finding("--id", "there is no column `name`", "the columns are price, b"),
        Finding(
            str(path),
            "no column has the name of a feature",
            "name them as the model does; the columns are price, b",
        ),
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"amount,amount\n1,2\n", "has two columns ['amount']"),
        ("t.csv", b"amount,age\n1,\xff\n", "is not UTF-8, near line 2"),
        ("t.csv", b'amount\n"' + b"x" * 200_000, "line 2: field larger than field limit"),
        ("t.parquet", b"PAR1 but not really", "is not Parquet: "),
    ],
    ids=["twice", "encoding", "one field", "no Parquet"],
)
def test_a_broken_table_is_the_users(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(UserError) as caught:
        batches(TableFile(path, SIGNATURE, TableColumns(), "t"))

    (finding,) = caught.value.findings
    assert finding.message.startswith(message)
    assert finding.mend
