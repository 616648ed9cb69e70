"""What every object must keep to, whatever an overlay says."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from sidecar import __version__
from tests.kube.rendered import (
    PAIRS,
    Object,
    config_text,
    containers,
    objects,
    pod_spec,
    rendered,
    sidecar,
)

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.usefixtures("kube_tools"),
    pytest.mark.parametrize("name", PAIRS),
]

BESIDE = ("native-sidecar", "ordinary-container")
IMAGE = re.compile(r"[^:@]+:(?P<tag>[^:@]+)(@sha256:[0-9a-f]{64})?")


def found(name: str) -> list[Object]:
    return objects(rendered("kustomize", name))


def own(name: str) -> Iterator[Object]:
    """Give the containers that are ours."""
    pod = pod_spec(found(name))
    return (each for each in containers(pod) if each["name"].startswith("sidecar"))


def test_a_container_may_do_nothing_but_its_work(name: str) -> None:
    for container in own(name):
        assert container["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_a_container_says_what_it_needs_and_gets_no_more(name: str) -> None:
    for container in own(name):
        wanted, most = (container["resources"][part] for part in ("requests", "limits"))
        assert wanted.keys() == most.keys() == {"cpu", "memory"}
        assert cores(wanted["cpu"]) <= cores(most["cpu"])
        # More than requested would be taken away when the node runs short of it.
        assert wanted["memory"] == most["memory"]


def cores(text: str) -> float:
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def test_an_image_has_a_version(name: str) -> None:
    for container in containers(pod_spec(found(name))):
        image = IMAGE.fullmatch(container["image"])
        assert image is not None, container["image"]
        assert image["tag"] != "latest"
        assert container["name"] != "sidecar" or image["tag"] == __version__


def test_nothing_is_mounted_for_writing_but_scratch_space(name: str) -> None:
    pod = pod_spec(found(name))
    volumes = {volume["name"]: volume for volume in pod["volumes"]}

    for container in own(name):
        for mount in container["volumeMounts"]:
            assert mount.get("readOnly") or "emptyDir" in volumes[mount["name"]], mount
    for volume in volumes.values():
        assert volume.get("emptyDir", {"sizeLimit": "0"})["sizeLimit"]


def test_nobody_gets_a_token_of_the_cluster(name: str) -> None:
    pod = pod_spec(found(name))
    accounts = [each for each in found(name) if each["kind"] == "ServiceAccount"]

    assert pod["automountServiceAccountToken"] is False
    assert all(each["automountServiceAccountToken"] is False for each in accounts)
    if name not in BESIDE:
        assert [each["metadata"]["name"] for each in accounts] == [pod["serviceAccountName"]]


def test_secrets_are_files(name: str) -> None:
    pod = pod_spec(found(name))
    config = yaml.safe_load(config_text(found(name)))
    (secrets,) = (
        mount["mountPath"]
        for mount in sidecar(pod)["volumeMounts"]
        if mount["name"] == "sidecar-secrets"
    )
    security = config["kafka"].get("security", {})
    files = [value for key, value in security.items() if key.endswith("_file")]
    password = security.get("sasl", {}).get("password", {})

    assert not any("envFrom" in container for container in own(name))
    assert [each for each in found(name) if each["kind"] == "Secret"] == []
    assert "valueFrom" not in yaml.safe_dump(list(own(name)))
    assert password.keys() <= {"file"}
    assert all(file.startswith(f"{secrets}/") for file in [*files, *password.values()])


def test_the_bundle_is_where_the_config_looks_for_it(name: str) -> None:
    pod = pod_spec(found(name))
    bundle = yaml.safe_load(config_text(found(name)))["model"]["bundle"]
    mounts = {mount["name"]: mount["mountPath"] for mount in sidecar(pod)["volumeMounts"]}
    copied = [
        each["value"]
        for container in own(name)
        for each in container.get("env", [])
        if each["name"] == "BUNDLE"
    ]

    assert bundle.startswith(f"{mounts['sidecar-bundle']}/")
    assert copied in ([], [bundle])


# --- who is meant ----------------------------------------------------------------------------


def selectors(tree: Any) -> Iterator[Object]:
    """Give what selects pods, or the Service of them, within an object's `spec`."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in ("selector", "podSelector", "labelSelector"):
                yield value.get("matchLabels", value)
            else:
                yield from selectors(value)
    elif isinstance(tree, list):
        for each in tree:
            yield from selectors(each)


def test_whatever_selects_pods_selects_these_alone(name: str) -> None:
    kinds = ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor")
    (labels,) = (
        each["spec"]["template"]["metadata"]["labels"]
        for each in found(name)
        if each["kind"] == "Deployment"
    )
    chosen = [
        (each["kind"], selector)
        for each in found(name)
        if each["kind"] in (*kinds, "PodMonitor")
        for selector in selectors(each["spec"])
    ]

    for kind, selector in chosen:
        assert selector, f"{kind}: nothing selected is everything selected"
        assert selector.items() <= labels.items(), kind
        if name not in BESIDE:
            assert "app.kubernetes.io/instance" in selector, kind
    assert {"Deployment"} <= {kind for kind, _ in chosen}


def test_the_job_begins_as_the_alerts_ask(name: str) -> None:
    jobs = [
        rule
        for each in found(name)
        if each["kind"] in ("ServiceMonitor", "PodMonitor")
        for end in each["spec"].get("endpoints", each["spec"].get("podMetricsEndpoints"))
        for rule in end["relabelings"]
    ]

    for rule in jobs:
        assert (rule["targetLabel"], rule["replacement"]) == ("job", "sidecar-$1")
        (source,) = rule["sourceLabels"]
        assert source in (
            "__meta_kubernetes_service_label_app_kubernetes_io_instance",
            "__meta_kubernetes_pod_label_app_kubernetes_io_name",
        )


# --- what belongs together -------------------------------------------------------------------


def test_topics_rights_and_scaling_are_those_of_the_config(name: str) -> None:
    each_kind: dict[str, list[Object]] = {}
    for each in found(name):
        each_kind.setdefault(each["kind"], []).append(each)
    if "KafkaTopic" not in each_kind:
        return
    config = yaml.safe_load(config_text(found(name)))
    topics = {each["metadata"]["name"]: each["spec"] for each in each_kind["KafkaTopic"]}
    events, others = (
        config["topics"]["events"],
        ("decisions", "dead-letters", "signals", "state"),
    )
    wanted = {events, *(f"{config['name']}.{each}" for each in others)}
    (user,), (scaled,) = each_kind["KafkaUser"], each_kind["ScaledObject"]
    acls = user["spec"]["authorization"]["acls"]
    (trigger,) = scaled["spec"]["triggers"]

    assert topics.keys() == wanted
    assert {acl["resource"]["name"] for acl in acls} == wanted | {f"{config['name']}-sidecar"}
    assert user["metadata"]["name"] == config["kafka"]["security"]["sasl"]["username"]
    assert scaled["spec"]["maxReplicaCount"] == topics[events]["partitions"]
    assert topics[f"{config['name']}.state"]["config"]["cleanup.policy"] == "compact"
    assert trigger["metadata"]["topic"] == events
    assert trigger["metadata"]["consumerGroup"] == f"{config['name']}-sidecar"
    assert (
        trigger["metadata"]["bootstrapServers"].split(",")
        == (config["kafka"]["bootstrap_servers"])
    )


def test_only_what_stands_alone_is_scaled_or_fenced_in(name: str) -> None:
    kinds = {each["kind"] for each in found(name)}

    alone = {"NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"}
    assert kinds & {*alone, "ScaledObject"} == (
        set() if name in BESIDE else alone | (kinds & {"ScaledObject"})
    )
