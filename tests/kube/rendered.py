"""What kustomize and Helm make of `deploy`, and what of it may differ between the two."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml

from tests.kube.tools import tool

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
Object = dict[str, Any]
CONFIG = "sidecar.yaml"


class Pair(NamedTuple):
    """Overlays, and the release that must be the same."""

    overlays: tuple[str, ...]
    """Folders of `deploy`."""
    chart: str
    namespace: str


_OVERLAYS = "kubernetes/overlays"
PAIRS = {
    "dev": Pair((f"{_OVERLAYS}/dev",), "chart", "credit-dev"),
    "staging": Pair((f"{_OVERLAYS}/staging",), "chart", "credit-staging"),
    # What is there once for a cluster, or outlives the sidecar, is applied on its own.
    "production": Pair(
        (f"{_OVERLAYS}/production", "kubernetes/topics", "monitoring"), "chart", "credit"
    ),
    "on-premises": Pair((f"{_OVERLAYS}/on-premises",), "chart", "credit"),
    "native-sidecar": Pair((f"{_OVERLAYS}/native-sidecar",), "model-service", "credit"),
    "ordinary-container": Pair((f"{_OVERLAYS}/ordinary-container",), "model-service", "credit"),
}
"""By the name of overlay and values file."""


@cache
def rendered(way: str, name: str) -> str:
    """Give the text of a pair, by `kustomize` or `helm`."""
    pair = PAIRS[name]
    if way == "kustomize":
        return "---\n".join(
            output("kustomize", "build", str(DEPLOY / each)) for each in pair.overlays
        )
    with TemporaryDirectory() as folder:
        return output(*template(copied(Path(folder)), name))


def template(deploy: Path, name: str, *more: str) -> tuple[str, ...]:
    """Give the command that renders a release from a copy of `deploy`."""
    chart, values = deploy / PAIRS[name].chart, f"values/{name}.yaml"
    where = ("-n", PAIRS[name].namespace, *more)
    return ("helm", "template", "credit", str(chart), "-f", str(chart / values), *where)


def copied(folder: Path) -> Path:
    """Copy `deploy` and fetch what its charts depend on, which is beside them."""
    place = folder / "deploy"
    shutil.copytree(DEPLOY, place, symlinks=True)
    output("helm", "dependency", "build", str(place / "model-service"))
    return place


def output(name: str, *arguments: str) -> str:
    """Give what a tool prints; it must not fail."""
    done = subprocess.run(
        [tool(name), *arguments], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> list[Object]:
    """Give the objects of a text with documents."""
    return [each for each in yaml.safe_load_all(text) if each is not None]


# --- what may differ -------------------------------------------------------------------------

# kustomize puts the hash of the config into its name, Helm into an annotation of the pods. Both
# roll the pods when the config changes, which is tested on its own.
_HASH = re.compile(r"(sidecar-config)-[a-z0-9]{10}$")
_CHECKSUM = "checksum/config"
# Who made an object, as each chart says it, and what Helm may do with it.
_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart", "helm.sh/resource-policy")


def normal(each: Object) -> Object:
    """Give an object without what may differ: all of it is here."""
    found: Object = _without_hashes(each)
    for part in ("labels", "annotations"):
        said = found["metadata"].pop(part, {})
        if left := {key: value for key, value in said.items() if key not in _HELM}:
            found["metadata"][part] = left
    if found["kind"] == "Deployment":
        template = found["spec"]["template"]
        if template["metadata"].get("annotations", {}).keys() == {_CHECKSUM}:
            del template["metadata"]["annotations"]
        # These have no order; that of init containers matters.
        for names in (template["spec"]["volumes"], template["spec"]["containers"]):
            names.sort(key=itemgetter("name"))
    if found["kind"] == "ConfigMap" and CONFIG in found["data"]:
        # Text of one and the same config: one has comments, the other sorted keys.
        found["data"][CONFIG] = yaml.safe_load(found["data"][CONFIG])
    return found


def _without_hashes(tree: Any) -> Any:
    match tree:
        case dict():
            return {key: _without_hashes(value) for key, value in tree.items()}
        case list():
            return [_without_hashes(value) for value in tree]
        case str():
            return _HASH.sub(r"\1", tree)
    return tree


# --- reading ---------------------------------------------------------------------------------


def config_text(found: list[Object]) -> str:
    """Give the sidecar's config."""
    (text,) = (
        each["data"][CONFIG]
        for each in found
        if each["kind"] == "ConfigMap" and CONFIG in each["data"]
    )
    return str(text)


def pod_spec(found: list[Object]) -> Object:
    """Give the pod of the one workload."""
    (spec,) = (
        each["spec"]["template"]["spec"] for each in found if each["kind"] == "Deployment"
    )
    return dict(spec)


def containers(pod: Object) -> Iterator[Object]:
    """Give all containers of a pod, those that run before others too."""
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def sidecar(pod: Object) -> Object:
    """Give the sidecar's container."""
    (found,) = (each for each in containers(pod) if each["name"] == "sidecar")
    return dict(found)
