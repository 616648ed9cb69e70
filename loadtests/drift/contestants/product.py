"""The sidecar's drift monitor, as the service runs it: counts batches, compares all windows."""

from itertools import count

from loadtests.drift import decided
from loadtests.drift.columns import Rows, reference
from loadtests.drift.contestants.serving import Case, serve
from sidecar.config.settings import MonitorSettings
from sidecar.events import DecisionBatch
from sidecar.monitors.drift import DriftMonitor

_PANE_MS = 60_000


def cases() -> dict[str, Case]:
    """Give the cases, all on one monitor that lives on, a pane further with each turn."""
    monitor = DriftMonitor(decided.manifest(), decided.profile(reference()), MonitorSettings())
    turns = count(29_000_000)  # minutes since 1970

    def prepare(rows: Rows) -> list[DecisionBatch]:
        turn = next(turns)
        return decided.batches(rows, first_offset=turn * 1_000_000, start_ms=turn * _PANE_MS)

    def counted(given: list[DecisionBatch]) -> None:
        for batch in given:
            monitor.observe(batch)

    def compared(given: list[DecisionBatch]) -> object:
        counted(given)  # the first event of a pane has the windows evaluated for the rule
        return monitor.snapshot()

    def turning(rows: Rows) -> None:
        counted(prepare(rows[:1]))

    return {
        "count, rule, all statistics, all windows": Case(prepare, compared),
        "count and rule": Case(prepare, counted),
        "rule, all windows": Case(turning, lambda _: monitor.windows.turning()),
        "all statistics, all windows": Case(lambda _: None, lambda _: monitor.snapshot()),
    }


if __name__ == "__main__":
    serve(cases(), ("numpy",))
