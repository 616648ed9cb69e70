"""`python -m loadtests.peers`: the sidecar beside other tools that do the same job, in turns.

`--verify` races nobody: it gives each the same few events and holds its answers against those
of the tuned loop.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, TopicPartition

from loadtests import environments, race, report, setting
from loadtests.charts import Bar, bars
from loadtests.contestants import CLASS_PATH, CONTESTANTS, PEERS, Contestant
from loadtests.environments import CannotInstallError
from loadtests.race import Plan, Result, RunFailedError
from loadtests.report import Conditions, heading
from sidecar.clock import SystemClock

_CLOCK = SystemClock()
_VERIFIED_RECORDS = 20_000
_VERIFY_S = 90.0
_TOLERANCE = 1e-5
_ALL = (*CONTESTANTS, *PEERS)


class PeersReport(msgspec.Struct, frozen=True):
    """One race with all."""

    conditions: Conditions
    rounds: list[list[Result]]


class _Answer(msgspec.Struct):
    event_id: str
    label: str
    score: float
    confidence: float


def main() -> int:
    """Run the race and write the report, or verify."""
    asked = _options()
    wanted = [each for each in _ALL if not asked.only or each.name in asked.only]
    records = _VERIFIED_RECORDS if asked.verify else asked.records
    try:
        ready = [prepared(each) for each in wanted]
        with setting.prepared(asked.brokers, "sidecar-peers-", records) as (plan, brokers):
            if asked.verify:
                return _verify(ready, plan, brokers)
            rounds = list(_rounds(ready, plan, brokers, asked.rounds))
    except (CannotInstallError, RunFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    settings: dict[str, str | int | float] = {
        "records": records,
        "rounds": asked.rounds,
        "partitions": plan.partitions,
        "acks": "all",
    }
    found = PeersReport(report.conditions(settings), rounds)
    path = report.write_page(found, found.conditions, markdown(found), asked.out, "peers-")
    report.write_pictures({"cpu": picture(rounds)}, path)
    print(f"{markdown(found)}\nwritten to {path}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [contestant.name for contestant in _ALL]
    parser.add_argument("--rounds", type=int, default=3, help="turns of all (default: 3)")
    parser.add_argument("--records", type=int, default=2_000_000, help="events on the topic")
    parser.add_argument("--only", nargs="+", choices=names, help="leave the others out")
    parser.add_argument("--brokers", help="host:port of a Kafka that is there already")
    parser.add_argument("--verify", action="store_true", help="compare answers, and end")
    parser.add_argument("--out", type=Path, default=report.RESULTS, help="folder of the report")
    return parser.parse_args()


def prepared(contestant: Contestant) -> Contestant:
    """Make what a contestant runs in, and give it with a command that finds it.

    Raises:
        CannotInstallError: That failed.
    """
    command = list(contestant.command)
    if contestant.requirements is not None:
        name = f"peer-{contestant.requirements.stem}"
        command[0] = environments.python(name, contestant.requirements)
    if contestant.java is not None:
        command[command.index(CLASS_PATH)] = environments.classes(contestant.java)
    return replace(contestant, command=tuple(command))


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
                f"round {number + 1}  {contestant.name:16} {result.cpu_us:8.2f} CPU µs/event  "
                f"{result.rate:9,.0f} events/s",
                flush=True,
            )
            results.append(result)
        yield results


# --- report --------------------------------------------------------------------------------


def markdown(found: PeersReport) -> str:
    """Give the report as a page."""
    what = {contestant.name: contestant.what for contestant in _ALL}
    names = by_cost(found.rounds)
    lines = [*heading("Other tools", found.conditions), *table(found.rounds), ""]
    return "\n".join([*lines, *(f"* `{name}`: {what[name]}." for name in names)]) + "\n"


def table(rounds: Sequence[Sequence[Result]]) -> list[str]:
    """Give a line for each program, the cheapest first."""
    lines = [
        "| program | events/s, median | CPU µs/event, min / median | peak RSS MiB "
        "| the sidecar's events/s over it | its throughput per CPU over it |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in by_cost(rounds):
        runs = _runs(rounds, name)
        cpu = [run.cpu_us for run in runs]
        rate = statistics.median(run.rate for run in runs)
        rss = max(run.peak_rss_bytes for run in runs) / 2**20
        rates, costs = _over(rounds, name)
        lines.append(
            f"| `{name}` | {rate:,.0f} | {min(cpu):,.1f} / {statistics.median(cpu):,.1f} "
            f"| {rss:.0f} | {_range(rates)} | {_range(costs)} |"
        )
    return lines


def picture(rounds: Sequence[Sequence[Result]]) -> str:
    """Draw CPU per event of each program."""
    median = {
        name: statistics.median(run.cpu_us for run in _runs(rounds, name))
        for name in by_cost(rounds)
    }
    return bars(
        "CPU time per event, other tools",
        [Bar(name, cost, f"{cost:,.1f} µs") for name, cost in median.items()],
    )


def by_cost(rounds: Sequence[Sequence[Result]]) -> list[str]:
    """Give the names, the cheapest first."""
    names = {result.contestant for results in rounds for result in results}
    return sorted(names, key=lambda name: min(run.cpu_us for run in _runs(rounds, name)))


def _runs(rounds: Sequence[Sequence[Result]], name: str) -> list[Result]:
    return [result for results in rounds for result in results if result.contestant == name]


def _over(rounds: Sequence[Sequence[Result]], name: str) -> tuple[list[float], list[float]]:
    """Give the sidecar's events per second, and per second of CPU, over those of another."""
    rates, costs = [], []
    for results in rounds:
        by_name: Mapping[str, Result] = {result.contestant: result for result in results}
        if name in by_name and "sidecar" in by_name:
            rates.append(by_name["sidecar"].rate / by_name[name].rate)
            costs.append(by_name[name].cpu_us / by_name["sidecar"].cpu_us)
    return rates, costs


def _range(ratios: Sequence[float]) -> str:
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):.2g} ({min(ratios):.2g} to {max(ratios):.2g})"


# --- verifying -----------------------------------------------------------------------------


def _verify(wanted: Sequence[Contestant], plan: Plan, brokers: str) -> int:
    """Hold each one's answers against the tuned loop's; those of the product go other ways."""
    tuned = next(each for each in CONTESTANTS if each.name == "tuned")
    expected = _answers(tuned, plan, brokers)
    wrong = 0
    for contestant in wanted:
        if contestant.name not in ("copy", "tuned", "sidecar"):
            found = _answers(contestant, plan, brokers)
            missing, different = differences(expected, found)
            wrong += missing + different
            print(
                f"{contestant.name:16} {len(found):,} answers, {missing} missing, "
                f"{different} different",
                flush=True,
            )
    return 1 if wrong else 0


def differences(
    expected: Mapping[str, _Answer], found: Mapping[str, _Answer]
) -> tuple[int, int]:
    """Count the events without an answer, and those with another one."""
    both = expected.keys() & found.keys()
    different = sum(not _equal(expected[event], found[event]) for event in both)
    return len(expected) - len(both), different


def _equal(one: _Answer, other: _Answer) -> bool:
    return one.label == other.label and all(
        abs(mine - theirs) <= _TOLERANCE
        for mine, theirs in (
            (one.score, other.score),
            (one.confidence, other.confidence),
        )
    )


def _answers(contestant: Contestant, plan: Plan, brokers: str) -> dict[str, _Answer]:
    label = f"{plan.events.removesuffix('.events')}.verify.{contestant.name}"
    with race.started(contestant, plan, brokers, label) as running:
        until = _CLOCK.monotonic() + _VERIFY_S
        while running.topics.written(running.outputs) < plan.records:
            if running.tree.exit_code is not None or _CLOCK.monotonic() > until:
                print(running.tree.log.read_text()[-2_000:], file=sys.stderr)
                break
            time.sleep(0.2)
        return _read(brokers, running.outputs[0], plan.partitions)


def _read(brokers: str, topic: str, partitions: int) -> dict[str, _Answer]:
    """Read all answers of a topic, by event."""
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "verify", "log_level": 0})
    reader.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    decode = msgspec.json.Decoder(_Answer).decode
    found: dict[str, _Answer] = {}
    while messages := reader.consume(5_000, 3.0):
        for message in messages:
            if (value := message.value()) is not None:
                answer = decode(value)
                found[answer.event_id] = answer
    reader.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
