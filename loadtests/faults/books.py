"""What the sidecars say of themselves at `/metrics`, held against what stands on the topics."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from prometheus_client.parser import text_string_to_metric_families

from loadtests.faults.history import Record
from loadtests.faults.judge import ERROR

_SUMMED = {
    "sidecar_records_received_total": "received",
    "sidecar_tombstones_total": "tombstones",
    "sidecar_in_flight_records": "in_flight",
    "sidecar_records_returned_total": "returned",
    "sidecar_rebalances_total": "rebalances",
    "sidecar_assigned_partitions": "assigned",
    "sidecar_consumer_lag_records": "lag",
    "sidecar_commit_failures_total": "commit_failures",
    "sidecar_producer_rebuilds_total": "rebuilds",
    "sidecar_event_loop_lag_seconds": "loop_lag_s",
    "process_resident_memory_bytes": "rss_bytes",
    "process_open_fds": "open_files",
}

# The longest of `monitors.windows` of the campaign's sidecars: longer than any run.
_IN_WINDOW = ("sidecar_window_records", "24h")


@dataclass(frozen=True)
class Scrape:
    """What one sidecar said at one moment."""

    at_s: float
    member: str
    ready: bool
    sums: Mapping[str, float] = field(default_factory=dict)
    decided: Mapping[str, int] = field(default_factory=dict)
    """Decisions by `source/reason`."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Dead letters by code."""
    partitions: frozenset[int] = frozenset()
    """Those that have series of their own."""

    def get(self, name: str) -> float:
        """Give one of the sums; 0 where there is no series."""
        return self.sums.get(name, 0.0)


def parse(at_s: float, member: str, text: str, *, ready: bool) -> Scrape:
    """Take from a page of metrics what is judged here."""
    sums: dict[str, float] = defaultdict(float)
    decided: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    partitions = set()
    for sample in chain.from_iterable(f.samples for f in text_string_to_metric_families(text)):
        if sample.name in _SUMMED:
            sums[_SUMMED[sample.name]] += sample.value
        elif sample.name == "sidecar_decisions_total":
            name = f"{sample.labels['source']}/{sample.labels['reason']}"
            decided[name] += int(sample.value)
        elif sample.name == "sidecar_records_rejected_total":
            rejected[sample.labels["reason"]] += int(sample.value)
        elif (sample.name, sample.labels.get("window")) == _IN_WINDOW:
            sums["in_window"] = sample.value
        if "partition" in sample.labels:
            partitions.add(int(sample.labels["partition"]))
    return Scrape(
        at_s, member, ready, dict(sums), dict(+decided), dict(+rejected), frozenset(partitions)
    )


def miscounted(shown: Mapping[str, float], due: int) -> list[str]:
    """Give the sidecars whose longest window does not hold each event that is due once.

    Args:
        shown: Events in the longest window, by sidecar: of all partitions, whoever owns them.
        due: Events that must be in it.
    """
    return [
        f"{member} shows {count:g} events, not {due}"
        for member, count in shown.items()
        if count != due
    ]


def unbalanced(scrapes: Iterable[Scrape]) -> list[str]:
    """Give the scrapes whose books do not balance: everything received is somewhere."""
    found = []
    for scrape in scrapes:
        spent = sum(scrape.decided.values()) + sum(scrape.rejected.values())
        spent += int(sum(map(scrape.get, ("tombstones", "in_flight", "returned"))))
        if scrape.get("received") != spent:
            found.append(f"{scrape.member}: received {scrape.get('received'):g}, not {spent}")
    return found


def disagreements(
    last: Iterable[Scrape],
    decisions: Iterable[Record],
    letters: Iterable[Record],
    *,
    complete: bool,
) -> list[str]:
    """Hold counters against topics.

    Args:
        last: The last scrape of each sidecar.
        decisions: What stands on the topic, repeated ones included.
        letters: Likewise.
        complete: Whether the counters of every sidecar are known to its end; those of one that
            was killed are not.

    Returns:
        Counters that say more than was written, and, when they are complete, less than is due.
        Of an event with outcomes of several kinds, as after a refusal amid an outage, any one
        may have been counted: it is due in the total alone.
    """
    said: Counter[str] = Counter()
    for scrape in last:
        said += Counter({f"decided {kind}": count for kind, count in scrape.decided.items()})
        said += Counter({f"refused {code}": count for code, count in scrape.rejected.items()})
    written: Counter[str] = Counter()
    kinds: dict[str, set[str]] = defaultdict(set)
    for place, kind in (*map(_decided, decisions), *map(_refused, letters)):
        written[kind] += 1
        kinds[place].add(kind)
    due = Counter(next(iter(only)) for only in kinds.values() if len(only) == 1)
    found = [
        f"{kind}: {count} counted, {written[kind]} written"
        for kind, count in sorted(said.items())
        if count > written[kind]
    ]
    if complete:
        found += [
            f"{kind}: {said[kind]} counted, {count} are due"
            for kind, count in sorted(due.items())
            if said[kind] < count
        ]
        if said.total() < len(kinds):
            found.append(f"in all: {said.total()} counted, {len(kinds)} are due")
    return found


def _decided(record: Record) -> tuple[str, str]:
    """Give the place that a decision is of, and its kind."""
    said = json.loads(record.value or b"{}")
    place = str(said.get("id")).partition("-")[2]
    return place, f"decided {said.get('source')}/{said.get('reason')}"


def _refused(record: Record) -> tuple[str, str]:
    place = f"{record.header(f'{ERROR}partition')}-{record.header(f'{ERROR}offset')}"
    return place, f"refused {record.header(f'{ERROR}code')}"
