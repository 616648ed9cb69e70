"""Finds and reads the tests of a config."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sidecar.config.case_checks import CHECKS
from sidecar.config.cases import Case, Suite
from sidecar.config.faults import Faults
from sidecar.config.load import load_section
from sidecar.errors import ConfigError, Finding

_EXTENSIONS = (".yaml", ".yml", ".toml", ".json")


class LoadedSuite(NamedTuple):
    """Tests, and where they stand."""

    path: Path
    tests: Sequence[Case]
    faults: Faults
    """Takes what does not fit the config, and knows the lines."""


def load_cases(path: Path, environ: Mapping[str, str]) -> LoadedSuite:
    """Read a file of tests.

    Args:
        path: A YAML, TOML or JSON file; the extension says which.
        environ: Variables for `${VAR}`, as in a config.

    Raises:
        ConfigError: With every fault of the file.
    """
    suite, faults = load_section(path, Suite, CHECKS, environ)
    return LoadedSuite(path, suite.tests, faults)


def cases_beside(config: Path) -> Path:
    """Find the tests of a config: `sidecar.test.yaml` for `sidecar.yaml`.

    Args:
        config: The config file; the tests may be in another format than it is.

    Raises:
        ConfigError: There is no such file.
    """
    beside = [
        config.with_name(f"{config.stem}.test{extension}")
        for extension in dict.fromkeys((config.suffix, *_EXTENSIONS))
    ]
    for path in beside:
        if path.exists():
            return path
    mend = "write it, or name another: `sidecar test CONFIG TESTS`"
    raise ConfigError(str(config), [Finding(str(beside[0]), "there are no tests", mend)])
