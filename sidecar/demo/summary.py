"""What the demo showed, in words, and whether that is what it promises to show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import wrap

from sidecar.demo.incidents import INCIDENTS, Incident
from sidecar.demo.probe import Counts
from sidecar.demo.readback import Outcome
from sidecar.demo.watch import Sighting
from sidecar.events import Signal

_DAY_MS = 86_400_000
_WIDTH = 96
_INDENT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """How many records there were on each side of the sidecar."""

    sent: int
    failed: int
    """Sent, and not taken by the broker."""
    counts: Counts
    decisions_read: int
    """Decisions read back from their topic."""
    distinct_ids: int
    """Different ids among them."""
    dead_letters_read: Mapping[str, int]
    """Dead letters read back from their topic, by code."""

    def faults(self) -> list[str]:
        """Say what does not add up; empty when everything does."""
        counts = self.counts
        equalities = (
            ("records sent and records received", self.sent - self.failed, counts.received),
            ("records received and records with an outcome", counts.received, counts.settled),
            ("decisions counted and decisions read back", counts.decided, self.decisions_read),
            ("decisions read back and their ids", self.decisions_read, self.distinct_ids),
        )
        faults = [
            f"{what} differ: {one:,} and {other:,}"
            for what, one, other in equalities
            if one != other
        ]
        if self.failed:
            faults.append(f"the broker did not take {self.failed:,} records")
        if dict(self.dead_letters_read) != counts.rejections:
            faults.append("dead letters counted and dead letters read back differ by code")
        return faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All that the demo has to say at its end."""

    sightings: Mapping[Incident, Sighting]
    during: Mapping[Incident, Mapping[Outcome, int]]
    """Decisions on events from the time of each incident."""
    books: Books
    verdicts: int
    """Drift verdicts before the first incident."""
    alarms: Mapping[str, int]
    """Those of them that were past their critical value, by subject."""
    signals: Sequence[Signal]
    """Read back from their topic."""

    def faults(self) -> list[str]:
        """Say what the demo failed to show; empty when it showed everything."""
        unseen = [
            f"not seen: {incident.title}"
            for incident in INCIDENTS
            if incident not in self.sightings
        ]
        untold = [
            f"no signal: {incident.title}"
            for incident in INCIDENTS
            if incident.feature and not self._told(incident)
        ]
        return unseen + untold + self.books.faults()

    def text(self) -> str:
        """Write the whole, for a terminal 96 columns wide."""
        parts = [
            "What happened. Times are event time; numbers are the sidecar's own, from its",
            "status API, its /metrics, and the topics that it wrote, read back.",
            "",
            *_paragraph(
                "  Before the first incident: ",
                f"{sum(self.alarms.values()):,} of {self.verdicts:,} drift verdicts past their "
                f"limit{_listed(self.alarms)}.",
            ),
            "",
        ]
        for number, incident in enumerate(INCIDENTS, 1):
            parts += [
                f"  {number}. {incident.title.capitalize()}",
                *self._incident(incident),
                "",
            ]
        return "\n".join([*parts, *self._books(), "", *self._verdict()])

    def _incident(self, incident: Incident) -> list[str]:
        days = (incident.ends_ms - incident.begins_ms) // _DAY_MS
        began = f"{day(incident.begins_ms)}, for {days} days: {incident.what}"
        return [
            *_paragraph("     began  ", began),
            *_paragraph("     seen   ", self._seen(incident)),
            *(_paragraph("     told   ", self._tell(incident)) if incident.feature else ()),
            *_paragraph("     done   ", _handled(self.during[incident], incident)),
        ]

    def _seen(self, incident: Incident) -> str:
        sighting = self.sightings.get(incident)
        if sighting is None:
            return "never"
        after = (sighting.event_time_ms - incident.begins_ms) / _DAY_MS
        return (
            f"{day(sighting.event_time_ms)}, after {after:.0f} days: {sighting.measure}, "
            f"{sighting.value:.3g} > {sighting.limit:.3g}; {sighting.detail}"
        )

    def _told(self, incident: Incident) -> list[Signal]:
        """Give the signals of critical drift of what an incident spoils, from its begin on."""
        return [
            signal
            for signal in self.signals
            if signal.feature == incident.feature
            and signal.severity == "critical"
            and _time_ms(signal) >= incident.begins_ms
        ]

    def _tell(self, incident: Incident) -> str:
        told = self._told(incident)
        if not told:
            return "never"
        first, p_value = told[0], told[0].evidence.p_value
        again = (s for s in told[1:] if s.window == first.window and s.kind != first.kind)
        ended = next((f"ended {day(_time_ms(signal))}" for signal in again), "not ended")
        return (
            f"{day(_time_ms(first))}: {first.kind} on the signals topic, {first.severity} over "
            f"{first.window}, p {p_value or 0:.1g}; {ended}"
        )

    def _books(self) -> list[str]:
        counts, books = self.books.counts, self.books
        dead = sum(books.dead_letters_read.values())
        return [
            *_paragraph(
                "  Nothing lost: " if not books.faults() else "  The books: ",
                f"{books.sent:,} sent, {counts.received:,} received = {counts.decided:,} "
                f"decided + {counts.rejected:,} rejected + {counts.tombstones:,} tombstones.",
            ),
            *_paragraph(
                "  Read back: ",
                f"{books.decisions_read:,} decisions with {books.distinct_ids:,} ids, {dead:,} "
                f"dead letters{_listed(books.dead_letters_read)}; {len(self.signals)} signals.",
            ),
        ]

    def _verdict(self) -> list[str]:
        faults = self.faults()
        if not faults:
            return ["  All three incidents were seen and the counts add up."]
        return ["  Something is missing:", *(f"    - {fault}" for fault in faults)]


def _time_ms(signal: Signal) -> int:
    return int(datetime.fromisoformat(signal.event_time).timestamp() * 1000)


def day(event_time_ms: int) -> str:
    """Write a moment of event time as a date.

    Example:
        >>> day(1_472_688_000_000)
        '2016-09-01'
    """
    return datetime.fromtimestamp(event_time_ms / 1000, UTC).strftime("%Y-%m-%d")


def _handled(outcomes: Mapping[Outcome, int], incident: Incident) -> str:
    """Say how the events were answered that the incident kept from the model."""
    hit = {o: count for o, count in outcomes.items() if o.reason in incident.reasons}
    reasons = Counter[str]()
    answers = Counter[str]()
    for outcome, count in hit.items():
        reasons[outcome.reason] += count
        answers[f"rule {outcome.rule}" if outcome.rule else outcome.source] += count
    return (
        f"{sum(hit.values()):,} of {sum(outcomes.values()):,} events answered without the "
        f"model{_listed(reasons)}: {_counted(answers) or 'none'}"
    )


def _paragraph(head: str, text: str) -> list[str]:
    indent = " " * min(len(head), _INDENT)
    return wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False
    )


def _counted(counts: Mapping[str, int]) -> str:
    largest = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count:,}" for name, count in largest if count)


def _listed(counts: Mapping[str, int]) -> str:
    return f" ({_counted(counts)})" if any(counts.values()) else ""
