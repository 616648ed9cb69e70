"""The people of the packaged census table, as columns, each with a moment of event time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"
"""What the package carries; `PROVENANCE.md` there says where it is from."""

NOT_FEATURES = ("id", "employed", "year")
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class People:
    """Rows of the table, in the order of their event time."""

    ids: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    """Unix epoch, UTC."""
    features: dict[str, NDArray[Any]]
    """By name: AGEP as float64, the codes as objects (text, None for missing)."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.ids)

    def take(self, rows: NDArray[np.int64], event_time_ms: NDArray[np.int64]) -> "People":
        """Give the people of some rows, at other moments."""
        features = {name: column[rows] for name, column in self.features.items()}
        return People(self.ids[rows], event_time_ms, features)


def read_people(path: Path) -> People:
    """Read a table; it only knows the year, so its rows are spread evenly over theirs.

    Args:
        path: Parquet with `id`, `year`, ascending, and the features.
    """
    table = pq.read_table(path)
    features = {
        name: table[name].to_numpy().copy()
        for name in table.column_names
        if name not in NOT_FEATURES
    }
    ids = table["id"].to_numpy().astype(np.int64)
    return People(ids, spread(table["year"].to_numpy()), features)


def spread(years: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Give the rows of each year moments at equal distances, in their order.

    Args:
        years: Year of each row, ascending.

    Returns:
        Milliseconds since the Unix epoch, UTC, in the middle of each row's share of the year.

    Example:
        >>> spread(np.array([2016, 2017])).astype("datetime64[ms]").astype(str).tolist()
        ['2016-07-02T00:00:00.000', '2017-07-02T12:00:00.000']
    """
    _, first, count = np.unique(years, return_index=True, return_counts=True)
    start, end = _new_year_ms(years), _new_year_ms(years + 1)
    place = np.arange(len(years)) - np.repeat(first, count) + 0.5
    inside: NDArray[np.int64] = ((end - start) * place / np.repeat(count, count)).astype(
        np.int64
    )
    return start + inside


def _new_year_ms(years: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    days = (years.astype(np.int64) - 1970).astype("datetime64[Y]").astype("datetime64[D]")
    return days.astype(np.int64) * _DAY_MS
