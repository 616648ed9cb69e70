"""`python -m loadtests`: the sidecar beside loops that do less, on a real Kafka, in turns."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from loadtests import data, race, report, setting, stages
from loadtests.contestants import CONTESTANTS, Contestant
from loadtests.race import Plan, Result, RunFailedError
from loadtests.topics import PARTITIONS


def main() -> int:
    """Run the race and write the report."""
    options = _options()
    wanted = [c for c in CONTESTANTS if not options.only or c.name in options.only]
    with tempfile.TemporaryDirectory(prefix="sidecar-loadtest-") as folder:
        with setting.broker(options.brokers, Path(folder)) as brokers:
            plan = setting.prepare(brokers, Path(folder), options.records)
            try:
                rounds = list(_rounds(wanted, plan, brokers, options.rounds))
            except RunFailedError as error:
                print(error, file=sys.stderr)
                return 1
        alone = stages.measure(stages.line(plan.bundle))
    settings = {
        "records": options.records,
        "rounds": options.rounds,
        "partitions": PARTITIONS,
        "bytes per event": round(_mean_size()),
        "acks": "all",
    }
    found = report.Report(report.conditions(settings), rounds, alone)
    print(report.markdown(found))
    print(f"written to {report.write(found, options.out)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    names = [contestant.name for contestant in CONTESTANTS]
    parser.add_argument("--rounds", type=int, default=3, help="turns of all (default: 3)")
    parser.add_argument("--records", type=int, default=2_000_000, help="events on the topic")
    parser.add_argument("--only", nargs="+", choices=names, help="leave the others out")
    parser.add_argument("--brokers", help="host:port of a Kafka that is there already")
    parser.add_argument("--out", type=Path, default=report.RESULTS, help="folder of the report")
    return parser.parse_args()


def _rounds(
    wanted: Sequence[Contestant], plan: Plan, brokers: str, count: int
) -> Iterator[list[Result]]:
    """Run each contestant once per round, each round beginning with another one."""
    for number in range(count):
        first = number % len(wanted)
        results = []
        for contestant in [*wanted[first:], *wanted[:first]]:
            label = f"{plan.events.removesuffix('.events')}.{number}.{contestant.name}"
            result = race.run(contestant, plan, brokers, label)
            print(
                f"round {number + 1}  {contestant.name:10} {result.cpu_us:6.2f} CPU µs/event  "
                f"{result.rate:9,.0f} events/s",
                flush=True,
            )
            results.append(result)
        yield results


def _mean_size() -> float:
    sample = [value for _, value in data.records(1_000, first_ms=0)]
    return sum(map(len, sample)) / len(sample)


if __name__ == "__main__":
    sys.exit(main())
