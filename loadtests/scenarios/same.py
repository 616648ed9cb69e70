"""`python -m loadtests.scenarios.same`: two processes see what one sees.

Both read the same events; then every statistic of every window must be the same number.
"""

import argparse
import math
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from loadtests import race, setting
from loadtests.race import Plan, RunFailedError
from loadtests.scenarios.lines import Line, own_cores, sidecar
from sidecar.clock import SystemClock

Statistics = Mapping[str, float]
"""By metric and labels."""

STATISTICS = (
    "sidecar_window_records",
    "sidecar_drift_score",
    "sidecar_drift_critical_value",
    "sidecar_prediction_drift_score",
    "sidecar_prediction_drift_critical_value",
    "sidecar_quality_ratio",
)
TOLERANCE = 1e-9
"""Relative: sums of the same numbers in another order."""
FLEETS = (
    Line("one", "one process", cores=own_cores()[:1]),
    Line("two", "two processes", cores=(own_cores() * 2)[:2]),
)
_LONGEST_S = 120.0
_LOOK_S = 1.0


def main() -> int:
    """Run both, compare, and say how many figures are the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="events (default: 200000)")
    asked = parser.parse_args()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="sidecar-same-") as folder,
            setting.broker(None, Path(folder)) as brokers,
        ):
            plan = setting.prepare(brokers, Path(folder), asked.records)
            one, two = (_statistics(line, plan, brokers, Path(folder)) for line in FLEETS)
    except RunFailedError as error:
        print(error, file=sys.stderr)
        return 1
    found = differences(one, two)
    print(f"{len(one)} statistics of {asked.records:,} events, {len(found)} differ")
    print(*found[:20], sep="\n")
    return 1 if found or not one else 0


def differences(one: Statistics, two: Statistics) -> list[str]:
    """Give what is not the same number, and what only one of them has."""
    return [
        f"{name}: {one.get(name)} and {two.get(name)}"
        for name in sorted({*one, *two})
        if name not in one
        or name not in two
        or not math.isclose(one[name], two[name], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    ]


def of_text(text: str) -> Statistics:
    """Take the statistics from the text of a scrape."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        if family.name in STATISTICS
        for sample in family.samples
        if not math.isnan(sample.value)
    }


def _statistics(line: Line, plan: Plan, brokers: str, folder: Path) -> Statistics:
    """Run a fleet until its longest window has all events, and give what its first one says.

    Raises:
        RunFailedError: It does not come so far.
    """
    clock = SystemClock()
    until = clock.monotonic() + _LONGEST_S
    label = f"same.{line.name}.{clock.now_ms()}"
    with race.started(sidecar(line, folder), plan, brokers, label) as running:
        while clock.monotonic() < until and running.tree.exit_code is None:
            time.sleep(_LOOK_S)
            if running.topics.written(running.outputs) < plan.records:
                continue
            assert running.metrics
            with urllib.request.urlopen(running.metrics) as answer:  # noqa: S310 - loopback
                found = of_text(answer.read().decode())
            counted = [v for name, v in found.items() if name.startswith(STATISTICS[0])]
            if counted and max(counted) == plan.records:
                return found
        said = running.tree.log.read_text()[-2_000:]
    raise RunFailedError(f"{line.name}: the windows do not hold all events\n{said}")


if __name__ == "__main__":
    sys.exit(main())
