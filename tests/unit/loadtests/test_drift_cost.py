"""Figures of cost become ratios."""

import numpy as np

from loadtests.drift.columns import Rows
from loadtests.drift.contestants.serving import Case, measure
from loadtests.drift.cost_report import Cost, ratio, table


def test_a_ratio_is_taken_within_each_round() -> None:
    own, base = {0: 30.0, 1: 90.0, 2: 40.0}, {0: 10.0, 1: 20.0, 2: 10.0}

    assert ratio(own, base) == "4 (3 to 4.5)"


def test_the_table_begins_with_what_all_are_compared_with() -> None:
    ms = {"sidecar": 1.5, "other": 45.0}
    costs = [
        Cost(name, "all", rows, turn, ms[name] * rows / 1_000)
        for turn, order in enumerate((("sidecar", "other"), ("other", "sidecar")))
        for name in order
        for rows in (1_000, 2_000)
    ]

    head, _, *lines = table(costs)

    assert head == "| 20 columns | 1,000 rows, CPU ms | ratio | 2,000 rows, CPU ms | ratio |"
    assert lines == [
        "| sidecar: all | 1.50 | 1 | 3.00 | 1 |",
        "| other: all | 45.00 | 30 (30 to 30) | 90.00 | 30 (30 to 30) |",
    ]


def test_each_turn_of_a_quick_case_has_rows_prepared_anew() -> None:
    prepared: list[Rows] = []

    def prepare(rows: Rows) -> Rows:
        prepared.append(rows.copy())
        return prepared[-1]

    ran: list[int] = []
    case = Case(prepare, lambda rows: ran.append(id(rows)))

    assert 0.0 <= measure(case, np.zeros((10, 20))) < 50.0
    assert ran == [id(rows) for rows in prepared]
    assert len(ran) > 5
