"""`python -m loadtests.latency`: latency and CPU of the sidecar beside other loops, in turns.

Lines: `low` is 1,000 events a second, `idle` is none, `half` is half of what the sidecar gets
through when it never has to wait, measured at the begin.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests import race, setting
from loadtests.contestants import CONTESTANTS
from loadtests.latency import report
from loadtests.latency.run import Load, LoadResult, run
from loadtests.race import Plan, RunFailedError
from loadtests.report import RESULTS, conditions

LOW = 1_000.0
_TOP_RECORDS = 500_000
_ATTEMPTS = 2
"""A void run is made once more; both are in the report."""


@dataclass(frozen=True, slots=True)
class Line:
    """One load, and who runs under it."""

    name: str
    contestants: tuple[str, ...]
    rate: float | None
    """None: half of the top."""


LINES = (
    Line("low", ("copy", "tuned", "sidecar"), LOW),
    Line("idle", ("copy", "sidecar"), 0.0),
    Line("half", ("copy", "tuned", "sidecar"), None),
)


def main() -> int:
    """Run the lines in turns and write the report."""
    asked = _options()
    lines = [line for line in LINES if not asked.only or line.name in asked.only]
    wants_top = any(line.rate is None for line in lines) and not asked.half
    try:
        with setting.prepared(
            asked.brokers, "sidecar-latency-", _TOP_RECORDS if wants_top else 0
        ) as (plan, brokers):
            half = asked.half or (_half(plan, brokers) if wants_top else 0.0)
            rounds = list(_rounds(lines, half, plan, brokers, asked))
    except RunFailedError as error:
        print(error, file=sys.stderr)
        return 1
    settings: dict[str, str | int | float] = {
        "rounds": asked.rounds,
        "seconds": asked.seconds,
        "partitions": plan.partitions,
        "acks": "all",
    }
    found = report.LatencyReport(conditions(settings), rounds)
    print(report.markdown(found))
    print(f"written to {report.write(found, asked.out)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [line.name for line in LINES]
    parser.add_argument("--rounds", type=int, default=3, help="turns of all (default: 3)")
    parser.add_argument("--seconds", type=float, default=30.0, help="measured, of each run")
    parser.add_argument("--warm", type=float, default=5.0, help="seconds before them")
    parser.add_argument("--only", nargs="+", choices=names, help="leave the others out")
    parser.add_argument("--half", type=float, help="rate of the line `half`; not measured then")
    parser.add_argument("--brokers", help="host:port of a Kafka that is there already")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the report")
    return parser.parse_args()


def _half(plan: Plan, brokers: str) -> float:
    """Give half of the rate at which the sidecar reads a topic that was filled before."""
    sidecar = next(each for each in CONTESTANTS if each.name == "sidecar")
    top = race.run(sidecar, plan, brokers, f"{plan.events.removesuffix('.events')}.top").rate
    print(f"top of the sidecar: {top:,.0f} events/s", flush=True)
    return round(top / 2, -2)


def _rounds(
    lines: Sequence[Line], half: float, plan: Plan, brokers: str, asked: argparse.Namespace
) -> Iterator[list[LoadResult]]:
    """Run each line with each contestant once per round, beginning with another one."""
    known = {contestant.name: contestant for contestant in CONTESTANTS}
    turns = [(line, known[name]) for line in lines for name in line.contestants]
    base = plan.events.removesuffix(".events")
    for number in range(asked.rounds):
        first = number % len(turns)
        results = []
        for line, contestant in [*turns[first:], *turns[:first]]:
            rate = half if line.rate is None else line.rate
            load = Load(rate, warm_s=asked.warm, measured_s=asked.seconds)
            for attempt in range(_ATTEMPTS):
                label = f"{base}.{line.name}.{number}.{attempt}.{contestant.name}"
                result = run(line.name, contestant, plan, brokers, label, load)
                print(f"round {number + 1}  {report.summary(result)}", flush=True)
                results.append(result)
                if not result.void:
                    break
        yield results


if __name__ == "__main__":
    sys.exit(main())
