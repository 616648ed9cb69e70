# /// script
# requires-python = ">=3.11"
# dependencies = ["pyarrow==26.0.1"]
# ///
r"""Make the third-party tables of `tests/data/tables` from the originals.

They are in the wheel of nannyml 0.13.1, which is a zip:

    pip download --no-deps nannyml==0.13.1
    python -m zipfile -e nannyml-0.13.1-py3-none-any.whl nannyml
    uv run tools/published_tables.py nannyml/nannyml/datasets/data tests/data/tables

It prints what `tests/data/tables/README.md` states. No value changes and the rows keep their
order: types are narrowed only where every value stays what it is.
"""

import argparse
import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

EMPLOYMENT = {
    "AGEP": pa.int8(),
    "employed": pa.int8(),
    "year": pa.int16(),
    "prediction": pa.int8(),
}
CAR_LOAN = {
    "car_value": pa.int32(),
    "loan_length": pa.int8(),
    "repaid": pa.int8(),
    "y_pred": pa.int8(),
    "timestamp": pa.timestamp("ms"),
}


def main() -> None:
    """Write the files and print their rows and digests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("originals", type=Path, help="folder of the original tables")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    originals: Path = arguments.originals
    tables = {
        "employment.parquet": employment(originals),
        "car_loan_reference.parquet": car_loan(originals, "reference"),
        "car_loan_analysis.parquet": car_loan(originals, "analysis"),
        "car_loan_incomplete.parquet": car_loan_incomplete(originals),
    }
    for name, table in tables.items():
        path = arguments.out / name
        write(table, path)
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        print(f"| `{name}` | {table.num_rows:,} | {len(content):,} | `{digest}` |")


def employment(folder: Path) -> pa.Table:
    """Give the rows of all years with their labels."""
    reference = pq.read_table(folder / "employment_MA_reference.pq")
    analysis = pq.read_table(folder / "employment_MA_analysis.pq")
    target = pq.read_table(folder / "employment_MA_analysis_target.pq")
    analysis = with_target(analysis, target, "employed").select(reference.column_names)
    whole = pa.concat_tables(
        [each.replace_schema_metadata(None) for each in (reference, analysis)]
    )
    return narrowed(whole.unify_dictionaries().drop_columns(["id"]), EMPLOYMENT)


def car_loan(folder: Path, period: str) -> pa.Table:
    """Give the rows of one period with their labels."""
    table = csv.read_csv(folder / f"synthetic_car_loan_{period}.csv")
    if period == "analysis":
        target = csv.read_csv(folder / "synthetic_car_loan_analysis_target.csv")
        table = with_target(table, target, "repaid")
    return narrowed(table, CAR_LOAN)


def car_loan_incomplete(folder: Path) -> pa.Table:
    """Give two columns of the loans with faults, the reference and then the analysis."""
    options = csv.ConvertOptions(
        include_columns=["salary_range", "size_of_downpayment"], strings_can_be_null=True
    )
    return pa.concat_tables(
        csv.read_csv(folder / f"synthetic_car_loan_dq_{period}.csv", convert_options=options)
        for period in ("reference", "analysis")
    )


def with_target(table: pa.Table, target: pa.Table, label: str) -> pa.Table:
    """Put the labels beside the rows that they belong to."""
    if not table["id"].equals(target["id"]):
        raise ValueError("the labels are of other rows, or in another order")
    return table.append_column(label, target[label])


def narrowed(table: pa.Table, types: dict[str, pa.DataType]) -> pa.Table:
    """Store columns in narrower types; raises where a value would change."""
    return table.cast(
        pa.schema([(name, types.get(name, table[name].type)) for name in table.column_names])
    )


def write(table: pa.Table, path: Path) -> None:
    """Write a table in as few bytes as it takes."""
    measured = [
        name
        for name in table.column_names
        if pa.types.is_floating(table[name].type) and name != "y_pred_proba"  # 101 values
    ]
    delta = dict.fromkeys(("id", "timestamp"), "DELTA_BINARY_PACKED")
    pq.write_table(
        table,
        path,
        row_group_size=len(table),
        compression="zstd",
        compression_level=19,
        use_dictionary=[n for n in table.column_names if n not in {*measured, *delta}],
        use_byte_stream_split=measured,
        column_encoding={n: e for n, e in delta.items() if n in table.column_names},
    )


if __name__ == "__main__":
    main()
