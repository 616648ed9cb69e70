# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "numpy==2.4.6",
#     "onnx==1.18.0",
#     "protobuf==5.29.5",
#     "pyarrow==26.0.1",
#     "scikit-learn==1.9.1",
#     "skl2onnx==1.20.0",
# ]
# ///
r"""Make the data and the model of `sidecar demo` from the original tables.

The tables are in the wheel of nannyml 0.13.1, which is a zip:

    pip download --no-deps nannyml==0.13.1
    python -m zipfile -e nannyml-0.13.1-py3-none-any.whl nannyml
    PYTHONHASHSEED=0 uv run tools/demo_data.py nannyml/nannyml/datasets/data build/demo

and the bundle from two of its files:

    sidecar bundle build --model build/demo/model.onnx \
        --reference build/demo/reference.parquet --name employment --version 1 \
        --label employed --group SEX,RAC1P --labels not_employed,employed \
        --training-data "American Community Survey, Massachusetts, 2015, 48,785 rows" \
        --intended-use "To show the sidecar. Not fit to decide anything about anybody." \
        --out sidecar/demo/data/employment/1 --force

It writes `reference.parquet`, `stream.parquet` and `model.onnx`, and prints what
`sidecar/demo/data/PROVENANCE.md` states. The model learns from the rows of 2015 that are not
in `reference.parquet`, so that the reference calibrates a model that has not seen it. With
PYTHONHASHSEED=0 and these versions each run gives the same bytes.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

SEED = 20150101
REFERENCE_ROWS = 20_000
STREAM_ROWS_PER_YEAR = 24_000
NUMBER = "AGEP"
CODES = (
    *("SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY"),
    *("DEAR", "DEYE", "DREM", "SEX", "RAC1P"),
)
LABELS = ("not_employed", "employed")


def main() -> None:
    """Write the three files and print their rows, digests and the model's quality."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=Path, help="folder of the employment_MA_*.pq files")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    before, after = read_tables(arguments.tables)
    random = np.random.default_rng(SEED)
    order = random.permutation(before.num_rows)
    reference = before.take(order[:REFERENCE_ROWS])
    training = before.take(np.sort(order[REFERENCE_ROWS:]))
    stream = pa.concat_tables(sample_year(after, year, random) for year in (2016, 2017, 2018))
    model = train(training)
    write(reference, arguments.out / "reference.parquet")
    write(stream, arguments.out / "stream.parquet")
    (arguments.out / "model.onnx").write_bytes(as_onnx(model))
    for name in ("reference.parquet", "stream.parquet", "model.onnx"):
        content = (arguments.out / name).read_bytes()
        print(name, len(content), "bytes, sha256", hashlib.sha256(content).hexdigest())
    report("training", model, training)
    report("reference", model, reference)
    report("stream", model, stream)


def read_tables(folder: Path) -> tuple[pa.Table, pa.Table]:
    """Give 2015 and 2016 to 2018 with the columns that travel, in the original order."""
    target = pq.read_table(folder / "employment_MA_analysis_target.pq")["employed"]
    analysis = pq.read_table(folder / "employment_MA_analysis.pq")
    return (
        columns(pq.read_table(folder / "employment_MA_reference.pq")),
        columns(analysis.append_column("employed", target)),
    )


def columns(table: pa.Table) -> pa.Table:
    """Give the id, the features, the label in words and the year, every value unchanged."""
    words = pa.array(LABELS).take(table["employed"].combine_chunks())
    features = {name: table[name].cast(pa.string()) for name in CODES}
    return pa.table(
        {
            "id": table["id"].cast(pa.int32()),
            NUMBER: table[NUMBER],
            **features,
            "employed": words,
            "year": table["year"].cast(pa.int16()),
        }
    )


def sample_year(table: pa.Table, year: int, random: np.random.Generator) -> pa.Table:
    """Draw rows of one year, in random order: the table goes region by region."""
    rows = np.flatnonzero(table["year"].to_numpy() == year)
    return table.take(random.permutation(rows)[:STREAM_ROWS_PER_YEAR])


def write(table: pa.Table, path: Path) -> None:
    """Write small: dictionaries for all but the ids, one row group, zstd."""
    dictionary = [name for name in table.column_names if name != "id"]
    table = table.replace_schema_metadata(None).combine_chunks()
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=dictionary,
        column_encoding={"id": "BYTE_STREAM_SPLIT"},
        row_group_size=table.num_rows,
    )


def inputs(table: pa.Table) -> NDArray[np.object_]:
    """Give the features as one object matrix: the number, then the codes."""
    parts = [table[NUMBER].to_numpy(), *(table[name].to_numpy() for name in CODES)]
    return np.column_stack([part.astype(object) for part in parts])


def train(table: pa.Table) -> Pipeline:
    """Fit boosted trees: they bear a missing age, and are small as ONNX."""
    codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    split = ColumnTransformer(
        [("number", "passthrough", [0]), ("codes", codes, list(range(1, 1 + len(CODES))))]
    )
    trees = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=16, learning_rate=0.15, random_state=SEED
    )
    model = Pipeline([("split", split), ("trees", trees)])
    return model.fit(inputs(table), truth(table))


def truth(table: pa.Table) -> NDArray[np.int64]:
    """Give 1 for employed, 0 for not."""
    return (table["employed"].to_numpy() == LABELS[1]).astype(np.int64)


def as_onnx(model: Pipeline) -> bytes:
    """Convert, with one input tensor per feature and one tensor of probabilities."""
    kinds = [(NUMBER, FloatTensorType([None, 1]))]
    kinds += [(name, StringTensorType([None, 1])) for name in CODES]
    graph = to_onnx(
        model,
        name="employment",
        initial_types=kinds,
        options={"zipmap": False},
        target_opset=17,
    )
    return graph.SerializeToString()


def report(name: str, model: Pipeline, table: pa.Table) -> None:
    """Print rows and quality."""
    score = model.predict_proba(inputs(table))[:, 1]
    auc = roc_auc_score(truth(table), score)
    accuracy = accuracy_score(truth(table), score >= 0.5)
    print(f"{name}: {table.num_rows} rows, ROC AUC {auc:.4f}, accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
