"""`docs/check.md`, made from the lists of checks: `python -m sidecar.app.checks.reference`.

What stands above the tables is `reference.md`, beside this file.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sidecar.app.checking import BUNDLE_FAULT, CLUSTER_NOT_ASKED, CONFIG_FAULT, FIT_FAULT
from sidecar.app.checks.check import Check, Severity
from sidecar.app.checks.cluster import CLUSTER_CHECKS
from sidecar.app.checks.config import CONFIG_CHECKS
from sidecar.app.checks.fit import FIT_CHECKS
from sidecar.app.checks.topics import TOPIC_CHECKS

_FRAME = Path(__file__).with_name("reference.md")

_FAULTS = (
    (CONFIG_FAULT, Severity.ERROR, "What `sidecar run` refuses in the config.", "as it says"),
    (
        BUNDLE_FAULT,
        Severity.ERROR,
        "What it refuses in the bundle: files, digests, graph, golden rows.",
        "as it says",
    ),
    (
        FIT_FAULT,
        Severity.ERROR,
        "What it refuses of the two together: rules and features against the signature, "
        "the threshold against the calibration.",
        "as it says",
    ),
)
_NOT_ASKED = (
    CLUSTER_NOT_ASKED,
    Severity.NOTE,
    "Which topics and group to ask about follows from a config or bundle at fault.",
    "mend these first",
)

_Row = tuple[str, Severity, str, str]


def reference() -> str:
    """Give the whole page as Markdown."""
    lines = [
        _FRAME.read_text(encoding="utf-8"),
        *_table("Faults", _FAULTS),
        *_table("The config", _rows(CONFIG_CHECKS)),
        *_table("The config beside its bundle", _rows(FIT_CHECKS)),
        *_table("The cluster", [*_rows(CLUSTER_CHECKS), _NOT_ASKED]),
        *_table("The topics", _rows(TOPIC_CHECKS)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _rows(checks: Sequence[Check[Any]]) -> Sequence[_Row]:
    return [(check.name, check.severity, check.what, check.mend) for check in checks]


def _table(title: str, rows: Sequence[_Row]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| check | severity | finds | mend |"
    yield "| --- | --- | --- | --- |"
    for name, severity, what, mend in rows:
        yield f"| `{name}` | {severity} | {what} | {mend} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(reference())
