"""NannyML: its univariate drift calculator, one statistic at a time and all four at once."""

import nannyml
import pandas as pd

from loadtests.drift.columns import NAMES, Rows, reference
from loadtests.drift.contestants.serving import Case, serve

_METHODS = {
    "JS": ["jensen_shannon"],
    "KS": ["kolmogorov_smirnov"],
    "Hellinger": ["hellinger"],
    "Wasserstein": ["wasserstein"],
    "all four": ["jensen_shannon", "kolmogorov_smirnov", "hellinger", "wasserstein"],
}


def calculate(name: str) -> Case:
    """Compare a window as one chunk; what is learned of the reference is learned before."""
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(NAMES), continuous_methods=_METHODS[name], chunk_number=1
    )
    calculator.fit(_frame(reference()))
    return Case(_frame, calculator.calculate)


def _frame(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(NAMES))


if __name__ == "__main__":
    serve(
        {f"calculate {name}": calculate(name) for name in _METHODS},
        ("nannyml", "pandas", "numpy", "scipy"),
    )
