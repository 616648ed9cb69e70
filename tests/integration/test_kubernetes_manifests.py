"""kustomize and Helm give the same objects, and what stands in them is true of the program."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from sidecar.cli.main import cli
from sidecar.config.values import Duration
from tests.kube.rendered import (
    PAIRS,
    config_text,
    copied,
    normal,
    objects,
    output,
    pod_spec,
    rendered,
    sidecar,
    template,
)

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("kube_tools")]


@pytest.mark.parametrize("name", PAIRS)
def test_both_give_the_same_objects(name: str) -> None:
    ways = [
        {
            (each["kind"], each["metadata"]["name"]): each
            for each in map(normal, objects(rendered(way, name)))
        }
        for way in ("kustomize", "helm")
    ]

    assert ways[0] == ways[1]


@pytest.mark.parametrize("name", PAIRS)
def test_helm_has_nothing_to_say_of_a_chart(name: str, tmp_path: Path) -> None:
    chart = copied(tmp_path) / PAIRS[name].chart

    said = output("helm", "lint", "--strict", str(chart), "-f", f"{chart}/values/{name}.yaml")

    assert "1 chart(s) linted, 0 chart(s) failed" in said


# --- another config rolls the pods -----------------------------------------------------------


def test_another_config_gives_other_pods_by_kustomize(tmp_path: Path) -> None:
    place = copied(tmp_path) / "kubernetes" / "overlays" / "dev"
    before = pod_spec(objects(rendered("kustomize", "dev")))
    with (place / "sidecar.yaml").open("a", encoding="utf-8") as config:
        config.write("  format: text\n")

    after = pod_spec(objects(output("kustomize", "build", str(place))))

    assert before["volumes"] != after["volumes"]


@pytest.mark.parametrize(
    ("name", "config"), [("dev", "config"), ("native-sidecar", "sidecar.config")]
)
def test_another_config_gives_other_pods_by_helm(
    name: str, config: str, tmp_path: Path
) -> None:
    deploy, prefix = copied(tmp_path), config.removesuffix("config")

    before, same, after = (
        annotations(output(*template(deploy, name, "--set", f"{prefix}{changed}")))
        for changed in ("replicas=2", "replicas=3", "config.log.format=text")
    )

    assert before == same
    assert before != after


def annotations(text: str) -> dict[str, str]:
    (found,) = (
        each["spec"]["template"]["metadata"]["annotations"]
        for each in objects(text)
        if each["kind"] == "Deployment"
    )
    return dict(found)


# --- the config ------------------------------------------------------------------------------


def here(text: str, folder: Path, bundle: Path) -> Path:
    """Write a config as it stands in the pod, with the pod's paths led to this machine's."""
    for version in ("7", "8"):
        text = text.replace(f"/models/credit/{version}", str(bundle))
    path = folder / "sidecar.yaml"
    path.write_text(text.replace("/run/secrets/sidecar", str(folder)), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("way", ["kustomize", "helm"])
def test_the_config_has_nothing_to_mend(
    way: str, name: str, tmp_path: Path, credit_bundle: Path
) -> None:
    path = here(config_text(objects(rendered(way, name))), tmp_path, credit_bundle)

    result = CliRunner().invoke(cli, ["check", "--deny-warnings", str(path)])

    assert result.exit_code == 0, result.output
    assert str(credit_bundle) in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAIRS)
def test_the_pod_waits_longer_than_the_shutdown_takes(name: str) -> None:
    found = objects(rendered("kustomize", name))
    limits = yaml.safe_load(config_text(found)).get("limits", {})
    shutdown = Duration.parse(limits.get("shutdown", "25s")).ms / 1000
    # A native sidecar is told to stop when the service has ended, which may take its 30 s.
    service = 30 if name == "native-sidecar" else 0

    grace = pod_spec(found)["terminationGracePeriodSeconds"]

    assert service + shutdown < grace <= service + shutdown + 15


def test_beside_a_service_readiness_asks_for_no_kafka() -> None:
    for name in ("native-sidecar", "ordinary-container"):
        config = yaml.safe_load(config_text(objects(rendered("kustomize", name))))
        assert config["http"]["ready_needs_kafka"] is False


def test_the_container_is_the_same_in_every_form() -> None:
    pods = (pod_spec(objects(rendered("kustomize", name))) for name in PAIRS)
    # What an overlay says, and what makes a form one.
    varied = ("image", "resources", "restartPolicy", "startupProbe")

    kinds = {
        yaml.safe_dump({k: v for k, v in sidecar(pod).items() if k not in varied})
        for pod in pods
    }

    assert len(kinds) == 1


# --- the bundle ------------------------------------------------------------------------------


def test_a_bundle_is_copied_before_the_sidecar_starts() -> None:
    pod = pod_spec(objects(rendered("kustomize", "native-sidecar")))

    assert [each["name"] for each in pod["initContainers"]] == ["sidecar-bundle", "sidecar"]


@pytest.mark.parametrize("digest", ["", "0" * 64], ids=["the manifest's", "another"])
def test_a_bundle_is_the_one_that_was_named(
    digest: str, credit_bundle: Path, tmp_path: Path
) -> None:
    pod = pod_spec(objects(rendered("kustomize", "production")))
    (copies,) = pod["initContainers"]
    (script,) = copies["args"]
    manifest = (credit_bundle / "manifest.toml").read_bytes()
    settings = {
        "BUNDLE": str(tmp_path / "models" / "credit" / "7"),
        "MANIFEST_SHA256": digest or hashlib.sha256(manifest).hexdigest(),
    }
    assert settings.keys() == {each["name"] for each in copies["env"]}

    # Twice: it runs again when the node starts anew, and finds what it copied before.
    codes = [
        subprocess.run(
            [*copies["command"], script.replace("/bundle/.", f"{credit_bundle}/.")],
            env={**os.environ, **settings},
            capture_output=True,
        ).returncode
        for _ in range(2)
    ]

    assert codes == ([1, 1] if digest else [0, 0])
    assert (
        digest
        or CliRunner().invoke(cli, ["bundle", "verify", settings["BUNDLE"]]).exit_code == 0
    )
