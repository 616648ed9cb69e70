"""`python -m loadtests.faults`: faults against real sidecars on real Kafka, and a judge."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import get_args

from loadtests.bundle import build_bundle
from loadtests.faults import report
from loadtests.faults.campaign import Result, run
from loadtests.faults.cases import TABLE
from loadtests.faults.clock import now_ms
from loadtests.faults.fleet import CannotRunError
from loadtests.faults.scene import Fault, Mode
from loadtests.faults.site import site
from tests.brokers.kafka import CannotRunError as NoBrokerError

_MODES: tuple[Mode, ...] = get_args(Mode)
_BROKEN = 1
_CANNOT = 2


def main() -> int:
    """Run the campaign; 1 when anything does not hold, 2 when it cannot run at all."""
    options = _options()
    # An end that is asked for must end sidecars and brokers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_BROKEN))
    folder = options.out or Path(tempfile.mkdtemp(prefix="sidecar-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    runs = _chosen(options.names, short=options.short, modes=options.mode)
    print(f"seed {options.seed}, logs in {folder}", flush=True)
    found = report.begin(options.seed, long=options.long)
    try:
        for result in _results(runs, options, folder):
            found.results.append(result)
            print(report.line(result), flush=True)
            report.write(found, folder / "report.json")
    except (CannotRunError, NoBrokerError, RuntimeError) as reason:
        print(reason, file=sys.stderr)
        return _CANNOT
    failed = sum(not result.passed for result in found.results)
    passed = len(found.results) - failed
    print(f"{passed} passed, {failed} failed: {folder / 'report.json'}")
    return _BROKEN if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="FAULT", help=", ".join(TABLE))
    parser.add_argument("--seed", type=int, default=now_ms() % 100_000, help="of all chance")
    parser.add_argument("--mode", choices=_MODES, nargs="+", default=_MODES)
    parser.add_argument("--long", action="store_true", help="each fault longer and more often")
    parser.add_argument("--short", action="store_true", help="those that CI runs")
    parser.add_argument("--repeat", type=int, default=1, help="so many seeds, from --seed on")
    parser.add_argument("--out", type=Path, help="new folder for logs and report.json")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in TABLE]:
        parser.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(TABLE)}")
    if options.out and options.out.is_dir() and any(options.out.iterdir()):
        parser.error(f"{options.out} has the logs of another run: name a new folder")
    return options


def _chosen(
    names: Sequence[str], *, short: bool, modes: Sequence[Mode]
) -> list[tuple[Fault, Mode]]:
    """Give the faults to run and in which mode, those of one site together."""
    wanted = [
        (fault, mode)
        for fault in TABLE.values()
        if not names or fault.name in names
        for mode in (fault.short if short else fault.modes)
        if mode in modes
    ]
    order = ["one", "mock", "three"]
    return sorted(wanted, key=lambda chosen: order.index(chosen[0].site))


def _results(
    runs: Sequence[tuple[Fault, Mode]], options: argparse.Namespace, folder: Path
) -> Iterator[Result]:
    with tempfile.TemporaryDirectory(prefix="sidecar-faults-") as scratch:
        bundle = build_bundle(Path(scratch))
        for kind, group in groupby(runs, key=lambda chosen: chosen[0].site):
            with site(kind, folder / f"brokers-{kind}-{now_ms()}") as place:
                for fault, mode in group:
                    for seed in range(options.seed, options.seed + options.repeat):
                        yield run(
                            fault,
                            place,
                            seed=seed,
                            mode=mode,
                            long=options.long,
                            folder=folder / f"{fault.name}-{mode}-{seed}",
                            bundle=bundle,
                        )


if __name__ == "__main__":
    sys.exit(main())
