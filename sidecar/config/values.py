"""Values that a config writes as people do: durations, sizes, secrets, addresses."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

# Digits are limited so that 64 bits hold every value; no real span or size needs more.
_DURATION = re.compile(r"(\d{1,11}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(B|KiB|MiB|GiB|kB|MB|GB)?", re.ASCII)
_ADDRESS = re.compile(r"(\[[^\[\]\s]+\]|[^\[\]:\s]+):(\d{1,5})", re.ASCII)
_BYTES = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}


class Duration:
    """A span of time, written `250ms`, `5s`, `10m`, `24h` or `7d`; 0 needs no unit."""

    __slots__ = ("ms",)

    def __init__(self, ms: int) -> None:
        """Keep whole milliseconds."""
        self.ms = ms

    @classmethod
    def parse(cls, text: object) -> "Duration":
        """Read a duration.

        Raises:
            ValueError: The text is none; the message shows how one is written.

        Example:
            >>> Duration.parse("1.5s").ms
            1500
        """
        if text == 0 and not isinstance(text, bool):
            return cls(0)
        match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                f"Expected a duration such as `250ms`, `5s`, `10m` or `24h`, got `{text}`"
            )
        return cls(round(float(match[1]) * _SECONDS[match[2]] * 1000))

    @property
    def seconds(self) -> float:
        """The same span in seconds."""
        return self.ms / 1000

    def __str__(self) -> str:
        """Write it as a config would, in the largest unit that is exact; one day is `24h`."""
        return _written(self.ms)

    def __repr__(self) -> str:
        """Show the value as a config would write it."""
        return f"Duration({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Compare by length."""
        return isinstance(other, Duration) and self.ms == other.ms

    def __hash__(self) -> int:
        """Hash by length."""
        return hash(self.ms)


@lru_cache(256)  # windows are named by their length many times a second
def _written(duration_ms: int) -> str:
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(duration_ms, round(_SECONDS[unit] * 1000))
        if count and not rest and (count, unit) != (1, "d"):
            return f"{count}{unit}"
    return f"{duration_ms}ms" if duration_ms else "0s"


class ByteSize:
    """A number of bytes, written `512KiB`, `1MiB`, `10MB`, or as a plain number."""

    __slots__ = ("bytes",)

    def __init__(self, size_bytes: int) -> None:
        """Keep whole bytes."""
        self.bytes = size_bytes

    @classmethod
    def parse(cls, text: object) -> "ByteSize":
        """Read a size.

        Raises:
            ValueError: The text is none; the message shows how one is written.

        Example:
            >>> ByteSize.parse("1MiB").bytes
            1048576
        """
        if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
            return cls(text)
        match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"Expected a size such as `512KiB` or `1MiB`, got `{text}`")
        return cls(round(float(match[1]) * _BYTES[match[2] or "B"]))

    def __str__(self) -> str:
        """Write it as a config would, in the largest unit that is exact."""
        for unit in ("GiB", "MiB", "KiB"):
            if self.bytes and self.bytes % _BYTES[unit] == 0:
                return f"{self.bytes // _BYTES[unit]}{unit}"
        return str(self.bytes)

    def __repr__(self) -> str:
        """Show the value as a config would write it."""
        return f"ByteSize({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Compare by size."""
        return isinstance(other, ByteSize) and self.bytes == other.bytes

    def __hash__(self) -> int:
        """Hash by size."""
        return hash(self.bytes)


class Secret:
    """A value that is never shown: it comes from a file or the environment.

    Written `{file: /run/secrets/kafka}` or `{env: KAFKA_PASSWORD}`, never as itself. A file is
    read again at each use, so that a rotated secret is picked up.
    """

    __slots__ = ("_env", "_file")

    def __init__(self, *, file: Path | None = None, env: str | None = None) -> None:
        """Say where the secret is: exactly one of the two."""
        self._file = file
        self._env = env

    @classmethod
    def parse(cls, raw: object) -> "Secret":
        """Read the place of a secret.

        Raises:
            ValueError: It is not of the form; a literal is refused and not repeated.
        """
        match raw:
            case {"file": str(path), **rest} if path and not rest:
                return cls(file=Path(path))
            case {"env": str(name), **rest} if name and not rest:
                return cls(env=name)
        raise ValueError("Expected the place of a secret, which does not stand in the config")

    def within(self, folder: Path) -> "Secret":
        """Give the same secret with a relative path of its file based on `folder`."""
        return Secret(file=folder / self._file) if self._file is not None else self

    def reveal(self, environ: Mapping[str, str]) -> str:
        """Give the secret itself.

        Args:
            environ: Where variables are looked up, normally `os.environ`.

        Raises:
            OSError: The file cannot be read.
            KeyError: The variable is not set.
        """
        if self._file is not None:
            return self._file.read_text(encoding="utf-8").strip()
        return environ[self._env or ""]

    def __repr__(self) -> str:
        """Show the place, never the value."""
        return (
            f"Secret(file={str(self._file)!r})" if self._file else f"Secret(env={self._env!r})"
        )

    def __eq__(self, other: object) -> bool:
        """Compare the places."""
        return isinstance(other, Secret) and repr(self) == repr(other)

    def __hash__(self) -> int:
        """Hash the place."""
        return hash(repr(self))


class Address:
    """A host and port to listen on, written `127.0.0.1:9465`; port 0 takes a free one."""

    __slots__ = ("host", "port")

    def __init__(self, host: str, port: int) -> None:
        """Keep both parts."""
        self.host = host
        self.port = port

    @classmethod
    def parse(cls, text: object) -> "Address":
        """Read an address.

        Raises:
            ValueError: The text is none; the message shows how one is written.

        Example:
            >>> Address.parse("[::1]:9465").host
            '::1'
        """
        match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
        if match is None or int(match[2]) > 65_535:
            raise ValueError(f"Expected an address such as `127.0.0.1:9465`, got `{text}`")
        return cls(match[1].strip("[]"), int(match[2]))

    def __str__(self) -> str:
        """Write it as a config would."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        """Show the value as a config would write it."""
        return f"Address({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Compare both parts."""
        return isinstance(other, Address) and str(self) == str(other)

    def __hash__(self) -> int:
        """Hash both parts."""
        return hash(str(self))
