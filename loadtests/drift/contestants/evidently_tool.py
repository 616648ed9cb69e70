"""Evidently: its statistic functions alone, and the report that its pages show."""

from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests import (
    jensenshannon_stat_test,
    ks_stat_test,
    psi_stat_test,
    wasserstein_stat_test,
)
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset

from loadtests.drift.columns import NAMES, Rows, reference
from loadtests.drift.contestants.serving import Case, serve

_FUNCTIONS = {
    "PSI": psi_stat_test,
    "JS": jensenshannon_stat_test,
    "KS": ks_stat_test,
    "Wasserstein": wasserstein_stat_test,
}
_METHODS = {"PSI": "psi", "JS": "jensenshannon", "KS": "ks"}


def function(name: str) -> Case:
    """Compare each column by the function that computes a statistic, and nothing around it."""
    compared, compare = _frame(reference()), _FUNCTIONS[name].func

    def run(window: pd.DataFrame) -> list[Any]:
        return [
            compare(compared[column], window[column], ColumnType.Numerical, 0.1)
            for column in NAMES
        ]

    return Case(_frame, run)


def report(name: str) -> Case:
    """Compare by the preset for data drift; it also builds distributions for its pictures."""
    definition = DataDefinition(numerical_columns=list(NAMES))
    compared = Dataset.from_pandas(_frame(reference()), data_definition=definition)

    def prepare(rows: Rows) -> Dataset:
        return Dataset.from_pandas(_frame(rows), data_definition=definition)

    def run(window: Dataset) -> object:
        return Report([DataDriftPreset(method=_METHODS[name])]).run(window, compared).dict()

    return Case(prepare, run)


def _frame(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(NAMES))


if __name__ == "__main__":
    serve(
        {f"function {name}": function(name) for name in _FUNCTIONS}
        | {f"Report {name}": report(name) for name in _METHODS},
        ("evidently", "pandas", "numpy", "scipy"),
    )
