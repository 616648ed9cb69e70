"""The bundle that the sidecar serves in the load tests, made the way a user makes one."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from loadtests import data

MODEL = Path(__file__).parent / "model" / "model.onnx"
REFERENCE_ROWS = 20_000


def build_bundle(folder: Path) -> Path:
    """Write reference rows into `folder`, run `sidecar bundle build`, give the bundle's path.

    Raises:
        RuntimeError: The build failed; the text says why.
    """
    return build(folder / "bench" / "1", MODEL, bench_rows(folder), "outcome")


def bench_rows(folder: Path) -> Path:
    """Write reference rows with the truth in the column `outcome`, and give their file."""
    rows = folder / "rows.parquet"
    table = data.columns(REFERENCE_ROWS, seed=data.SEED + 2)
    columns = {
        name: pa.array(
            column,
            pa.int64() if name in data.INTEGERS else pa.float64(),
            from_pandas=True,  # NaN is a null
        )
        for name, column in table.items()
    }
    columns["outcome"] = pa.array(data.LABELS[data.truth(table, seed=data.SEED + 3)])
    pq.write_table(pa.table(columns), rows)
    return rows


def build(
    bundle: Path, model: Path, rows: Path, label: str, *, labels: Iterable[str] = ()
) -> Path:
    """Run `sidecar bundle build`, and give the bundle's path.

    Args:
        bundle: The folder to make; it and the one around it are named by version and name.
        model: ONNX file.
        rows: Reference rows.
        label: Their column with the truth.
        labels: Names of the classes, when the model has none.

    Raises:
        RuntimeError: The build failed; the text says why.
    """
    bundle.parent.mkdir()
    command = [sys.executable, "-m", "sidecar", "bundle", "build", "--model", str(model)]
    command += ["--reference", str(rows), "--name", bundle.parent.name]
    command += ["--version", bundle.name, "--label", label, "--out", str(bundle)]
    if named := ",".join(labels):
        command += ["--labels", named]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the bundle could not be built:\n{done.stderr}")
    return bundle
