"""`python -m loadtests.drift.simulation`: false alarms and delays of the drift monitor."""

import argparse
import sys
from pathlib import Path

from loadtests.drift.simulation import plan, report
from loadtests.report import RESULTS, conditions


def main() -> int:
    """Simulate and write the report."""
    options = _options()
    chosen = plan.SHORT if options.short else plan.LONG
    settings = {
        "plan": "short" if options.short else "long",
        "seed": options.seed,
        "windows calibrated on": chosen.windows,
        "features": chosen.features,
        "runs of each shift": chosen.runs,
    }
    where = conditions(settings)  # of the code as it is when it is loaded
    findings = plan.run(chosen, options.seed, lambda done: print(done, flush=True))
    found = report.report(where, findings)
    print(report.markdown(found))
    print(f"written to {report.write(found, options.out or RESULTS)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.drift.simulation", description=__doc__
    )
    parser.add_argument("--short", action="store_true", help="what the tests run, a minute")
    parser.add_argument("--seed", type=int, default=6, help="of all chance (default: 6)")
    parser.add_argument("--out", type=Path, help="folder of the report")
    options = parser.parse_args()
    if options.short and options.out is None:
        parser.error("--short needs --out: the committed report is of the whole")
    return options


if __name__ == "__main__":
    sys.exit(main())
