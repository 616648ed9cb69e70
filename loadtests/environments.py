"""An environment for each contestant, made once from its locked requirements."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from loadtests.drift.contestants import Contestant

_HERE = Path(__file__).parent
_CACHE = _HERE.parent.parent / ".cache"


class CannotInstallError(RuntimeError):
    """An environment cannot be made; the text says why."""


def python(contestant: Contestant) -> str:
    """Give the interpreter that a contestant runs in; its environment is made if need be.

    Raises:
        CannotInstallError: An installer failed.
    """
    if contestant.requirements is None:
        return sys.executable
    wanted = _HERE / contestant.requirements
    digest = sha256(wanted.read_bytes()).hexdigest()[:8]
    folder = _CACHE / f"drift-{contestant.name}-{digest}"
    interpreter = folder / "bin" / "python"
    done = folder / "done"
    if not done.exists():
        print(f"setting up {contestant.name} (once)", flush=True)
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        # The file names all that is needed, and leaves out what only other uses need.
        install = ("-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r")
        _run(str(interpreter), *install, str(wanted))
        done.touch()
    return str(interpreter)


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise CannotInstallError(f"{' '.join(command)}:\n{ended.stderr}")
