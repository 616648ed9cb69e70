"""Notices in what the sidecar shows when each incident becomes visible."""

from collections import Counter
from typing import NamedTuple

from sidecar.demo.incidents import AGE_IN_MONTHS, EDUCATION_MISSING, MODEL_FAILS, Incident
from sidecar.demo.probe import Reading
from sidecar.monitors.snapshot import SubjectDrift, WindowSnapshot

# Smaller shares come about by themselves: 1 % of the ages of 2018 are beyond those of 2015.
_NOTICEABLE = 0.05


class Sighting(NamedTuple):
    """The first reading in which the sign of an incident was past its limit."""

    event_time_ms: int
    """Newest event of the windows at that moment."""
    measure: str
    """What was past its limit."""
    value: float
    limit: float
    detail: str
    """What else the reading says about it."""


class Watch:
    """Compares each reading with the limits that stand beside the numbers in it.

    `sightings` has the incidents that were seen. Before the first incident nothing should be
    past a limit: `verdicts` counts what was judged until then, `alarms` what was past its
    limit, by subject. Each is one subject in one window in one reading.
    """

    def __init__(self, failure_limit: float) -> None:
        """Start with nothing seen.

        Args:
            failure_limit: Share of failed model calls that opens the circuit.
        """
        self._failure_limit = failure_limit
        self._calls_before: dict[str, int] = {}
        self.sightings: dict[Incident, Sighting] = {}
        self.verdicts = 0
        self.alarms: Counter[str] = Counter()

    def see(self, reading: Reading) -> list[Incident]:
        """Take a reading, and give the incidents that it is the first to show."""
        now_ms = reading.event_time_ms
        if now_ms is None:
            return []
        if now_ms < EDUCATION_MISSING.begins_ms:
            self._judge_calm(reading)
        if now_ms < MODEL_FAILS.begins_ms:
            self._calls_before = reading.counts.model_calls
        found = {
            EDUCATION_MISSING: _missing_values,
            AGE_IN_MONTHS: _drift,
            MODEL_FAILS: self._open_circuit,
        }
        new = []
        for incident, look in found.items():
            if incident in self.sightings or now_ms < incident.begins_ms:
                continue
            if sighting := look(reading, now_ms):
                self.sightings[incident] = sighting
                new.append(incident)
        return new

    def _judge_calm(self, reading: Reading) -> None:
        for _, subject in judged(reading):
            self.verdicts += 1
            self.alarms[subject.name] += subject.drifting

    def _open_circuit(self, reading: Reading, now_ms: int) -> Sighting | None:
        if not reading.status.circuit_open:
            return None
        calls = {
            outcome: count - self._calls_before.get(outcome, 0)
            for outcome, count in reading.counts.model_calls.items()
        }
        failed, total = calls.get("error", 0), sum(calls.values())
        return Sighting(
            event_time_ms=now_ms,
            measure="share of model calls that failed",
            value=failed / max(1, total),
            limit=self._failure_limit,
            detail=f"{failed} of {total} calls since it began; the circuit is open",
        )


def judged(reading: Reading) -> list[tuple[WindowSnapshot, SubjectDrift]]:
    """Give each subject of each window that has a verdict, shortest window first."""
    monitors = reading.status.monitors
    windows = () if monitors is None else monitors.windows
    return [
        (window, subject) for window in windows for subject in window.subjects if subject.scores
    ]


def _missing_values(reading: Reading, now_ms: int) -> Sighting | None:
    for window, subject in judged(reading):
        more = subject.missing_ratio - subject.reference_missing_ratio
        if (
            subject.name == EDUCATION_MISSING.feature
            and subject.drifting
            and more > _NOTICEABLE
        ):
            detail = (
                f"missing in {subject.missing_ratio:.0%} of the window, "
                f"in {subject.reference_missing_ratio:.0%} of the reference"
            )
            return _drifted(window, subject, now_ms, detail)
    return None


def _drift(reading: Reading, now_ms: int) -> Sighting | None:
    for window, subject in judged(reading):
        outside = subject.out_of_range_ratio
        if subject.name == AGE_IN_MONTHS.feature and subject.drifting and outside > _NOTICEABLE:
            detail = f"{outside:.0%} of the window is out of range"
            return _drifted(window, subject, now_ms, detail)
    return None


def _drifted(
    window: WindowSnapshot, subject: SubjectDrift, now_ms: int, detail: str
) -> Sighting:
    psi = next(score for score in subject.scores if score.method == "psi")
    return Sighting(
        event_time_ms=now_ms,
        measure=f"psi of {subject.name} over {window.window}, {subject.records:,} records",
        value=psi.value,
        limit=psi.critical or 0.0,
        detail=detail,
    )
