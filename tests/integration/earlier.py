"""An earlier version: the code of a commit of this repository, with what it had locked."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtests.environments import CannotInstallError, python

ROOT = Path(__file__).parents[2]
OLDEST = "f60c7249a5f4bdd67a6a87383d10bb447057c21c"
"""The oldest commit with a state topic, and so the oldest that docs/upgrade.md promises."""


def earlier(folder: Path, commit: str = OLDEST) -> Callable[[Path], list[str]]:
    """Unpack the commit and give what runs a config file with it.

    The test is skipped where history is not deep enough, or its packages cannot be had.
    """
    packed = subprocess.run(
        ["git", "archive", commit, "sidecar", "requirements/runtime.txt"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if packed.returncode:
        pytest.skip(f"the clone does not have {commit[:7]}: `git fetch --unshallow` gets it")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    try:
        interpreter = python(f"sidecar-{commit[:7]}", folder / "requirements" / "runtime.txt")
    except CannotInstallError as reason:
        pytest.skip(str(reason))
    # Without the working directory on the path, which has the code of this tree.
    code = ["env", f"PYTHONPATH={folder}", interpreter, "-P"]
    asked = [*code, "-c", "import sidecar; print(sidecar.__file__)"]
    place = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert place == str(folder / "sidecar" / "__init__.py")
    return lambda config: [*code, "-m", "sidecar", "run", str(config)]
