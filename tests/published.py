"""Tables that others made, and the figures that they published. See `data/tables/README.md`."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"
TABLES = DATA / "tables"
EMPLOYMENT = TABLES / "employment.parquet"

CODES = (
    *("SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY"),
    *("DEAR", "DEYE", "DREM", "SEX", "RAC1P"),
)
"""Features of `employment` beside `AGEP`: text."""

Columns = dict[str, NDArray[Any]]


def figures() -> dict[str, Any]:
    """Give what `published.json` says, with its sources."""
    read: dict[str, Any] = json.loads((DATA / "published.json").read_text(encoding="utf-8"))
    return read


@cache
def car_loan(period: Literal["reference", "analysis"]) -> Columns:
    """Give 50,000 loans in order of time, by column; text as text, booleans as booleans."""
    return _columns(pq.read_table(TABLES / f"car_loan_{period}.parquet"))


@cache
def employment(year: int) -> Columns:
    """Give the rows of one year, by column."""
    return _columns(pq.read_table(EMPLOYMENT, filters=[("year", "=", year)]))


def _columns(table: Any) -> Columns:
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return {
        name: column.astype(str) if column.dtype == object else column
        for name, column in columns.items()
    }
