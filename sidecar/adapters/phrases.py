"""Numbers as people read them. None, which means unknown, is a dash everywhere."""

from datetime import UTC, datetime

UNKNOWN = "–"  # noqa: RUF001 - an en dash is what a table shows for nothing
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def count(number: float | None) -> str:
    """Give a whole number with separators.

    Example:
        >>> count(1234567)
        '1,234,567'
    """
    return UNKNOWN if number is None else f"{number:,.0f}"


def rate(number: float) -> str:
    """Give a rate, exact where it is small.

    Example:
        >>> rate(0.4), rate(12345.6)
        ('0.4', '12,346')
    """
    return f"{number:,.1f}" if 0 < number < 10 else count(number)


def share(ratio: float | None) -> str:
    """Give a share as a percentage.

    Example:
        >>> share(0.1234), share(0.00004), share(0.0)
        ('12.3 %', '<0.1 %', '0 %')
    """
    if ratio is None:
        return UNKNOWN
    if ratio == 0:
        return "0 %"
    return "<0.1 %" if ratio < 0.001 else f"{100 * ratio:.1f} %"


def measure(value: float | None) -> str:
    """Give a drift score or its critical value.

    Example:
        >>> measure(0.12345), measure(12.3)
        ('0.123', '12.300')
    """
    return UNKNOWN if value is None else f"{value:.3f}"


def span(seconds: float | None) -> str:
    """Give a duration in its largest unit.

    Example:
        >>> span(0.25), span(42), span(5400), span(200_000)
        ('0.2 s', '42 s', '90 min', '2.3 d')
    """
    if seconds is None:
        return UNKNOWN
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < 2 * _DAY_S:
        return f"{seconds / _HOUR_S:.1f} h"
    return f"{seconds / _DAY_S:.1f} d"


def instant(ms: int | None) -> str:
    """Give a moment in UTC.

    Example:
        >>> instant(0)
        '1970-01-01 00:00:00 UTC'
    """
    if ms is None:
        return UNKNOWN
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
