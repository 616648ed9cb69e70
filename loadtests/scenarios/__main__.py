"""`python -m loadtests.scenarios`: the sidecar in many situations, in turns.

Each line is held to another one in the same round, mostly `normal`.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from loadtests import race, setting
from loadtests.bundle import MODEL
from loadtests.race import Plan, Result, RunFailedError
from loadtests.report import RESULTS, conditions
from loadtests.scenarios import report
from loadtests.scenarios.bundles import BUNDLES
from loadtests.scenarios.inputs import SOURCES
from loadtests.scenarios.lines import Line, lines, sidecar
from loadtests.topics import Topics
from sidecar.clock import SystemClock


def main() -> int:
    """Run the lines in turns and write the report."""
    every = lines()
    asked = _options(every)
    wanted = chosen(every, asked.only)
    with tempfile.TemporaryDirectory(prefix="sidecar-scenarios-") as folder:
        try:
            with setting.broker(asked.brokers, Path(folder)) as brokers:
                plans = _plans(wanted, Path(folder), brokers, asked.records)
                rounds = list(_rounds(wanted, plans, Path(folder), brokers, asked.rounds))
        except RunFailedError as error:
            print(error, file=sys.stderr)
            return 1
    settings: dict[str, str | int | float] = {
        "rounds": asked.rounds,
        "records": asked.records,
        "acks": "all",
    }
    found = report.ScenarioReport(conditions(settings), rounds)
    print(report.markdown(found, every))
    print(f"written to {report.write(found, every, asked.out)}")
    return 0


def _options(every: Sequence[Line]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.scenarios",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [line.name for line in every]
    parser.add_argument("--rounds", type=int, default=3, help="turns of all (default: 3)")
    parser.add_argument("--records", type=int, default=600_000, help="events of a line")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        metavar="LINE",
        help=f"leave the others out, but for those that these are held to: {', '.join(names)}",
    )
    parser.add_argument("--brokers", help="host:port of a Kafka that is there already")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the report")
    return parser.parse_args()


def chosen(every: Sequence[Line], only: Sequence[str] | None) -> list[Line]:
    """Give the lines that are asked for, and those that they are held to."""
    named = set(only or [line.name for line in every])
    held = {line.beside for line in every if line.name in named}
    return [line for line in every if line.name in named | held]


def _plans(
    wanted: Sequence[Line], folder: Path, brokers: str, records: int
) -> Mapping[str, Plan]:
    """Build the bundles, fill the topics, and give each line's plan."""
    bundles: dict[str, Path] = {}
    topics: dict[tuple[str, int, int], str] = {}
    plans = {}
    logs = folder / "logs"
    logs.mkdir()
    for line in wanted:
        if line.bundle not in bundles:
            bundles[line.bundle] = BUNDLES[line.bundle](folder)
        count = round(records * line.size)
        key = (line.events, line.partitions, count)
        if key not in topics:
            topics[key] = f"{line.events}-{line.partitions}-{SystemClock().now_ms()}.events"
            _fill(topics[key], line, brokers, count)
        plans[line.name] = Plan(
            events=topics[key],
            records=count,
            model=MODEL,
            bundle=bundles[line.bundle],
            logs=logs,
            partitions=line.partitions,
        )
    return plans


def _fill(topic: str, line: Line, brokers: str, count: int) -> None:
    print(f"writing {count:,} events: {line.events}, {line.partitions} partitions", flush=True)
    with closing(Topics(brokers, line.partitions)) as topics:
        topics.create([topic])
        topics.fill(topic, SOURCES[line.events](count, SystemClock().now_ms()))


def _rounds(
    wanted: Sequence[Line],
    plans: Mapping[str, Plan],
    folder: Path,
    brokers: str,
    count: int,
) -> Iterator[list[Result]]:
    """Run each line once per round, each round beginning with another one."""
    for number in range(count):
        first = number % len(wanted)
        results = []
        for line in [*wanted[first:], *wanted[:first]]:
            label = f"{line.name}.{number}.{SystemClock().now_ms()}"
            result = race.run(sidecar(line, folder), plans[line.name], brokers, label)
            print(
                f"round {number + 1}  {line.name:14} {result.cpu_us:7.2f} CPU µs/event  "
                f"{result.rate:9,.0f} events/s",
                flush=True,
            )
            results.append(result)
        yield results


if __name__ == "__main__":
    sys.exit(main())
