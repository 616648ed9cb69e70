"""The parser of the AsyncAPI initiative, from npm.

Its packages come once, at the versions of `package-lock.json`, into `.cache/asyncapi-<digest>`.
"""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_CACHE = _HERE.parent.parent / ".cache"
_FILES = ("package.json", "package-lock.json", ".npmrc", "parse.mjs")
_INSTALL_S = 150.0
_PARSE_S = 30.0


class CannotParseError(Exception):
    """Something that the parser needs is not on this machine."""


class Diagnostic(NamedTuple):
    """One thing that the parser has to say of a document."""

    path: str
    message: str


def diagnostics(document: Path) -> list[Diagnostic]:
    """Give all that the parser says of a document, hints included.

    Raises:
        CannotParseError: Node.js or npm is missing, or the packages cannot be fetched.
    """
    script = _installed() / "parse.mjs"
    done = subprocess.run(
        ["node", str(script), str(document)], capture_output=True, timeout=_PARSE_S, check=True
    )
    found = map(json.loads, done.stdout.splitlines())
    return [Diagnostic(each["path"], each["message"]) for each in found]


def _installed() -> Path:
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            raise CannotParseError(f"{command} is missing: install Debian's `npm` package")
    wanted = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _FILES))
    target = _CACHE / f"asyncapi-{wanted.hexdigest()[:16]}"
    if not target.exists():
        _install(target)
    return target


def _install(target: Path) -> None:
    # Filled beside its place and moved there whole: an interrupted fetch leaves nothing.
    filling = target.with_name(f"{target.name}.{os.getpid()}")
    filling.mkdir(parents=True)
    for name in _FILES:
        shutil.copy(_HERE / name, filling)
    done = subprocess.run(
        ["npm", "ci"], cwd=filling, capture_output=True, text=True, timeout=_INSTALL_S
    )
    if done.returncode:
        shutil.rmtree(filling)
        raise CannotParseError(f"npm could not fetch the parser:\n{done.stderr[-2000:]}")
    if not target.exists():
        filling.rename(target)
