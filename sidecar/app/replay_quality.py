"""What a replay found about data quality and answers, as text for a terminal."""

from collections.abc import Iterator, Sequence

from sidecar.monitors.quality_snapshot import (
    Agreement,
    QualityRatio,
    QualitySnapshot,
    QualityWindow,
    UnseenValues,
)

_MOST_ROWS = 20
_MOST_VALUES = 5


def describe_quality(snapshot: QualitySnapshot) -> str:
    """Say which shares left their bands, what is at fault, and what was unseen.

    Args:
        snapshot: The windows at the end; nothing is said of those without records.
    """
    windows = [window for window in snapshot.windows if window.records]
    if not windows:
        return ""
    found = [(ratio, window) for window in windows for ratio in window.breached]
    found.sort(key=lambda pair: -_excess(pair[0]))
    verdict = "every share is in its band"
    if not any(window.ready for window in windows):
        verdict = "no verdict, the records are too few"
    elif found:
        verdict = f"{len(found)} outside their band"
    head = ("  share", "window", "records", "ratio", "usual", "lower", "upper")
    more = len(found) - _MOST_ROWS
    return "\n".join(
        (
            f"Quality, in the same windows: {verdict}",
            *aligned(head, [_row(*pair) for pair in found[:_MOST_ROWS]]),
            *([f"  and {more} more"] if more > 0 else ()),
            *_of_longest(windows[-1]),
            *(line for unseen in snapshot.unseen if (line := _unseen(unseen))),
        )
    )


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table: the first column to the left, the others to the right.

    Returns:
        No lines, not even the head, without rows.
    """
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            (name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])),
        )
        for name, *cells in (head, *rows)
    ]


def _excess(ratio: QualityRatio) -> float:
    """Give how far a share lies outside its band."""
    below = 0.0 if ratio.lower is None else ratio.lower - ratio.ratio
    above = 0.0 if ratio.upper is None else ratio.ratio - ratio.upper
    return max(below, above)


def _row(ratio: QualityRatio, window: QualityWindow) -> tuple[str, ...]:
    shares = (ratio.ratio, ratio.expected, ratio.lower, ratio.upper)
    return (
        f"  {ratio.check}{f' {ratio.feature}' if ratio.feature else ''}",
        window.window,
        f"{ratio.records:,}",
        *("" if share is None else f"{share:.2%}" for share in shares),
    )


def _of_longest(window: QualityWindow) -> Iterator[str]:
    for feature, codes in window.faults.items():
        said = ", ".join(f"{code} {records:,}" for code, records in codes.items())
        yield f"  refused because of {feature} in {window.window}: {said}"
    if window.freshness is not None and window.freshness.p99_seconds > 1:
        ages = window.freshness
        yield (
            f"  events were {ages.median_seconds:,.1f} s old in the median when written, "
            f"1 in 100 more than {ages.p99_seconds:,.1f} s"
        )
    compared = [row for row in window.agreement if row.compared]
    if compared:
        yield f"  the model agrees with upstream: {', '.join(map(_agreement, compared))}"


def _agreement(row: Agreement) -> str:
    of = f"on {row.label}" if row.label else "in all"
    return f"{row.agreed / row.compared:.1%} {of} ({row.compared:,})"


def _unseen(unseen: UnseenValues) -> str:
    if not unseen.records:
        return ""
    top = ", ".join(f"{one.value!r} {one.records:,}" for one in unseen.top[:_MOST_VALUES])
    return (
        f"  unseen in {unseen.feature}: about {unseen.distinct:,.0f} values in "
        f"{unseen.records:,} events; {top}"
    )
