"""What live windows show of how they differ, where the bundle does not know it."""

from collections.abc import Iterator, Sequence

import numpy as np

from sidecar.config.settings import MonitorSettings
from sidecar.monitors.alerts import LearnedFactors
from sidecar.monitors.reference import Reference
from sidecar.monitors.windows import RollingWindows
from sidecar.stats.overdispersion import Overdispersion, overdispersion

_DAY_MS = 86_400_000
# As for windows of the reference: with 10 the factor is uncertain by 15 %.
_FEWEST = 10


def learning_span_ms(settings: MonitorSettings) -> int:
    """Give how much event time is looked at: a day, or what the longest window holds.

    It is more than a day where ten of the shortest windows do not fit into one.
    """
    lengths = [length.ms for length in settings.windows]
    return min(max(_DAY_MS, _FEWEST * min(lengths)), max(lengths))


def learned_factors(
    windows: RollingWindows,
    reference: Reference,
    settings: MonitorSettings,
    lengths_ms: Sequence[int],
) -> tuple[LearnedFactors, ...]:
    """Measure the overdispersion of windows of some lengths within the span.

    Each window is compared with the rest of the span, not with the reference: what is shifted
    all the time is drift and must not pass for what is usual. A window that does not fit ten
    times into the span is taken to differ as a tenth of the span does.

    Args:
        windows: They must hold the whole span.
        reference: How counts are merged.
        settings: The panes, and how many records a window needs.
        lengths_ms: Of the windows.

    Returns:
        One entry for each length of which ten windows had enough records.
    """
    found: list[LearnedFactors] = []
    for length_ms in lengths_ms:
        for step_ms in _steps(settings, length_ms):
            shown = _overdispersion(windows, reference, settings, step_ms)
            if shown is not None:
                factors = tuple(round(factor, 4) for factor in shown.factors.tolist())
                found.append(LearnedFactors(length_ms, shown.windows, factors))
                break
    return tuple(found)


def _steps(settings: MonitorSettings, length_ms: int) -> Iterator[int]:
    """Give the lengths to try: its own, then longer ones, as it grows where events are few."""
    pane_ms = settings.pane.ms
    most = learning_span_ms(settings) // _FEWEST // pane_ms
    step = max(1, min(length_ms // pane_ms, most))
    while step < most:
        yield step * pane_ms
        step *= 2
    yield max(1, most) * pane_ms


def _overdispersion(
    windows: RollingWindows, reference: Reference, settings: MonitorSettings, step_ms: int
) -> Overdispersion | None:
    """Measure windows of one length; None where too few have enough records."""
    rows = windows.in_row(step_ms, learning_span_ms(settings) // step_ms)
    enough = np.flatnonzero(windows.records(rows) >= settings.min_records)
    if len(enough) < _FEWEST:
        return None
    one = reference.stack()
    cells = rows[enough][:, : one.cells.size]
    current = np.array([one.to_groups(row) for row in cells])
    return overdispersion([(current.sum(axis=0) - current, current)], one.groups)
