"""kcat, the command-line client of librdkafka, as a writer and reader of topics."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.service import Output, Topics

_LIMIT_S = 30.0
# Sizes first, and so the bytes may be any; -1 is the size of what is not there.
_LAYOUT = "%p %o %T %K %S\n%k%s"


def _kcat(topics: Topics, *arguments: str) -> bytes:
    """Run kcat on the broker of the topics; give what it prints."""
    found = shutil.which("kcat")
    if found is None:
        pytest.skip("kcat is not installed: Debian's package has that name")
    done = subprocess.run(
        [found, "-q", "-b", topics.bootstrap, *arguments], capture_output=True, timeout=_LIMIT_S
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def write(
    topics: Topics,
    file: Path,
    *,
    partition: int,
    key: str = "",
    headers: Mapping[str, str] | None = None,
) -> None:
    """Write the content of a file as one event; an empty one as a tombstone."""
    said = [f"-H{name}={text}" for name, text in (headers or {}).items()]
    where = ("-t", topics.events, "-p", str(partition), *(("-k", key) if key else ()))
    _kcat(topics, "-P", *where, *said, "-Z", str(file))


def write_lines(topics: Topics, file: Path) -> None:
    """Write each line of a file as an event."""
    _kcat(topics, "-P", "-t", topics.events, "-l", str(file))


def read(topics: Topics, topic: str) -> list[Output]:
    """Read a topic up to its end: by partition, each in order."""
    whole = ("-C", "-t", topic, "-o", "beginning", "-e")
    # It writes bytes of keys and values into its JSON as they are.
    lines = _kcat(topics, *whole, "-J").decode(errors="replace").split("\n")[:-1]
    flat = {
        (said["partition"], said["offset"]): said.get("headers", [])
        for said in map(json.loads, lines)
    }
    rest, found = _kcat(topics, *whole, "-f", _LAYOUT), []
    while rest:
        line, _, rest = rest.partition(b"\n")
        partition, offset, timestamp_ms, *sizes = map(int, line.split())
        (key, rest), names = _split(rest, sizes[0]), flat[partition, offset]
        value, rest = _split(rest, sizes[1])
        headers = tuple(
            (name, text if text is None else text.encode())
            for name, text in zip(names[::2], names[1::2], strict=True)
        )
        found.append(Output(partition, offset, key, value, headers, timestamp_ms))
    return sorted(found, key=lambda record: record[:2])


def _split(raw: bytes, size: int) -> tuple[bytes | None, bytes]:
    return (None, raw) if size < 0 else (raw[:size], raw[size:])
