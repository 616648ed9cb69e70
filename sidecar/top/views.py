"""What one sidecar says of its drift, partitions and dead letters, as tables."""

from sidecar.adapters.phrases import count, digits, share, span, times
from sidecar.monitors.snapshot import SubjectDrift, WindowSnapshot
from sidecar.telemetry.status import PartitionView, StatusView
from sidecar.top.layout import Column, Fact, Row, Table, printable
from sidecar.top.reading import features_of, window_of

DRIFT_ORDERS = ("severity", "name")
PARTITION_ORDERS = ("partition", "lag")
LETTER_ORDERS = ("last minute", "since the start")

_DRIFT = (
    Column("feature"),
    Column("verdict"),
    Column("severity", right=True, rank=1),
    Column("psi", right=True, rank=2),
    Column("critical", right=True, rank=3),
    Column("missing", right=True, rank=4),
    Column("unseen", right=True, rank=5),
    Column("out of range", right=True, rank=6),
    Column("records", right=True, rank=7),
)
_PARTITIONS = (
    Column("partition", right=True),
    Column("reading"),
    Column("lag", right=True),
    Column("behind", right=True, rank=1),
    Column("in flight", right=True, rank=2),
    Column("position", right=True, rank=3),
    Column("end", right=True, rank=4),
)
_DEAD_LETTERS = (
    Column("code"),
    Column("last minute", right=True),
    Column("share", right=True, rank=2),
    Column("since the start", right=True, rank=1),
)
_MOST_BINS = 6
_TO = "\N{RIGHTWARDS ARROW}"


# --- drift ---------------------------------------------------------------------------------


def drift(view: StatusView, name: str | None = None, order: str = DRIFT_ORDERS[0]) -> Table:
    """Give one window: the features in that order, then the answers."""
    window = window_of(view, name)
    if window is None:
        return Table(_DRIFT, (), "The monitors have seen no events.")
    features = features_of(window)
    if order == "name":
        features.sort(key=lambda feature: feature.name)
    answers = [subject for subject in window.subjects if subject.subject != "feature"]
    rows = tuple(_subject(subject) for subject in (*features, *answers))
    return Table(_DRIFT, rows, _about(view, window, features))


def next_window(view: StatusView, name: str | None) -> str | None:
    """Name the window after this one; the first comes after the last."""
    names, shown = _names(view), window_of(view, name)
    return None if shown is None else names[(names.index(shown.window) + 1) % len(names)]


def largest_changes(view: StatusView, name: str | None, key: str | None) -> list[Fact]:
    """Say which bins of the subject with that key changed most, from reference to window."""
    window = window_of(view, name)
    subjects = window.subjects if window else ()
    subject = next((subject for subject in subjects if _key(subject) == key), None)
    if subject is None:
        return []
    changes = sorted(
        zip(subject.bins, subject.reference, subject.current, strict=False),
        key=lambda change: -abs(change[2] - change[1]),
    )
    said = (
        f"{name}: {share(was)} {_TO} {share(now)}" for name, was, now in changes[:_MOST_BINS]
    )
    text = f"reference {_TO} window   " + ",  ".join(said)
    return [(printable(_name(subject)), printable(text))]


def _names(view: StatusView) -> list[str]:
    return [window.window for window in view.monitors.windows] if view.monitors else []


def _about(view: StatusView, window: WindowSnapshot, features: list[SubjectDrift]) -> str:
    names = _names(view)
    drifting = sum(feature.drifting for feature in features)
    verdict = (
        f"{drifting} of {len(features)} features drift"
        if window.ready
        else "too few records for a verdict"
    )
    return (
        f"window {window.window} ({names.index(window.window) + 1} of {len(names)}): "
        f"{verdict}, {count(window.records)} records, newest {span(view.data_age_s)} ago"
    )


def _subject(subject: SubjectDrift) -> Row:
    psi = subject.score("psi")
    verdict = "drifting" if subject.drifting else "steady" if psi else "no verdict"
    cells = (
        _name(subject),
        verdict,
        times(subject.severity) if psi else digits(None),
        digits(psi.value if psi else None),
        digits(psi.critical if psi else None),
        share(subject.missing_ratio),
        share(subject.unseen_ratio),
        share(subject.out_of_range_ratio),
        count(subject.records),
    )
    return Row(cells, "warn" if subject.drifting else "plain", _key(subject))


def _name(subject: SubjectDrift) -> str:
    """Tell an answer from a feature that has its name."""
    return subject.name if subject.subject == "feature" else f"{subject.name} (answer)"


def _key(subject: SubjectDrift) -> str:
    return f"{subject.subject} {subject.name}"


# --- partitions and dead letters -----------------------------------------------------------


def partitions(view: StatusView, order: str = PARTITION_ORDERS[0]) -> Table:
    """Give the assigned partitions, by number or the furthest behind first."""
    shown = sorted(view.partitions, key=lambda each: each.partition)
    if order == "lag":
        shown.sort(key=lambda each: 1 if each.lag_records is None else -each.lag_records)
    note = f"{len(shown)} partitions of {view.topics.events}, group {view.group}"
    return Table(_PARTITIONS, tuple(map(_partition, shown)), note)


def _partition(partition: PartitionView) -> Row:
    cells = (
        str(partition.partition),
        "paused" if partition.paused else "yes",
        count(partition.lag_records),
        span(partition.lag_seconds),
        count(partition.in_flight),
        count(partition.position),
        count(partition.end),
    )
    return Row(cells, "warn" if partition.paused else "plain", str(partition.partition))


def dead_letters(view: StatusView, order: str = LETTER_ORDERS[0]) -> Table:
    """Give the reject codes, the most frequent first."""
    minute, total = view.rates.rejections, view.rates.rejections_total
    first, second = (total, minute) if order == "since the start" else (minute, total)
    codes = sorted(
        {*minute, *total}, key=lambda code: (-first.get(code, 0), -second.get(code, 0), code)
    )
    whole = sum(minute.values())
    rows = tuple(
        Row(
            (
                code,
                count(minute.get(code, 0)),
                share(minute.get(code, 0) / whole if whole else None),
                count(total.get(code, 0)),
            ),
            key=code,
        )
        for code in codes
    )
    refused = f"{share(view.rates.reject_ratio)} of the last minute refused"
    return Table(_DEAD_LETTERS, rows, f"{refused}, to {view.topics.dead_letters}")
