"""The commands of docs/deployment.md, run in order on a real API server, in either way."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.sizing import Costs, cores
from tests.kube.apiserver import ApiServer, RefusedError
from tests.kube.rendered import PAIRS, copied, objects, pod_spec, rendered, sidecar
from tests.kube.tools import tool

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("kube_tools")]

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "deployment.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What only one of the two ways does.
OF = {"kustomize": re.compile(r" -k "), "helm": re.compile(r"^helm ", re.MULTILINE)}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[ApiServer]:
    """A cluster that has the operators' namespaces, and what Strimzi would have made."""
    (tmp_path / "cluster").mkdir()
    server = ApiServer(tmp_path / "cluster")
    try:
        server.start()
        for name in ("kafka", "monitoring"):
            server.namespace(name)
        for name, key in (("credit-sidecar", "password"), ("main-cluster-ca-cert", "ca.crt")):
            secret = ("create", "secret", "generic", name, f"--from-literal={key}=x")
            server.kubectl("-n", "kafka", *secret)
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize("way", OF)
def test_the_commands_of_the_page_work_in_order(
    way: str, fresh: ApiServer, tmp_path: Path
) -> None:
    (other,) = (each for each in OF if each != way)
    blocks = [block for block in BLOCK.findall(PAGE) if not OF[other].search(block)]
    copied(tmp_path)
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("x")
    environment = {
        "PATH": f"{quiet_commands(tmp_path)}:{Path(tool('helm')).parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(fresh.config),
        "HOME": str(tmp_path),
    }

    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(len(OF[way].findall(block)) for block in blocks) >= len(PAIRS)
    assert {name for name in PAIRS if is_there(fresh, way, name)} == PAIRS.keys() - REPLACED
    topics = fresh.kubectl("-n", "kafka", "get", "kafkatopics", "-o", "name").split()
    assert len(topics) == 5, "topics outlive the sidecar"


# By `on-premises` and `ordinary-container`, which come later and have the same names.
REPLACED = {"production", "native-sidecar"}


def quiet_commands(folder: Path) -> Path:
    """Write Kafka's commands as ones that do nothing: they run for real in another test."""
    place = folder / "commands"
    place.mkdir()
    for name in ("kafka-topics.sh", "kafka-acls.sh"):
        (place / name).write_text("#!/bin/sh\n")
        (place / name).chmod(0o755)
    return place


def is_there(server: ApiServer, way: str, name: str) -> bool:
    """Say whether every object of a pair is on the server, with all that stands in it."""
    try:
        server.kubectl(
            "diff", "--server-side", "--force-conflicts", "-f", "-", given=rendered(way, name)
        )
    except RefusedError:
        return False
    return True


# --- sizes -----------------------------------------------------------------------------------

SIZING = re.compile(
    r"^\| (?P<form>[^|]+) \| (?P<milli>\d+)m \| (?P<rate>[\d,]+) events/s of (?P<features>\d+)"
    r" features, a model of (?P<model>\d+) µs \| (?P<memory>\d+)Mi \| (?P<partitions>\d+) ",
    re.MULTILINE,
)
FORMS = {
    "alone": ("staging", "production", "on-premises"),
    "alone, `dev`": ("dev",),
    "beside a service": ("native-sidecar", "ordinary-container"),
}


def test_what_is_requested_follows_the_rule_for_sizes() -> None:
    measured = (DOCS / "performance.md").read_text(encoding="utf-8")
    (rule,) = re.findall(r"^base = ([\d.]+) µs, each = ([\d.]+) µs", measured, re.MULTILINE)
    costs = Costs(*map(float, rule))
    # The last column but one, in MB.
    held = {
        name: int(cells.split(" | ")[-2])
        for name, cells in re.findall(r"^\| partitions-(\d+) \| (.*)$", measured, re.MULTILINE)
    }
    rows = list(SIZING.finditer(PAGE))

    assert [row["form"] for row in rows] == list(FORMS)
    for row in rows:
        event_us = costs.of(int(row["features"]), float(row["model"]))
        needed = cores(float(row["rate"].replace(",", "")), event_us)
        assert needed <= int(row["milli"]) / 1000 + 0.005
        assert int(row["memory"]) >= 1.5 * held[row["partitions"]]
        for name in FORMS[row["form"]]:
            pod = pod_spec(objects(rendered("kustomize", name)))
            wanted = {"cpu": f"{row['milli']}m", "memory": f"{row['memory']}Mi"}
            assert sidecar(pod)["resources"]["requests"] == wanted
