"""River: one ADWIN per column, told every value."""

from river.drift import ADWIN

from loadtests.drift.columns import NAMES
from loadtests.drift.contestants.serving import Case, serve


def adwin() -> Case:
    """Tell each column's detector each value, as a stream would."""
    detectors = [ADWIN() for _ in NAMES]

    def run(values: list[list[float]]) -> int:
        found = 0
        for row in values:
            for detector, value in zip(detectors, row, strict=True):
                detector.update(value)
                found += detector.drift_detected
        return found

    return Case(lambda rows: rows.tolist(), run)


if __name__ == "__main__":
    serve({"ADWIN, every event": adwin()}, ("river",))
