"""Which sidecars are watched: addresses as a user gives them, and those of configs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.config.load import load_settings
from sidecar.config.values import Address, Secret
from sidecar.errors import Finding, UserError

STATUS_PATH = "/api/v1/status"
# What listens on all addresses of a host is asked on its loopback.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_HOW = "write `HOST:PORT`, or a URL that begins with http:// or https://"


@dataclass(frozen=True, slots=True)
class Target:
    """One admin listener."""

    name: str
    """How it is shown."""
    url: str
    """Where its status is."""
    token: str | None = field(default=None, repr=False)


def parse_target(text: str, token: str | None = None) -> Target:
    """Read an address.

    Args:
        text: `HOST:PORT`, or a URL; what stands before `/api` in its path is kept.
        token: What is shown to it, if it asks.

    Raises:
        UserError: It is neither.

    Example:
        >>> parse_target("127.0.0.1:9465").url
        'http://127.0.0.1:9465/api/v1/status'
        >>> parse_target("https://host/credit/").url
        'https://host/credit/api/v1/status'
    """
    base = text if "://" in text else f"http://{_address(text)}"
    try:
        parts = urlsplit(base)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise _fault(text, str(error)) from None
    if "@" in parts.netloc:
        raise _fault(f"{parts.scheme}://...@{parts.hostname}", "a URL must not hold a password")
    written = base.isascii() and base.isprintable() and " " not in base
    if not known or not written or parts.query or parts.fragment:
        raise _fault(text, "this is no address of a sidecar")
    path = parts.path.rstrip("/").removesuffix(STATUS_PATH)
    base = f"{parts.scheme}://{parts.netloc}{path}"
    return Target(base if "://" in text else parts.netloc, base + STATUS_PATH, token)


def _address(text: str) -> str:
    try:
        if "/" not in text and "@" not in text:
            return str(Address.parse(text))
    except ValueError:
        pass
    raise _fault(text, "this is no address of a sidecar")


def target_of(config: Path, environ: Mapping[str, str], token: str | None = None) -> Target:
    """Give the admin listener of a config.

    Args:
        config: The config file of a sidecar on this host.
        environ: Variables for the config and its token.
        token: What is shown to it instead of the token that the config names.

    Raises:
        UserError: The config has faults, its port is chosen at the start, or the token cannot
            be read.
    """
    http = load_settings(config, environ).http
    if not http.admin.port:
        mend = "give the address that the log of the running sidecar names"
        raise UserError(str(config), [Finding("$.http.admin", "its port is 0", mend)])
    if token is None and http.admin_token is not None:
        token = read_token(http.admin_token, str(config), environ)
    host = _ANYWHERE.get(http.admin.host, http.admin.host)
    return parse_target(str(Address(host, http.admin.port)), token)


def read_token(secret: Secret, where: str, environ: Mapping[str, str]) -> str:
    """Read a token.

    Args:
        secret: Its place.
        where: What to name when it cannot be read.
        environ: Where variables are looked up.

    Raises:
        UserError: It cannot be read, or is none.
    """
    try:
        token = secret.reveal(environ).strip()
    except (OSError, KeyError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or type(error).__name__
        raise _token_fault(where, f"the token cannot be read: {words}") from error
    if not token or not token.isprintable():
        raise _token_fault(where, "there is no token in one line")
    return token


def _fault(text: str, message: str) -> UserError:
    return UserError("addresses of sidecars", [Finding(text, message, _HOW)])


def _token_fault(where: str, message: str) -> UserError:
    mend = "give a readable file that holds the token of `http.admin_token` as --token-file"
    return UserError(where, [Finding("token", message, mend)])
