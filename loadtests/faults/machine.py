"""Where and from what a run was made: figures without their conditions are worth nothing."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from loadtests.faults.clock import now_ms

_ROOT = Path(__file__).parents[2]


def today() -> str:
    """Give the date."""
    return f"{datetime.fromtimestamp(now_ms() / 1_000, UTC):%Y-%m-%d}"


def commit() -> str:
    """Give the commit, with `+` behind it when files of the repository were changed."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    changed = git("status", "--porcelain", "--untracked-files=no", "sidecar", "loadtests")
    return git("rev-parse", "--short", "HEAD").strip() + ("+" if changed.strip() else "")


def described() -> str:
    """Give system, Python and cores."""
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"{system}, Python {platform.python_version()}, {os.cpu_count()} cores"
