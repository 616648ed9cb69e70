"""`sidecar dlq`: what is refused before anything is connected, and what its help says."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli.main import cli

# Nobody listens on port 1, and nothing may be asked of it here.
CONFIG = """
name: credit
kafka: {bootstrap_servers: ["127.0.0.1:1"]}
topics: {events: credit.events}
model: {bundle: nowhere}
"""
SCREEN = 40


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["dlq", *map(str, args)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "sidecar.yaml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("command", ["list", "replay"])
@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--since", "yesterday", "Mend: write `2026-03-01T09:30:00Z`, or `2h`"),
        ("--until", "2026-03-01", "Mend: write `2026-03-01T09:30:00Z`, or `2h`"),
        ("--after", "17", "Mend: write `3:17`"),
        ("--key", "hex:xy", "Mend: write `hex:00ff`"),
        ("--code", "wrong", "'wrong' is not one of 'too_large'"),
        ("--limit", "0", "0 is not in the range"),
    ],
)
def test_a_wrong_filter_is_refused(
    config: Path, command: str, option: str, text: str, words: str
) -> None:
    result = run(command, config, option, text)

    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("option", "text"), [("--rate", "0"), ("--rate", "fast"), ("--max-attempts", "0")]
)
def test_a_pace_that_is_none_is_refused(config: Path, option: str, text: str) -> None:
    assert run("replay", config, option, text).exit_code == 2


def test_a_place_that_is_none_is_refused(config: Path) -> None:
    result = run("show", config, "17")

    assert result.exit_code == 2
    assert "PARTITION:OFFSET: `17` is no place" in result.stderr


def test_the_bundle_is_named_when_the_config_has_no_name_and_it_is_missing(
    config: Path,
) -> None:
    config.write_text(CONFIG.replace("name: credit\n", ""))
    result = run("list", config)

    assert result.exit_code == 2
    assert "nowhere" in result.stderr


@pytest.mark.parametrize("command", ["list", "show", "replay"])
def test_help_fits_one_screen(command: str) -> None:
    assert len(run(command, "--help").output.splitlines()) <= SCREEN
