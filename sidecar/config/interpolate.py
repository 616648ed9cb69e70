"""`${VAR}` and `${VAR:-default}` in the values of a config.

It happens after parsing and on scalars only, so what a variable holds can never add a key.
"""

import re
from collections.abc import Mapping

from sidecar.config.faults import FAULTY, Faults
from sidecar.config.tree import map_scalars

_REFERENCE = re.compile(
    r"""
      \$\$                                              # a literal `$`
    | \$\{ (?P<name>[A-Za-z_][A-Za-z0-9_]*) (:-(?P<default>[^{}]*))? \}
    | (?P<broken>\$\{)
    """,
    re.VERBOSE,
)


class Substituted(str):
    """A scalar that was one whole `${VAR}`: where a number belongs, it is read as one."""

    __slots__ = ()


def interpolate(tree: object, environ: Mapping[str, str], faults: Faults) -> object:
    """Put in the values of environment variables.

    As in a shell, the default stands in for a variable that is unset or empty. `$$` writes a
    single `$`. What a variable holds is not looked at again.

    Args:
        tree: Maps, lists and scalars.
        environ: The variables.
        faults: Takes variables that are not set and have no default.

    Returns:
        The same tree with other scalars: `Substituted` for one that was a variable alone,
        `FAULTY` for one that could not be filled.
    """
    return map_scalars(tree, lambda path, value: _fill(path, value, environ, faults))


def _fill(path: str, value: object, environ: Mapping[str, str], faults: Faults) -> object:
    if not isinstance(value, str) or "$" not in value:
        return value

    texts = [_text(path, match, environ, faults) for match in _REFERENCE.finditer(value)]
    if None in texts:
        return FAULTY
    whole = _REFERENCE.fullmatch(value)
    if whole and whole["name"]:
        return Substituted(texts[0])
    rest = iter(texts)
    return _REFERENCE.sub(lambda _: next(rest) or "", value)


def _text(
    path: str, reference: re.Match[str], environ: Mapping[str, str], faults: Faults
) -> str | None:
    """Give what stands in for one reference; None when there is nothing, which is noted."""
    name, default = reference["name"], reference["default"]
    if reference["broken"]:
        mend = "write `${NAME}` or `${NAME:-default}`, or `$$` for a literal `$`"
        faults.add(path, "`${` does not begin a variable here", mend)
        return None
    if not name:
        return "$"
    text = environ.get(name)
    if default is not None:
        return text or default
    if text is None:
        mend = f"set it, or write `${{{name}:-default}}`"
        faults.add(path, f"the variable `{name}` is not set", mend)
    return text
