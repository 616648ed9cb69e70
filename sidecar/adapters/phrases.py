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


def digits(value: float | None) -> str:
    """Give a score with three digits that count.

    Example:
        >>> digits(0.0012345), digits(1.8764), digits(999.7), digits(12345.0), digits(3e-7)
        ('0.00123', '1.88', '1,000', '12,345', '<0.0001')
    """
    if value is None:
        return UNKNOWN
    if 0 < value < 0.0001:
        return "<0.0001"
    return count(value) if abs(value) >= 999.5 else f"{value:.3g}"


def probability(p: float | None) -> str:
    """Give a chance; what is very small is never shown as none.

    Example:
        >>> probability(0.0123), probability(0.0)
        ('0.0123', '<0.0001')
    """
    return "<0.0001" if p is not None and p < 0.0001 else digits(p)


def times(factor: float) -> str:
    """Give a multiple.

    Example:
        >>> [times(each).split()[0] for each in (1.26, 52.7, 1234.0)]
        ['1.3', '53', '1,234']
    """
    number = f"{factor:.1f}" if factor < 10 else count(factor)
    return f"{number} \N{MULTIPLICATION SIGN}"


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


def minute(ms: int | None) -> str:
    """Give a moment in UTC, to the second only where it is not a whole minute.

    Example:
        >>> minute(0), minute(61_000)
        ('1970-01-01 00:00 UTC', '1970-01-01 00:01:01 UTC')
    """
    return instant(ms).replace(":00 UTC", " UTC")
