"""`python -m loadtests.drift.cost`: drift statistics of four tools side by side, in turns."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loadtests.drift import cost_report
from loadtests.drift.columns import NAMES, REFERENCE_ROWS, WINDOW_ROWS
from loadtests.drift.contestants import CONTESTANTS, Contestant
from loadtests.drift.cost_report import Cost, CostReport
from loadtests.environments import CannotInstallError, python
from loadtests.report import RESULTS, conditions

_ROOT = Path(__file__).parent.parent.parent
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONWARNINGS": "ignore",
}
"""One thread for everybody, nobody sends usage figures, and no warnings between the lines."""


class ContestantFailedError(RuntimeError):
    """A contestant ended; the text is the end of what it said."""


def _interpreter(contestant: Contestant) -> str:
    """Give the Python of a contestant's own environment, made if need be."""
    named = contestant.requirements
    wanted = None if named is None else Path(__file__).parent / named
    return python(f"drift-{contestant.name}", wanted)


class Running:
    """A contestant that waits for work."""

    def __init__(self, contestant: Contestant) -> None:
        """Start it and wait until it has prepared itself."""
        self.name = contestant.name
        self._process = subprocess.Popen(
            [
                _interpreter(contestant),
                "-m",
                f"loadtests.drift.contestants.{contestant.module}",
            ],
            cwd=_ROOT,
            env={**os.environ, **_QUIET},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        about = self._answer()
        self.cases: list[str] = about["cases"]
        self.versions: dict[str, str] = about["versions"]

    def measure(self, case: str, rows: int, number: int) -> Cost:
        """Let it compare one window with the reference."""
        assert self._process.stdin is not None
        request = json.dumps({"case": case, "rows": rows, "number": number})
        print(request, file=self._process.stdin, flush=True)
        return Cost(self.name, case, rows, number, self._answer()["cpu_ms"])

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContestantFailedError(f"{self.name} ended, see above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> int:
    """Run all rounds and write the report."""
    options = _options()
    wanted = [each for each in CONTESTANTS if not options.only or each.name in options.only]
    settings = {
        "columns": len(NAMES),
        "reference rows": REFERENCE_ROWS,
        "rounds": options.rounds,
        "threads": 1,
    }
    where = conditions(settings)  # of the code as it is when it is loaded
    try:
        with ExitStack() as stack:
            running = []
            for contestant in wanted:
                running.append(Running(contestant))
                stack.callback(running[-1].stop)
            costs = list(_rounds(running, options.rounds))
    except (CannotInstallError, ContestantFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    versions = {
        name if name == each.name else f"{name} (of {each.name})": number
        for each in running
        for name, number in each.versions.items()
    }
    found = CostReport(where, versions, costs)
    print(cost_report.markdown(found))
    print(f"written to {cost_report.write(found, options.out or RESULTS)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.drift.cost", description=__doc__)
    names = [contestant.name for contestant in CONTESTANTS]
    parser.add_argument("--rounds", type=int, default=5, help="turns of all (default: 5)")
    parser.add_argument("--only", nargs="+", choices=names, help="leave the others out")
    parser.add_argument("--out", type=Path, help="folder of the report")
    options = parser.parse_args()
    if options.only and options.out is None:
        parser.error("--only needs --out: the committed report is of all of them")
    return options


def _rounds(running: Sequence[Running], count: int) -> Iterator[Cost]:
    """Let everybody do everything once per round, each round beginning with another one.

    A round before them is not told: it loads what is loaded with the first use.
    """
    for number in range(-1, count):
        first = max(number, 0) % len(running)
        for each in [*running[first:], *running[:first]]:
            for rows in WINDOW_ROWS[:1] if number < 0 else WINDOW_ROWS:
                for case in each.cases:
                    cost = each.measure(case, rows, number + 1)
                    if number >= 0:
                        yield cost
        print(f"round {number + 1} of {count}" if number >= 0 else "warm", flush=True)


if __name__ == "__main__":
    sys.exit(main())
