"""The bundle that the sidecar serves in the load tests, made the way a user makes one."""

import subprocess
import sys
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
    rows, bundle = folder / "rows.parquet", folder / "bench" / "1"
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
    bundle.parent.mkdir()
    command = [sys.executable, "-m", "sidecar", "bundle", "build", "--model", str(MODEL)]
    command += ["--reference", str(rows), "--name", "bench", "--version", "1"]
    command += ["--label", "outcome", "--out", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the bundle could not be built:\n{done.stderr}")
    return bundle
