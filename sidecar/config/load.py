"""Reading a config file, and refusing it with everything that is wrong with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from sidecar.config.checks import CHECKS
from sidecar.config.convert import Check, Converter
from sidecar.config.faults import Faults
from sidecar.config.interpolate import interpolate
from sidecar.config.parse import parse, refuse_odd_scalars
from sidecar.config.settings import SidecarSettings
from sidecar.errors import ConfigError, Finding

Section = TypeVar("Section", bound=Struct)


def load_settings(path: Path, environ: Mapping[str, str]) -> SidecarSettings:
    """Read a config file.

    Relative paths in it start at its own folder and come out absolute. Names that depend on
    the bundle are still open: see `defaults.resolve`.

    Args:
        path: A YAML, TOML or JSON file; the extension says which.
        environ: Variables for `${VAR}`, normally `os.environ`. Secrets are not looked up here.

    Returns:
        Settings without a fault.

    Raises:
        ConfigError: With every fault of the file, in its order; or with the one syntax error
            that hides the rest. A clash between settings shows when each of them is sound.
    """
    return load_section(path, SidecarSettings, CHECKS, environ)[0]


def load_section(
    path: Path,
    section: type[Section],
    checks: Mapping[type[Struct], Sequence[Check]],
    environ: Mapping[str, str],
) -> tuple[Section, Faults]:
    """Read any file that is written as the config is.

    Args:
        path: A YAML, TOML or JSON file; the extension says which.
        section: What the whole file holds.
        checks: Rules by type of section.
        environ: Variables for `${VAR}`.

    Returns:
        What the file says, and its lines for whoever finds more faults in it.

    Raises:
        ConfigError: As `load_settings`.
    """
    faults = Faults()
    converter = Converter(faults, checks, path.absolute().parent)
    try:
        tree = interpolate(parse(path, faults), environ, faults)
        settings: Section = converter.convert(refuse_odd_scalars(tree, faults), section)
    except RecursionError:
        text = "is nested too deeply, or contains itself"
        raise ConfigError(str(path), [Finding("$", text, "make it flatter")]) from None
    if findings := faults.findings():
        raise ConfigError(str(path), findings)
    return settings, faults
