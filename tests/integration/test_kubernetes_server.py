"""A real Kubernetes API server takes every object, and refuses what is faulty.

By server-side dry run with strict validation, in namespaces that enforce Pod Security
"restricted", with the kinds of KEDA, of the Prometheus operator and of Strimzi.
"""

import json
from typing import Any

import pytest

from tests.kube.apiserver import ApiServer, RefusedError
from tests.kube.rendered import PAIRS, objects, pod_spec, rendered

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("kube_tools")]

APPLY = ("apply", "--server-side", "--dry-run=server", "--validate=strict")
STRICT = (*APPLY, "--warnings-as-errors", "-f", "-")
WAYS = ("kustomize", "helm")


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("way", WAYS)
def test_every_object_is_taken_without_a_warning(
    cluster: ApiServer, way: str, name: str
) -> None:
    text = rendered(way, name)

    said = cluster.kubectl(*STRICT, given=text)

    assert said.count("serverside-applied (server dry run)") == len(objects(text))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("way", WAYS)
def test_its_pods_are_admitted_where_restricted_is_enforced(
    cluster: ApiServer, way: str, name: str
) -> None:
    pod = pod_of(way, name)

    assert "created" in cluster.kubectl(*CREATE, given=json.dumps(pod))


CREATE = ("create", "--dry-run=server", "--validate=strict", "-f", "-")


def pod_of(way: str, name: str) -> dict[str, Any]:
    """Give the pod that a controller would make of the workload."""
    named = {"name": "pod", "namespace": PAIRS[name].namespace}
    spec = pod_spec(objects(rendered(way, name)))
    return {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": spec}


# --- and what is faulty is not ---------------------------------------------------------------


def changed(kind: str, **spec: Any) -> str:
    """Give one object of production with another `spec`."""
    (found,) = (
        each for each in objects(rendered("kustomize", "production")) if each["kind"] == kind
    )
    return json.dumps(found | {"spec": found["spec"] | spec})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (lambda: changed("Deployment", replica=2), ".spec.replica: field not declared"),
        (lambda: changed("Deployment", replicas="two"), "spec.replicas"),
        (lambda: changed("PodDisruptionBudget", minAvailable=1), "cannot be both set"),
        (lambda: changed("ScaledObject", maxReplicas=3), "maxReplicas"),
        (lambda: changed("ScaledObject", triggers=[{"metadata": {}}]), "triggers[0].type"),
        (lambda: changed("ServiceMonitor", endpoints=[{"interval": "soon"}]), "interval"),
    ],
    ids=["unknown field", "wrong type", "contradiction", "KEDA", "KEDA, missing", "Prometheus"],
)
def test_a_faulty_object_is_refused(cluster: ApiServer, text: Any, why: str) -> None:
    with pytest.raises(RefusedError) as refused:
        cluster.kubectl(*STRICT, given=text())

    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allowPrivilegeEscalation", True),
        ("runAsNonRoot", False),
        ("runAsUser", 0),
        ("capabilities", {"add": ["NET_ADMIN"]}),
        ("seccompProfile", {"type": "Unconfined"}),
    ],
)
def test_a_pod_with_more_rights_is_not_admitted(
    cluster: ApiServer, field: str, value: object
) -> None:
    pod = pod_of("kustomize", "native-sidecar")
    pod["spec"]["initContainers"][0]["securityContext"][field] = value

    with pytest.raises(RefusedError, match='violates PodSecurity "restricted'):
        cluster.kubectl(*CREATE, given=json.dumps(pod))
