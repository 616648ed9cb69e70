"""How a contestant is measured: it prepares rows untimed, runs a case and says its CPU time.

A request is one line, `{"case": ..., "rows": ..., "number": ...}`, the answer another one,
`{"cpu_ms": ...}`. Everything stays loaded and warm in between, as it would in a service.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from loadtests.drift import columns
from loadtests.drift.columns import Rows

_MOST_TURNS = 15
_ENOUGH_S = 0.5


class Case(NamedTuple):
    """One way to compare a window with the reference."""

    prepare: Callable[[Rows], Any]
    """Brings rows into the form that the tool wants; not timed."""
    run: Callable[[Any], object]
    """Compares them with the reference, all columns."""


def serve(cases: Mapping[str, Case], packages: tuple[str, ...]) -> None:
    """Answer until the input ends; the first line says which cases and versions there are.

    Args:
        cases: By name.
        packages: Whose versions to tell.
    """
    # What a tool prints must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    about = {"cases": list(cases), "versions": {name: version(name) for name in packages}}
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        case = cases[asked["case"]]
        cpu_ms = measure(case, columns.window(asked["rows"], asked["number"]))
        print(json.dumps({"cpu_ms": cpu_ms}), file=answers, flush=True)


def measure(case: Case, rows: Rows) -> float:
    """Give the CPU milliseconds of one window: the median of some turns for a quick case."""
    spent: list[float] = []
    while not spent or (len(spent) < _MOST_TURNS and sum(spent) < _ENOUGH_S):
        given = case.prepare(rows)
        began = time.process_time()
        case.run(given)
        spent.append(time.process_time() - began)
    return statistics.median(spent) * 1000
