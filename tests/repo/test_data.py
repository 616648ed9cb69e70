"""What lies in tests/data is small, and what its page says."""

import hashlib
import re

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from tests.published import DATA, TABLES

README = (TABLES / "README.md").read_text(encoding="utf-8")
STATED = re.findall(r"^\| `(\S+)` \| ([\d,]+) \| ([\d,]+) \| `(\w{64})` \|$", README, re.M)


def test_all_of_it_is_under_eight_megabytes() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 8_000_000


def test_every_third_party_table_is_stated() -> None:
    stated = {name for name, *_ in STATED}

    assert stated == {path.name for path in TABLES.glob("*.parquet")} - {"wine.parquet"}


@pytest.mark.parametrize(("name", "rows", "size", "digest"), STATED)
def test_a_table_is_the_stated_one(name: str, rows: str, size: str, digest: str) -> None:
    content = (TABLES / name).read_bytes()

    assert hashlib.sha256(content).hexdigest() == digest
    assert f"{len(content):,}" == size
    assert f"{pq.read_metadata(TABLES / name).num_rows:,}" == rows
