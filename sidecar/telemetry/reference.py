"""Writes `docs/metrics.md` from the catalogue.

python -m sidecar.telemetry.reference > docs/metrics.md
"""

import sys
from collections.abc import Iterable, Iterator
from typing import get_args

from sidecar.events import REASON_NAMES, SOURCE_NAMES, RejectCode, Stage
from sidecar.monitors.quality_snapshot import Check
from sidecar.monitors.snapshot import Method, Subject
from sidecar.telemetry import labels
from sidecar.telemetry.catalogue import CATALOGUE
from sidecar.telemetry.spec import Kind, Section, Spec

_HEAD = """\
# Metrics

<!-- Written by `python -m sidecar.telemetry.reference`; a test compares. -->

`/metrics` on the first HTTP listener gives all of these, as Prometheus text or as OpenMetrics,
whichever the scraper asks for.
Units are base units, shares run from 0 to 1, and labels come from closed lists.

One sum always holds, at every scrape, so that nothing can be lost unseen:

```text
  sidecar_records_received_total
= sum(sidecar_decisions_total) + sum(sidecar_records_rejected_total)
  + sidecar_tombstones_total + sidecar_records_joined_total + sum(sidecar_in_flight_records)
  + sidecar_records_returned_total
```

Drift scores have the most series. A watched number has 13 for each window, a category 11: the
scores of five or four methods, the critical values of all but the last, and for each severity
whether it drifts and how significant that is. Data quality adds up to 12 for each window. With
the default windows and the largest number of features that have series (100) that makes 7,500
at most, whatever the data. Hellinger distance and chi-square, which rank windows as `psi` does,
are in the status API alone, and so is what else is known of a score: its overdispersion, its
p-values.

`process_*` (memory, CPU, open files) and `python_gc_*` come from the Prometheus client library
and are as its documentation says.
"""

_FREE_LABELS = {
    "topic": "the events topic",
    "partition": "partitions assigned to this process; others have no series",
    "feature": "watched features of the bundle, at most 100; empty for a whole record",
    "label": "labels of the model; empty for all of them",
    "window": "`monitors.windows`, as the config writes them",
    "rule": "names of the fallback rules",
    "observer": "names of the observers",
}


def reference() -> str:
    """Give the reference of all metrics as Markdown."""
    lines = [_HEAD]
    for section in Section:
        lines += [f"## {section.value}", ""]
        for spec in CATALOGUE:
            if spec.section is section:
                lines += _entry(spec)
    lines += ["## Label values", "", "| label | values |", "| --- | --- |"]
    lines += [f"| {name} | {values} |" for name, values in _label_values()]
    return "\n".join(lines) + "\n"


def _entry(spec: Spec) -> Iterator[str]:
    yield f"### `{spec.name}`"
    yield ""
    facts = ["info" if spec.kind is Kind.INFO else spec.kind.value]
    if spec.unit:
        facts.append(spec.unit)
    if spec.labels:
        facts.append("by " + ", ".join(f"`{label}`" for label in spec.labels))
    yield "*" + "; ".join(facts) + "*"
    yield ""
    yield spec.help
    if spec.buckets:
        bounds = ", ".join(f"{bound:g}" for bound in spec.buckets)
        yield f"Buckets up to {bounds} and beyond."
    if spec.use:
        yield spec.use
    yield ""


def _label_values() -> list[tuple[str, str]]:
    refusing = [stage.value for stage in Stage]
    return [
        ("`source`", _code(SOURCE_NAMES)),
        ("`reason` of decisions", _code(REASON_NAMES)),
        ("`stage` of rejections", _code(refusing)),
        (
            "`reason` of rejections and of `sidecar_rejected_ratio`",
            _code(code.value for code in RejectCode),
        ),
        ("`stage` of durations", _code(labels.STAGES)),
        ("`reason` of pauses", _code(labels.PAUSE_REASONS)),
        ("`reason` of rebuilds", _code((*labels.REBUILD_REASONS, labels.OTHER))),
        ("`outcome`", _code(labels.MODEL_OUTCOMES.values())),
        ("`method`", _code(get_args(Method))),
        ("`subject`", _code(name for name in get_args(Subject) if name != "feature")),
        ("`check`", _code(get_args(Check))),
        ("`percentile`", _code(("50", "99"))),
        ("`level`", _code(labels.LOG_LEVELS)),
        *((f"`{name}`", meaning) for name, meaning in _FREE_LABELS.items()),
    ]


def _code(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    sys.stdout.write(reference())
