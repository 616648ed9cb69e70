"""The bundles of the scenarios, each made the way a user makes one."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from loadtests import data
from loadtests.bundle import MODEL, bench_rows, build, build_bundle
from loadtests.scenarios.graphs import Matrix, logistic_model

WIDTHS = (16, 64, 256)
_SHOP = Path(__file__).parents[2] / "tests" / "data"
_ROWS = 20_000


def wide_columns(width: int, rows: int, seed: int = data.SEED) -> dict[str, Matrix]:
    """Give columns of a normal distribution, to three digits."""
    rng = np.random.default_rng(seed)
    return {f"f{at:03}": np.round(rng.normal(size=rows), 3) for at in range(width)}


def confidence(table: dict[str, Matrix]) -> Matrix:
    """Give the probability of the class that the trees choose, for each row."""
    session = ort.InferenceSession(MODEL.read_bytes())
    matrix = np.column_stack(list(table.values())).astype(np.float32)
    probabilities: Matrix = session.run(["probabilities"], {"features": matrix})[0]
    most: Matrix = probabilities.max(axis=1)
    return most


def _logistic(folder: Path) -> Path:
    table = data.columns(_ROWS, seed=data.SEED + 2)
    model = folder / "logistic.onnx"
    model.write_bytes(logistic_model(table, data.truth(table)))
    return build(
        folder / "logistic" / "1", model, bench_rows(folder), "outcome", labels=data.LABELS
    )


def _shop(folder: Path) -> Path:
    model, rows = _SHOP / "models" / "shop_named.onnx", _SHOP / "tables" / "shop.csv"
    return build(folder / "shop" / "1", model, rows, "returned")


def _wide(width: int) -> Callable[[Path], Path]:
    def wide(folder: Path) -> Path:
        table = wide_columns(width, _ROWS, seed=data.SEED + 2)
        truth = (np.sum(list(table.values()), axis=0) > 0).astype(np.int64)
        model, rows = folder / f"wide{width}.onnx", folder / f"wide{width}.parquet"
        model.write_bytes(logistic_model(table, truth ^ (np.arange(_ROWS) % 7 == 0)))
        labels = data.LABELS[truth]
        pq.write_table(pa.table({**table, "outcome": pa.array(labels)}), rows)
        return build(folder / f"wide{width}" / "1", model, rows, "outcome", labels=data.LABELS)

    return wide


BUNDLES: Mapping[str, Callable[[Path], Path]] = {
    "trees": build_bundle,
    "logistic": _logistic,
    "shop": _shop,
    **{f"wide{width}": _wide(width) for width in WIDTHS},
}
"""By name: what makes a bundle in a folder, and gives its path."""
