"""Kafka's own commands, as they are in its releases: `kafka-topics.sh` and `kafka-acls.sh`.

Their jars come from Maven Central once, into `.cache/kafka-commands-<version>`.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.brokers.kafka import VERSION, CannotRunError

_HERE = Path(__file__).parent
_CACHE = _HERE.parent.parent / ".cache" / f"kafka-commands-{VERSION}"
_CLASSES = {"kafka-topics.sh": "TopicCommand", "kafka-acls.sh": "AclCommand"}


def commands(folder: Path) -> Path:
    """Write the commands into a folder, and give it: it belongs into `PATH`.

    Raises:
        CannotRunError: No Java, or no Maven and no jars.
    """
    if shutil.which("java") is None:
        raise CannotRunError("Kafka's commands need Java 17 or later; none found")
    if not _CACHE.exists():
        _fetch()
    folder.mkdir(parents=True, exist_ok=True)
    for name, main in _CLASSES.items():
        java = f"java -Xshare:auto -XX:TieredStopAtLevel=1 -cp '{_CACHE}/*'"
        (folder / name).write_text(
            f'#!/bin/sh\nexec {java} org.apache.kafka.tools.{main} "$@"\n'
        )
        (folder / name).chmod(0o755)
    return folder


def _fetch() -> None:
    if shutil.which("mvn") is None:
        raise CannotRunError("Maven is needed to fetch Kafka's commands")
    # Filled beside its place and moved there whole: an interrupted fetch leaves nothing.
    filling = _CACHE.with_name(f"{_CACHE.name}.{os.getpid()}")
    pom = _HERE / "tools" / "pom.xml"
    command = [
        *("mvn", "-q", "-B", "-f", str(pom), f"-Dkafka.version={VERSION}"),
        *("dependency:copy-dependencies", "-DincludeScope=runtime"),
        f"-DoutputDirectory={filling}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRunError(f"Maven could not fetch Kafka's commands:\n{done.stdout[-2000:]}")
    if not _CACHE.exists():
        filling.rename(_CACHE)
