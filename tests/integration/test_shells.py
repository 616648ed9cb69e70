"""The completion scripts in the shells that they are for."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.shells

# Each asks its shell to complete `sidecar dlq re`, and prints what would be offered. Bash and
# zsh complete only at a prompt, so there the function is called as the prompt would call it.
BASH = """
eval "$(sidecar completion bash)"
complete -p sidecar
COMP_WORDS=(sidecar dlq re) COMP_CWORD=2
_sidecar_completion sidecar
echo "${COMPREPLY[@]}"
"""
ZSH = """
autoload -Uz compinit && compinit -u -D
eval "$(sidecar completion zsh)"
echo "$_comps[sidecar]"
_describe() { print -l -- ${(P)3} }
words=(sidecar dlq re) CURRENT=3
_sidecar_completion
"""
FISH = """
sidecar completion fish | source
complete -c sidecar
complete -C "sidecar dlq re"
"""


def printed(command: Sequence[str]) -> list[str]:
    """Run a shell that has read no start-up file; give its lines."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed: Debian's package has that name")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=50, env={**os.environ, "PATH": path}
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_bash_completes() -> None:
    registered, offered = printed(["bash", "--norc", "-c", BASH])

    assert registered == "complete -o nosort -F _sidecar_completion sidecar"
    assert offered == "replay"


def test_zsh_completes() -> None:
    registered, *offered = printed(["zsh", "-f", "-c", ZSH])

    assert registered == "_sidecar_completion"
    assert [line.partition(":")[0] for line in offered] == ["replay"]


def test_fish_completes() -> None:
    registered, *offered = printed(["fish", "--no-config", "-c", FISH])

    assert registered == "complete --no-files sidecar -a '(_sidecar_completion)'"
    assert [line.partition("\t")[0] for line in offered] == ["replay"]
