"""Collecting what is wrong with a config, so that all of it is told at once."""

from typing import Final

from sidecar.errors import Finding


class Faulty:
    """Stands where a value would, once its fault is noted, so that it is noted once."""


FAULTY: Final = Faulty()


class Faults:
    """The faults of one config file, and the lines on which its parts stand."""

    def __init__(self) -> None:
        """Start without a fault and without lines."""
        self.lines: dict[str, int] = {}
        """Line of each path, counted from 1; empty where the format gives none."""
        self._found: list[tuple[int, Finding]] = []

    def add(self, path: str, message: str, mend: str) -> None:
        """Note one fault; the line is added to its message where it is known.

        Args:
            path: Where: `$.fallback.rules[2].when`.
            message: What is wrong there.
            mend: What to do about it.
        """
        line = self.line_of(path)
        where = f", line {line}" if line else ""
        self._found.append((line, Finding(path, f"{message}{where}", mend)))

    def findings(self) -> list[Finding]:
        """Give all faults in the order of the file, or as they were found without lines."""
        return [finding for _, finding in sorted(self._found, key=lambda pair: pair[0])]

    def line_of(self, path: str) -> int:
        """Give the line of the nearest part that exists: a missing key has its section's.

        Returns:
            Counted from 1; 0 where the format gives no lines.
        """
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, 0)
