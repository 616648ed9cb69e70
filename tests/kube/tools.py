"""Helm, kustomize, kubectl and a Kubernetes API server with its etcd, built from their sources.

Their versions are in `go/go.mod`, what their modules must be in `go/go.sum`. They are
built once, with Go, into `.cache/kube-<digest>`; that takes some minutes. `python -m
tests.kube.tools` builds them and says where they are.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_MODULE = Path(__file__).parent / "go"
_CACHE = Path(__file__).parent.parent.parent / ".cache"
# The package of etcd's server is named after its folder.
_NAMES = {"server": "etcd"}


class NoToolsError(Exception):
    """Something that the tools need is not on this machine."""


def tool(name: str) -> str:
    """Give the path of a tool, built when it is not there: `helm`, `kustomize`, `etcd`, ...

    Raises:
        NoToolsError: Go is missing or too old, or modules cannot be fetched.
    """
    return str(_built() / name)


def _built() -> Path:
    texts = [(_MODULE / name).read_text("utf-8") for name in ("go.mod", "go.sum")]
    digest = hashlib.sha256("".join([*texts, *_flags(texts[0])]).encode()).hexdigest()
    target = _CACHE / f"kube-{digest[:16]}"
    if not target.exists():
        _build(target, _flags(texts[0]))
    return target


def _flags(module: str) -> list[str]:
    """Give what else would be unknown: a tool asks by its own version what it may do."""
    version = re.findall(r"k8s\.io/kubernetes (v1\.(\d+)\.\d+)", module)[0]
    words = {
        "k8s.io/component-base/version.gitVersion": version[0],
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": version[1],
        "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor": "1",
        "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor": version[1],
    }
    return ["-s", "-w", *(f"-X {place}={word}" for place, word in words.items())]


def _build(target: Path, flags: list[str]) -> None:
    if (go := shutil.which("go")) is None:
        raise NoToolsError("Go 1.24 or later builds the tools; none found")
    # Filled beside its place and moved there whole: an interrupted build leaves nothing.
    filling = target.with_name(f"{target.name}.{os.getpid()}")
    command = (go, "build", "-trimpath", f"-ldflags={' '.join(flags)}", "-o", f"{filling}/")
    settings = {"GOFLAGS": "-mod=readonly -buildvcs=false", "CGO_ENABLED": "0"}
    done = subprocess.run(
        [*command, "tool"],
        cwd=_MODULE,
        env={**os.environ, **settings, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(filling, ignore_errors=True)
        raise NoToolsError(f"Go could not build the tools:\n{done.stderr[-2000:]}")
    for built, name in _NAMES.items():
        (filling / built).rename(filling / name)
    if not target.exists():
        filling.rename(target)


if __name__ == "__main__":
    sys.stdout.write(f"{_built()}\n")
