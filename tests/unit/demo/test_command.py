"""The command `sidecar demo` before anything runs."""

import sys

import pytest
from click.testing import CliRunner

from sidecar.cli.main import cli


def test_a_missing_extra_is_named_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)

    result = CliRunner().invoke(cli, ["demo"])

    assert result.exit_code == 2
    assert result.output == (
        "Error: the demo: 1 fault\n"
        "  1. rich: the package is not installed\n"
        "     Mend: install this package with its extra `demo`, "
        "or run `make demo` in a checkout\n"
    )


def test_help_comes_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("confluent_kafka", "pyarrow", "rich"):
        monkeypatch.setitem(sys.modules, package, None)

    result = CliRunner().invoke(cli, ["demo", "--help"])

    assert result.exit_code == 0
    assert "sidecar demo --serve" in result.output
