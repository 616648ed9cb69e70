"""Looks at the running sidecar from outside: its status API and its metrics, over HTTP."""

from typing import NamedTuple
from urllib.request import urlopen

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from sidecar.telemetry.catalogue import (
    DECISIONS,
    MODEL_CALLS,
    RECORDS_RECEIVED,
    RECORDS_REJECTED,
    RULE_DECISIONS,
    TOMBSTONES,
)
from sidecar.telemetry.spec import Spec
from sidecar.telemetry.status import StatusView

_TIMEOUT_S = 5.0


class Counts(NamedTuple):
    """The counters of the sidecar, as `/metrics` shows them, since its start."""

    received: int
    tombstones: int
    decisions: dict[str, int]
    """By source."""
    rejections: dict[str, int]
    """By reject code."""
    rules: dict[str, int]
    """Decisions by the rule that gave them."""
    model_calls: dict[str, int]
    """By outcome: `answered`, `error`, `timeout`."""

    @property
    def decided(self) -> int:
        """All decisions."""
        return sum(self.decisions.values())

    @property
    def rejected(self) -> int:
        """All dead letters."""
        return sum(self.rejections.values())

    @property
    def settled(self) -> int:
        """Records with an outcome."""
        return self.decided + self.rejected + self.tombstones


class Reading(NamedTuple):
    """One look."""

    status: StatusView
    counts: Counts

    @property
    def event_time_ms(self) -> int | None:
        """Newest event that the windows hold."""
        monitors = self.status.monitors
        return None if monitors is None else monitors.newest_event_time_ms


class Probe:
    """Asks one sidecar."""

    def __init__(self, *, metrics_url: str, status_url: str) -> None:
        """Say where it is.

        Args:
            metrics_url: Of `/metrics`.
            status_url: Of the status page; the API is below it.
        """
        self._metrics_url = metrics_url
        self._api_url = f"{status_url}api/v1/status"
        self._decoder = msgspec.json.Decoder(StatusView)

    def read(self) -> Reading:
        """Look once.

        Raises:
            OSError: Nobody answers.
        """
        status = self._decoder.decode(_get(self._api_url))
        return Reading(status, read_counts(_get(self._metrics_url).decode()))


def _get(url: str) -> bytes:
    with urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  http, on loopback
        body: bytes = answer.read()
        return body


def read_counts(exposition: str) -> Counts:
    """Pick the counters out of an exposition in the text format of Prometheus."""
    samples = [
        sample
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    ]

    def by(spec: Spec, label: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for sample in samples:
            if sample.name == spec.name and sample.value:
                name = sample.labels.get(label, "")
                counts[name] = counts.get(name, 0) + int(sample.value)
        return counts

    return Counts(
        received=sum(by(RECORDS_RECEIVED, "").values()),
        tombstones=sum(by(TOMBSTONES, "").values()),
        decisions=by(DECISIONS, "source"),
        rejections=by(RECORDS_REJECTED, "reason"),
        rules=by(RULE_DECISIONS, "rule"),
        model_calls=by(MODEL_CALLS, "outcome"),
    )
