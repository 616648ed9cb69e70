"""What one sidecar says, in headings with a line each, the most urgent first."""

from collections.abc import Mapping

from sidecar.adapters.phrases import UNKNOWN, count, instant, share, span, times
from sidecar.monitors.snapshot import WindowSnapshot
from sidecar.telemetry.status import StatusView
from sidecar.top.layout import Fact, printable
from sidecar.top.reading import age_of, in_flight, judged_features, window_of
from sidecar.top.watch import Sighting

_MOST_NAMED = 4
_DIGEST = 12  # enough to tell models apart


def details(sighting: Sighting, now_s: float) -> list[Fact]:
    """Say everything about one sidecar; of one that is away, what it said last."""
    view = sighting.view
    said = why(sighting, now_s)
    if view is not None:
        rates, window = view.rates, window_of(view)
        said += [
            ("decisions", _by_share(rates.decisions)),
            ("dead letters", _by_share(rates.rejections)),
            ("lag", _lag(view)),
            (f"drift {window.window}" if window else "drift", _drift(window)),
            ("episodes", _episodes(view)),
            ("model", f"{_model(view)}, circuit {'open' if view.circuit_open else 'closed'}"),
            ("ages", f"last decision {_ago(view.last_decision_age_s)}, {_events(view)}"),
            ("process", f"{_process(view)}, status {age_of(sighting, now_s)} old"),
        ]
    return [(printable(heading), printable(line)) for heading, line in said]


def why(sighting: Sighting, now_s: float) -> list[Fact]:
    """Say why a sidecar is away, or its state no better."""
    if sighting.fault is not None:
        said = [("away", f"since {instant(sighting.fault_ms)}: {sighting.fault}")]
        if sighting.view is not None:
            said.append(("seen", f"{age_of(sighting, now_s)} ago, with these values"))
        return said
    if sighting.view is None:
        return [("why", "it has not answered yet")]
    return [("why", f"{each.code}: {each.message}") for each in sighting.view.reasons]


def _by_share(counts: Mapping[str, int]) -> str:
    whole = sum(counts.values())
    if not whole:
        return "none in the last minute"
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{name} {count(n)} ({share(n / whole)})" for name, n in largest[:_MOST_NAMED]]
    return ", ".join(named) + _more(len(largest)) + " in the last minute"


def _more(length: int) -> str:
    return f", {length - _MOST_NAMED} more" if length > _MOST_NAMED else ""


def _lag(view: StatusView) -> str:
    paused = sum(partition.paused for partition in view.partitions)
    return (
        f"{count(view.lag_records)} records, {span(view.lag_seconds)} behind, "
        f"{count(in_flight(view))} in flight, "
        f"{len(view.partitions)} partitions, {paused} paused"
    )


def _drift(window: WindowSnapshot | None) -> str:
    if window is None:
        return "the monitors have seen no events"
    judged = judged_features(window)
    if not judged:
        return "too few records for a verdict"
    drifting = [feature for feature in judged if feature.drifting]
    if not drifting:
        return f"none of {len(judged)} features"
    named = [f"{each.name} {times(each.severity)}" for each in drifting[:_MOST_NAMED]]
    return ", ".join(named) + _more(len(drifting))


def _episodes(view: StatusView) -> str:
    episodes = view.monitors.episodes if view.monitors else ()
    gravest = sorted(episodes, key=lambda each: (each.severity != "critical", each.since_ms))
    named = [f"{each.name} over {each.window} {each.severity}" for each in gravest]
    return ", ".join(named[:_MOST_NAMED]) + _more(len(named)) if named else "none"


def _model(view: StatusView) -> str:
    model = view.model
    return f"{model.name} {model.version}, {model.task}, {model.digest[:_DIGEST]}"


def _ago(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else f"{span(seconds)} ago"


def _events(view: StatusView) -> str:
    return f"newest event {_ago(view.data_age_s)}"


def _process(view: StatusView) -> str:
    up = span((view.now_ms - view.since_ms) / 1000)
    return f"sidecar {view.version}, up {up}, group {view.group}"
