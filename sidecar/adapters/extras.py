"""What the extras of this package bring, found without an import."""

from collections.abc import Iterable
from importlib.util import find_spec


def not_installed(packages: Iterable[str]) -> list[str]:
    """Name those of the packages that are not installed."""
    return [name for name in packages if not _is_there(name)]


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):  # of the package that it is in; a blocked one
        return False
