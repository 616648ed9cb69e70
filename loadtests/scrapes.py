"""What a running sidecar says of itself, read as Prometheus reads it."""

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from sidecar.clock import SystemClock

_STAGE_SUM = "sidecar_stage_duration_seconds_sum"
_LOOP_LAG = "sidecar_event_loop_lag_seconds"
_OUTCOMES = {
    "sidecar_decisions_total": ("source", "reason"),
    "sidecar_records_rejected_total": ("stage", "reason"),
}
"""Counters of what became of records, and the labels that tell."""
_LONGEST_S = 5.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape."""

    took_s: float = 0.0
    """From the request to the last byte."""
    loop_lag_s: float = 0.0
    """Its gauge: the longest delay of the event loop of late."""
    stages_s: Mapping[str, float] = field(default_factory=dict)
    """Sums of its stage timers."""
    answers: Mapping[str, float] = field(default_factory=dict)
    """Share of each source and each rejecting stage, with the reason."""


UNSEEN = Scrape()
"""Of what is not scraped, or not yet."""


def scrape(url: str) -> Scrape:
    """Read the metrics once."""
    clock = SystemClock()
    began = clock.monotonic()
    with urllib.request.urlopen(url, timeout=_LONGEST_S) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    return parsed(text, clock.monotonic() - began)


def parsed(text: str, took_s: float) -> Scrape:
    """Take what counts here from the text of a scrape."""
    stages: dict[str, float] = {}
    outcomes: dict[str, float] = {}
    lag = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == _STAGE_SUM:
                stages[sample.labels["stage"]] = sample.value
            elif sample.name == _LOOP_LAG:
                lag = sample.value
            elif (labels := _OUTCOMES.get(sample.name)) and sample.value:
                name = " ".join(sample.labels[label] for label in labels)
                outcomes[name] = outcomes.get(name, 0.0) + sample.value
    every = sum(outcomes.values())
    shares = {name: count / every for name, count in outcomes.items()}
    return Scrape(took_s, lag, stages, shares)
