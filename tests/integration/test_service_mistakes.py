"""What a user sees of mistakes: what is wrong, where, what to do, and exit code 2."""

import hashlib
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.brokers.kafka import free_port
from tests.integration.service import Sidecar, Topics, config_of

WRONG = 2
_END_S = 30.0
# Nobody listens there: a mistake must show before any broker is asked.
NOWHERE = Topics(f"127.0.0.1:{free_port()}", "credit")

FIVE_FAULTS = """\
kafka:
  bootstrap_servers: [127.0.0.1]
topics:
  events: credit events
model:
  bundle: {bundle}
  timeout: 500
monitors:
  panes: 1m
confidence:
  threshold: 1.5
"""


class Ended(NamedTuple):
    """What is left of a process that refused to run."""

    code: int
    text: str

    @property
    def findings(self) -> list[str]:
        """The numbered faults, without their mends."""
        return re.findall(r"^ +\d+\. (.*)$", self.text, re.MULTILINE)

    @property
    def mends(self) -> int:
        """How many of them say what to do."""
        return len(re.findall(r"^ +Mend: \S", self.text, re.MULTILINE))


Refused = Callable[..., Ended]


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Refused]:
    """Run a sidecar that must end by itself."""
    started: list[Sidecar] = []

    def run(config: dict[str, object] | str) -> Ended:
        sidecar = Sidecar(tmp_path / f"sidecar-{len(started)}", config)
        started.append(sidecar)
        return Ended(sidecar.ends(_END_S), sidecar.output)

    yield run
    for sidecar in started:
        sidecar.kill()
        assert "Traceback" not in sidecar.output


@pytest.fixture
def bundle(credit_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of the test's own, to spoil."""
    return Path(shutil.copytree(credit_bundle, tmp_path / "bundle"))


def test_every_fault_of_a_config_is_a_finding_with_its_line_and_its_mend(
    bundle: Path, refused: Refused
) -> None:
    ended = refused(FIVE_FAULTS.format(bundle=bundle))

    where = [re.match(r"(\S+): .*, line (\d+)$", finding) for finding in ended.findings]
    assert ended.code == WRONG
    assert [match and match.groups() for match in where] == [
        ("$.kafka.bootstrap_servers[0]", "2"),
        ("$.topics.events", "4"),
        ("$.model.timeout", "7"),
        ("$.monitors.panes", "9"),
        ("$.confidence.threshold", "11"),
    ]
    assert ended.mends == 5
    assert "5 faults" in ended.text


def test_a_config_that_is_no_yaml_is_one_finding_with_its_line(refused: Refused) -> None:
    ended = refused("name: credit\nkafka: [\n")

    (finding,) = ended.findings
    assert ended.code == WRONG
    assert re.search(r"line \d", finding)
    assert ended.mends == 1


def change_a_byte(bundle: Path) -> None:
    model = bundle / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)


def remove_a_file(bundle: Path) -> None:
    (bundle / "reference.json").unlink()


def answer_otherwise(bundle: Path) -> None:
    """Change what a golden row expects, with its digest, as somebody who cheats would."""
    golden, manifest = bundle / "golden.jsonl", bundle / "manifest.toml"
    content = golden.read_bytes()
    changed, swapped = re.subn(
        rb'"label":"(?:approve|decline)"', _other_label, content, count=1
    )
    assert swapped == 1
    golden.write_bytes(changed)
    before, after = (hashlib.sha256(each).hexdigest() for each in (content, changed))
    manifest.write_text(manifest.read_text().replace(before, after))


def _other_label(match: re.Match[bytes]) -> bytes:
    return b'"label":"decline"' if b"approve" in match[0] else b'"label":"approve"'


@pytest.mark.parametrize(
    ("spoil", "file", "words"),
    [
        pytest.param(change_a_byte, "model.onnx", "sha256", id="a byte is another"),
        pytest.param(remove_a_file, "reference.json", "No such file", id="a file is missing"),
        pytest.param(answer_otherwise, "golden.jsonl", "label", id="a golden row disagrees"),
    ],
)
def test_a_bundle_that_must_not_serve_is_refused_with_what_and_where(
    bundle: Path,
    refused: Refused,
    spoil: Callable[[Path], None],
    file: str,
    words: str,
) -> None:
    spoil(bundle)

    ended = refused(config_of(NOWHERE, bundle))

    (finding,) = ended.findings
    assert ended.code == WRONG
    assert str(bundle) in ended.text
    assert finding.startswith(file)
    assert words in finding
    assert ended.mends == 1


def test_a_port_that_is_taken_is_named(bundle: Path, refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = refused(config_of(NOWHERE, bundle, http={"metrics": f"127.0.0.1:{port}"}))

    (finding,) = ended.findings
    assert ended.code == WRONG
    assert (
        finding == f"$.http.metrics: cannot listen on 127.0.0.1:{port}: Address already in use"
    )
    assert ended.mends == 1
