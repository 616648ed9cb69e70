"""Small readings of a status that more than one view makes."""

from collections.abc import Mapping

from sidecar.adapters.phrases import UNKNOWN, span
from sidecar.events import SOURCE_NAMES
from sidecar.monitors.snapshot import SubjectDrift, WindowSnapshot
from sidecar.telemetry.labels import FALLBACKS
from sidecar.telemetry.status import StatusView
from sidecar.top.watch import Sighting

_FALLBACK_NAMES = frozenset(SOURCE_NAMES[source] for source in FALLBACKS)


def name_of(sighting: Sighting) -> str:
    """Give the name of a sidecar; its address while that is not known."""
    return sighting.target.name if sighting.view is None else sighting.view.name


def title_of(sighting: Sighting) -> str:
    """Give its name and where it is."""
    name, address = name_of(sighting), sighting.target.name
    return name if name == address else f"{name} at {address}"


def state_of(sighting: Sighting) -> str:
    """Give its state in a word: `away` when it does not answer, `asking` before it has."""
    if sighting.fault is not None:
        return "away"
    return "asking" if sighting.view is None else sighting.view.state


def age_of(sighting: Sighting, now_s: float) -> str:
    """Say how old its last status is."""
    return UNKNOWN if sighting.seen_s is None else span(max(0.0, now_s - sighting.seen_s))


def in_flight(view: StatusView) -> int:
    """Count the records read and without an acknowledged outcome."""
    return sum(partition.in_flight for partition in view.partitions)


def fallbacks(decisions: Mapping[str, int]) -> int:
    """Count the decisions of the fallback chain."""
    return sum(number for source, number in decisions.items() if source in _FALLBACK_NAMES)


# --- drift ---------------------------------------------------------------------------------


def window_of(view: StatusView, name: str | None = None) -> WindowSnapshot | None:
    """Give the window of that name; else the shortest that is ready, else the shortest."""
    windows = view.monitors.windows if view.monitors else ()
    ready = next((window for window in windows if window.ready), next(iter(windows), None))
    return next((window for window in windows if window.window == name), ready)


def features_of(window: WindowSnapshot) -> list[SubjectDrift]:
    """Give its features, the worst first."""
    features = (subject for subject in window.subjects if subject.subject == "feature")
    return sorted(features, key=lambda feature: (-feature.severity, feature.name))


def judged_features(window: WindowSnapshot | None) -> list[SubjectDrift]:
    """Give the features with a verdict, the worst first."""
    return [] if window is None else [each for each in features_of(window) if each.scores]
