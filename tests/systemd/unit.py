"""Reads a unit file, and what systemd means by its lists of system calls."""

import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "sidecar.service"


def settings(path: Path = UNIT) -> dict[str, list[str]]:
    """Give each setting with its values, in order."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, is_one, value = line.partition("=")
        if is_one and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def allowed_calls() -> list[str]:
    """Give the system calls that the unit lets through."""
    allowed: set[str] = set()
    for value in settings()["SystemCallFilter"]:
        named = {call for group in value.removeprefix("~").split() for call in _calls(group)}
        allowed = allowed - named if value.startswith("~") else allowed | named
    return sorted(allowed)


def _calls(name: str) -> set[str]:
    """Give what a group stands for, those of the groups in it included."""
    if not name.startswith("@"):
        return {name}
    shown = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line.strip() for line in shown.splitlines()[1:]]
    members = [line for line in lines if line and not line.startswith("#")]
    return {call for member in members for call in _calls(member)}
