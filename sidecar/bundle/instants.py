"""The time column of the reference rows, as Unix milliseconds."""

from datetime import UTC, datetime

import numpy as np

from sidecar.bundle.tables import Column
from sidecar.errors import Finding, UserError
from sidecar.events import Float64Column

# What `datetime` can write: the years 1 to 9999.
_EARLIEST_MS, _LATEST_MS = -62_135_596_800_000, 253_402_300_799_999


def instants(name: str, column: Column) -> Float64Column:
    """Read a column of times.

    Args:
        name: Of the column, for errors.
        column: Whole numbers are Unix milliseconds, texts are RFC 3339 or a date; UTC where
            they have no offset.

    Returns:
        Unix milliseconds, NaN where the time is missing.

    Raises:
        UserError: A value is no instant.

    Example:
        >>> times = Column(None, None, ["2026-03-01", None, "2026-03-01T01:00:00+01:00"])
        >>> instants("time", times).tolist()
        [1772323200000.0, nan, 1772323200000.0]
    """
    if column.numbers is not None:
        times = column.numbers
    else:
        # Rows of one day, or of one batch, often share their time: each text is read once.
        texts = column.texts()
        read = {text: _instant(text) for text in dict.fromkeys(texts)}
        times = np.array([read[text] for text in texts], np.float64)
    there = times[~np.isnan(times)]
    if there.size and (there.min() < _EARLIEST_MS or there.max() > _LATEST_MS):
        row = int(np.flatnonzero((times < _EARLIEST_MS) | (times > _LATEST_MS))[0])
        found = column.texts()[row]
        message = f"row {row + 1} of `{name}` holds `{found}`, which is no instant"
        mend = "write RFC 3339, a date, or milliseconds since 1970; or leave --time out"
        raise UserError("the reference rows have no time", [Finding("--time", message, mend)])
    return times


def _instant(text: str | None) -> float:
    """Give NaN for nothing, infinity for nonsense."""
    if text is None:
        return np.nan
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return np.inf
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return float(round(aware.timestamp() * 1000))
