"""Who runs in the load test. A new contestant is one entry here and one file beside it.

Each is started as a process of its own and is told by its environment what to do:
`BENCH_BROKERS`, `BENCH_GROUP`, `BENCH_EVENTS` (the topic that it reads), `BENCH_DECISIONS` and
`BENCH_DEAD_LETTERS` (that it writes), `BENCH_STATE` and `BENCH_SIGNALS` (compacted, for what is
not an answer), `BENCH_MODEL` (an ONNX file), `BENCH_BUNDLE` (a bundle of the same model),
`BENCH_METRICS` and `BENCH_ADMIN` (free local ports), `BENCH_FEATURES` (names, in the order of
the model) and `BENCH_SCRATCH` (a folder to make). It works until SIGTERM.
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
    requirements: Path | None = None
    """Locked requirements of an environment of its own, whose Python runs the command."""
    java: Path | None = None
    """A Maven project whose classes the command runs."""
    share: float = 1.0
    """How much of the records a run takes; a slow one would take all day for all of them."""


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"loadtests.contestants.{module}", *arguments)


def _sidecar(config: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "sidecar", "run", str(HERE / config))


def _java(main: str, *arguments: str) -> tuple[str, ...]:
    return ("java", "-Xmx512m", "-cp", CLASS_PATH, f"bench.{main}", *arguments)


CLASS_PATH = "CLASS_PATH"
"""Stands in a command for where the classes of its project are."""

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
"""What `make bench` runs."""

_REQUIREMENTS = HERE / "requirements"
_PROJECT = HERE / "java"

PEERS = (
    Contestant(
        "afternoon",
        "aiokafka, `json`, one run of the model and one `send` per record",
        _python("afternoon"),
        share=0.04,
    ),
    Contestant(
        "confluent",
        "confluent-kafka in batches of 500, the tuned loop's work",
        _python("confluent"),
        share=0.5,
    ),
    Contestant(
        "quix",
        "Quix Streams, a message at a time",
        _python("quix"),
        requirements=_REQUIREMENTS / "quix.txt",
        share=0.05,
    ),
    Contestant(
        "faststream",
        "FastStream, a message at a time",
        _python("faststream_each"),
        requirements=_REQUIREMENTS / "faststream.txt",
        share=0.008,
    ),
    Contestant(
        "faststream-batch",
        "FastStream in batches of 500, the tuned loop's work",
        _python("faststream_batch"),
        requirements=_REQUIREMENTS / "faststream.txt",
        share=0.1,
    ),
    Contestant(
        "bytewax",
        "Bytewax, a message at a time; no group, no commits",
        _python("bytewax_flows", "each"),
        requirements=_REQUIREMENTS / "bytewax.txt",
        share=0.08,
    ),
    Contestant(
        "bytewax-batch",
        "Bytewax in batches of up to 500, the tuned loop's work; no group, no commits",
        _python("bytewax_flows", "batch"),
        requirements=_REQUIREMENTS / "bytewax.txt",
        share=0.15,
    ),
    Contestant(
        "streams",
        "Kafka Streams and onnxruntime for Java, a record at a time",
        _java("Streams", "each"),
        java=_PROJECT,
        share=0.2,
    ),
    Contestant(
        "streams-batch",
        "Kafka Streams, 500 records gathered in a processor; what waits is committed",
        _java("Streams", "batch"),
        java=_PROJECT,
        share=0.5,
    ),
    Contestant(
        "java",
        "Java clients by hand: a batch per poll, streaming parser, one ONNX thread",
        _java("Loop"),
        java=_PROJECT,
    ),
)
"""Other ways to do the same job, which `make bench-peers` adds."""
