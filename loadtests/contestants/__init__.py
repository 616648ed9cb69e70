"""Who runs in the load test. A new contestant is one entry here and one file beside it.

Each is started as a process of its own and is told by its environment what to do:
`BENCH_BROKERS`, `BENCH_GROUP`, `BENCH_EVENTS` (the topic that it reads), `BENCH_DECISIONS` and
`BENCH_DEAD_LETTERS` (that it writes), `BENCH_STATE` and `BENCH_SIGNALS` (compacted, for what is
not an answer), `BENCH_MODEL` (an ONNX file), `BENCH_BUNDLE` (a bundle of the same model),
`BENCH_METRICS` and `BENCH_ADMIN` (free local ports). It works until SIGTERM.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Contestant:
    """One program of the race."""

    name: str
    what: str
    """What it does, in a line of the report."""
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Put on top of the common variables."""
    config: Path | None = None
    """Its config file, for the report; the command names it too."""
    scraped: bool = False
    """Whether `/metrics` on `BENCH_METRICS` is read every five seconds, as in service."""


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"loadtests.contestants.{module}")


def _sidecar(config: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "sidecar", "run", str(HERE / config))


CONTESTANTS = (
    Contestant("copy", "bare copy loop: aiokafka, whole batches, uvloop", _python("copying")),
    Contestant(
        "tuned",
        "copy loop and the model: msgspec Structs, columns, one ONNX thread; nothing else",
        _python("tuned"),
    ),
    Contestant(
        "sidecar",
        "the product: rules, dead letters, quality, drift and metrics on, scraped",
        _sidecar("sidecar.yaml"),
        config=HERE / "sidecar.yaml",
        scraped=True,
    ),
)
