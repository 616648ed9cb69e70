"""`sidecar demo` as a user runs it: a process of its own, to its end."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.config.load import load_settings
from sidecar.demo.incidents import INCIDENTS, Incident

pytestmark = [pytest.mark.mock_kafka, pytest.mark.slow, pytest.mark.timeout(150)]


@dataclass(frozen=True)
class Run:
    """A demo that has ended."""

    exit_code: int
    output: str
    errors: str
    kept: Path

    def number(self, word: str) -> int:
        """The number before a word of the summary."""
        match = re.search(rf"([\d,]+) {word}", self.output)
        assert match is not None, self.output
        return int(match[1].replace(",", ""))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    kept = tmp_path_factory.mktemp("demo") / "kept"
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "demo", "--seconds", "30", "--keep", str(kept)],
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr, kept)


def test_it_ends_well_and_says_nothing_on_the_side(run: Run) -> None:
    assert (run.exit_code, run.errors) == (0, ""), run.output


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda incident: incident.title)
def test_each_incident_begins_and_is_seen_after_that(run: Run, incident: Incident) -> None:
    begun = run.output.index(f"INCIDENT: {incident.title}")

    assert run.output.index(f"SEEN: {incident.title}") > begun


def test_every_record_has_one_outcome(run: Run) -> None:
    outcomes = [run.number(word) for word in ("decided", "rejected", "tombstones")]

    assert run.number("sent") == run.number("received") == sum(outcomes)
    assert run.number("decisions with") == run.number("ids") == outcomes[0]
    assert run.number("dead letters \\(") == outcomes[1]


def test_dead_letters_come_under_the_code_of_their_fault(run: Run) -> None:
    summary = " ".join(run.output[run.output.index("Read back:") :].split())

    for code in (
        "invalid_utf8",
        "malformed_json",
        "missing_field",
        "unknown_model",
        "wrong_type",
    ):
        assert f"{code} 6" in summary


def test_what_is_kept_is_a_config_that_runs_elsewhere(run: Run) -> None:
    settings = load_settings(run.kept / "sidecar.yaml", {"DEMO_KAFKA": "broker-1:9092"})

    assert settings.kafka.bootstrap_servers == ["broker-1:9092"]
    assert settings.model.bundle == run.kept / "employment" / "1"
    assert settings.model.bundle.is_dir()


def test_the_log_has_the_failing_model_as_its_only_error(run: Run) -> None:
    lines = [json.loads(line) for line in (run.kept / "sidecar.log").read_text().splitlines()]

    loud = {line["event"] for line in lines if line["level"] not in ("info", "warning")}
    assert loud == {"circuit_opened"}
    assert lines[0]["event"] == "sidecar_started"
    assert lines[-1]["event"] == "sidecar_stopped"
