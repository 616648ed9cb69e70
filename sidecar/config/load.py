"""Reading a config file, and refusing it with everything that is wrong with it."""

from collections.abc import Mapping
from pathlib import Path

from sidecar.config.checks import CHECKS
from sidecar.config.convert import Converter
from sidecar.config.faults import Faults
from sidecar.config.interpolate import interpolate
from sidecar.config.parse import parse, refuse_odd_scalars
from sidecar.config.settings import SidecarSettings
from sidecar.errors import ConfigError, Finding


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
    faults = Faults()
    converter = Converter(faults, CHECKS, path.absolute().parent)
    try:
        tree = interpolate(parse(path, faults), environ, faults)
        settings: SidecarSettings = converter.convert(
            refuse_odd_scalars(tree, faults), SidecarSettings
        )
    except RecursionError:
        text = "is nested too deeply, or contains itself"
        raise ConfigError(str(path), [Finding("$", text, "make it flatter")]) from None
    if findings := faults.findings():
        raise ConfigError(str(path), findings)
    return settings
