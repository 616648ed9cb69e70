"""Make `model.onnx`: 100 boosted trees of depth 5 over the sixteen features.

Needs the packages of `requirements.txt` beside it, in a virtual environment of its own:

    python -m venv /tmp/train && /tmp/train/bin/pip install -r loadtests/model/requirements.txt
    /tmp/train/bin/python -m loadtests.model.train
"""

from pathlib import Path

import numpy as np
from skl2onnx import to_onnx  # type: ignore[import-not-found]
from skl2onnx.common.data_types import FloatTensorType  # type: ignore[import-not-found]
from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-not-found]

from loadtests.data import LABELS, columns, truth

ROWS = 40_000
PATH = Path(__file__).with_name("model.onnx")


def main() -> None:
    """Train, convert, write, and say how good it is on rows it has not seen."""
    table = columns(ROWS)
    matrix = np.column_stack(list(table.values())).astype(np.float32)
    model = HistGradientBoostingClassifier(
        max_iter=100, max_depth=5, learning_rate=0.08, early_stopping=False, random_state=0
    )
    labels = LABELS[truth(table)]
    held = ROWS * 3 // 4
    model.fit(matrix[:held], labels[:held])
    graph = to_onnx(
        model,
        initial_types=[("features", FloatTensorType([None, matrix.shape[1]]))],
        options={"zipmap": False},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    PATH.write_bytes(graph.SerializeToString())
    accuracy = model.score(matrix[held:], labels[held:])
    print(f"{PATH.name}: {PATH.stat().st_size} bytes, accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
