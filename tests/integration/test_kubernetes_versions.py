"""Releases of Kubernetes know every field: the oldest that is promised, and later ones.

What operators bring, these schemas do not know; the API server of the tests does.
"""

import json
import subprocess
from pathlib import Path

import pytest

from loadtests.environments import CannotInstallError, python
from tests.kube.rendered import PAIRS, objects, rendered

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("kube_tools")]

LOCK = Path(__file__).parents[1] / "kube" / "validate.txt"
OPERATORS = ("keda.sh", "monitoring.coreos.com", "kafka.strimzi.io")
# The oldest of the chart, the first with native sidecars by default, and those that are run.
VERSIONS = ("1.27", "1.29", "1.33", "1.37")
TOO_OLD = ("1.27", "native-sidecar")


def validated(version: str, name: str, folder: Path) -> tuple[int, list[str]]:
    """Give the exit code and the lines of the validator, for what Kubernetes itself knows."""
    known = [
        each
        for each in objects(rendered("kustomize", name))
        if each["apiVersion"].partition("/")[0] not in OPERATORS
    ]
    file = folder / "objects.yaml"
    file.write_text("---\n".join(json.dumps(each) + "\n" for each in known), encoding="utf-8")
    try:
        interpreter = python("kubernetes-validate", LOCK)
    except CannotInstallError as reason:
        pytest.skip(str(reason))
    done = subprocess.run(
        [interpreter, "-m", "kubernetes_validate", "--strict", "-k", version, str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line]
    passed = [line for line in said if " passed for resource " in line]
    assert done.returncode or len(passed) == len(known), said
    return done.returncode, said


@pytest.mark.parametrize(
    ("version", "name"),
    [(version, name) for version in VERSIONS for name in PAIRS if (version, name) != TOO_OLD],
)
def test_a_release_knows_every_field(version: str, name: str, tmp_path: Path) -> None:
    code, said = validated(version, name, tmp_path)

    assert code == 0, said
    assert all(line.startswith("INFO") for line in said), said


def test_a_release_before_native_sidecars_refuses_one(tmp_path: Path) -> None:
    code, said = validated(*TOO_OLD, tmp_path)

    assert code == 1
    assert "restartPolicy" in " ".join(said)
