"""What the package carries for the demo is what its provenance says."""

import hashlib
import re

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from sidecar.app.building import verify_bundle
from sidecar.demo.table import DATA

PROVENANCE = (DATA / "PROVENANCE.md").read_text(encoding="utf-8")
COLUMNS = [
    *("id", "AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC"),
    *("NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P", "employed", "year"),
]


@pytest.mark.parametrize("name", ["reference.parquet", "stream.parquet"])
def test_tables_have_the_sixteen_features_and_no_gap(name: str) -> None:
    table = pq.read_table(DATA / name)

    assert table.column_names == COLUMNS
    assert [str(field.type) for field in table.schema] == [
        *("int32", "double"),
        *["string"] * 16,
        "int16",
    ]
    assert [column.null_count for column in table.columns] == [0] * len(COLUMNS)


def test_tables_hold_the_stated_years() -> None:
    years = [
        np.unique(pq.read_table(DATA / name)["year"].to_numpy(), return_counts=True)
        for name in ("reference.parquet", "stream.parquet")
    ]

    counts = [dict(zip(y.tolist(), n.tolist(), strict=True)) for y, n in years]
    assert counts == [{2015: 20_000}, {2016: 24_000, 2017: 24_000, 2018: 24_000}]


def test_nobody_comes_twice() -> None:
    ids = pq.read_table(DATA / "stream.parquet")["id"].to_numpy()

    assert len(np.unique(ids)) == len(ids)


@pytest.mark.parametrize(
    "name", ["reference.parquet", "stream.parquet", "employment/1/model.onnx"]
)
def test_digest_is_the_stated_one(name: str) -> None:
    stated = re.search(rf"`{re.escape(name)}`.*`([0-9a-f]{{64}})`", PROVENANCE)

    assert stated is not None
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == stated[1]


def test_all_of_it_is_under_a_megabyte() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 1_000_000


def test_the_bundle_serves_as_it_is() -> None:
    bundle = verify_bundle(DATA / "employment" / "1")

    assert (bundle.manifest.name, bundle.manifest.model.labels) == (
        "employment",
        ("not_employed", "employed"),
    )
    assert (bundle.reference.records, bundle.calibration is not None) == (20_000, True)
