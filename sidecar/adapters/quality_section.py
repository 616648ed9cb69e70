"""The part of pages that says what is wrong with records, and who answers, over one window."""

from collections.abc import Iterator, Sequence

from sidecar.adapters.markup import Html, element, join
from sidecar.adapters.phrases import UNKNOWN, count, share, span
from sidecar.adapters.tables import body_rows, head_row, numeric
from sidecar.monitors.quality_snapshot import (
    Agreement,
    QualityRatio,
    QualitySnapshot,
    QualityWindow,
    UnseenValues,
)

_MOST_ROWS = 50
_MOST_VALUES = 5


def quality_parts(snapshot: QualitySnapshot, window: str) -> Html | None:
    """Give what is to be said of one window; None when there is no such window.

    Args:
        snapshot: What the quality monitor says.
        window: Length of the window, as the config writes it.
    """
    shown = next((each for each in snapshot.windows if each.window == window), None)
    if shown is None:
        return None
    unseen = [values for values in snapshot.unseen if values.records]
    return join(
        element("p", _verdict(shown), class_="note"),
        _shares(shown),
        *(element("p", line, class_="note") for line in _lines(shown)),
        _unseen(unseen) if unseen else None,
    )


def _verdict(window: QualityWindow) -> str:
    if not window.ready:
        return f"Too few records for a verdict: {count(window.records)}."
    left = len(window.breached)
    if not left:
        return f"Every share is in its band, over {count(window.records)} records."
    shares = "1 share is" if left == 1 else f"{left} shares are"
    return f"{shares} outside the band, over {count(window.records)} records."


def _shares(window: QualityWindow) -> Html:
    """Give what left its band, and all that is not about one feature."""
    left = window.breached[:_MOST_ROWS]
    steady = [r for r in window.ratios if not r.feature and not r.breached]
    head = head_row(
        ("Share", ""),
        ("State", ""),
        ("Ratio", "num"),
        ("Usual", "num"),
        ("Band", "num"),
        ("Records", "num"),
    )
    table = element("table", head, body_rows(_row(ratio) for ratio in (*left, *steady)))
    return element("div", table, class_="scroll")


def _row(ratio: QualityRatio) -> Html:
    name = ratio.check.replace("_", " ") + (f": {ratio.feature}" if ratio.feature else "")
    if ratio.lower is None or ratio.upper is None:
        state = "○ no band" if ratio.expected is None else "○ no verdict"
        band = UNKNOWN
    else:
        state = "▲ outside" if ratio.breached else "● inside"
        band = f"{share(ratio.lower)} to {share(ratio.upper)}"
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", state),
        numeric(share(ratio.ratio), "Ratio"),
        numeric(share(ratio.expected), "Usual"),
        numeric(band, "Band"),
        numeric(count(ratio.records), "Records"),
    )


def _lines(window: QualityWindow) -> Iterator[str]:
    for feature, codes in window.faults.items():
        said = ", ".join(f"{code} {count(records)}" for code, records in codes.items())
        yield f"Refused because of {feature}: {said}."
    if window.freshness is not None and window.freshness.p99_seconds > 1:
        ages = window.freshness
        yield (
            f"When written, half of the events were at most {span(ages.median_seconds)} old "
            f"and 99 of 100 at most {span(ages.p99_seconds)}."
        )
    compared = [row for row in window.agreement if row.compared]
    if compared:
        yield f"The model agrees with upstream: {', '.join(map(_agreement, compared))}."


def _agreement(row: Agreement) -> str:
    of = f"on {row.label}" if row.label else "in all"
    return f"{share(row.ratio)} {of} ({count(row.compared)})"


def _unseen(unseen: Sequence[UnseenValues]) -> Html:
    head = head_row(
        ("Unseen in", ""), ("Values", "num"), ("Events", "num"), ("Most frequent", "")
    )
    rows = (
        element(
            "tr",
            element("th", values.feature, scope="row"),
            numeric(f"about {count(round(values.distinct))}", "Values"),
            numeric(count(values.records), "Events"),
            element("td", _most_frequent(values)),
        )
        for values in unseen
    )
    return element("div", element("table", head, body_rows(rows)), class_="scroll")


def _most_frequent(values: UnseenValues) -> str:
    top = (f"{one.value!r} {count(one.records)}" for one in values.top[:_MOST_VALUES])
    return ", ".join(top)
