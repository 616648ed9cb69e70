"""What the catalogue says of a metric."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Section(StrEnum):
    """Headings of the reference."""

    RECORDS = "Records"
    DECISIONS = "Decisions"
    TIME = "Time"
    KAFKA = "Kafka"
    REGISTRY = "Schema registry"
    MODEL = "Model"
    WINDOWS = "Windows and drift"
    QUALITY = "Data quality and answers"
    PROCESS = "Process"


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """One metric. Equal to itself alone, so that it can be a key."""

    section: Section
    name: str
    """In full, as queries write it: with prefix, unit, and `_total` or `_info`."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    """Of the value, for people; empty for a plain flag or an offset."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, ascending, without infinity."""
    use: str = ""
    """What to do with it; only in the reference."""
