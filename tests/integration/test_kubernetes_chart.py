"""What the chart makes of a config that asks for more than the examples do."""

from pathlib import Path
from typing import Any

import pytest

from tests.kube.apiserver import ApiServer
from tests.kube.rendered import config_text, copied, objects, output, template

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("kube_tools")]

STRICT = (
    "apply",
    "--server-side",
    "--dry-run=server",
    "--validate=strict",
    "--warnings-as-errors",
)


@pytest.fixture
def chart(cluster: ApiServer, tmp_path: Path) -> Any:
    """Give the objects of a release by kind, with further values; a server takes them all."""

    def made(name: str, *settings: str) -> dict[str, Any]:
        more = [word for setting in settings for word in ("--set", setting)]
        text = output(*template(copied(tmp_path), name, *more))
        cluster.kubectl(*STRICT, "-f", "-", given=text)
        return {each["kind"]: each for each in objects(text)}

    return made


AUTOSCALING = "autoscaling.min=1,autoscaling.max=12,autoscaling.lag=1000000"


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("dev", None, {}),
        ("staging", ["ca.crt", "tls.crt", "tls.key"], {"tls": "enable"}),
        (
            "on-premises",
            ["username", "password", "ca.crt"],
            {"tls": "enable", "sasl": "scram_sha512"},
        ),
    ],
)
def test_what_scales_gets_in_as_the_sidecar_does(
    name: str, keys: list[str] | None, said: dict[str, str], chart: Any
) -> None:
    made = chart(name, AUTOSCALING)

    (trigger,) = made["ScaledObject"]["spec"]["triggers"]
    access = made.get("TriggerAuthentication")
    assert trigger["metadata"]["lagThreshold"] == "1000000"
    assert {k: v for k, v in trigger["metadata"].items() if k in ("tls", "sasl")} == said
    assert (access and [each["key"] for each in access["spec"]["secretTargetRef"]]) == keys
    assert ("authenticationRef" in trigger) is (access is not None)


def test_exactly_once_gets_its_rights(chart: Any) -> None:
    made = chart("production", "config.delivery.mode=exactly_once")

    assert {
        "resource": {
            "type": "transactionalId",
            "name": "credit-sidecar.credit.events.",
            "patternType": "prefix",
        },
        "operations": ["Write"],
    } in made["KafkaUser"]["spec"]["authorization"]["acls"]


def test_rights_and_scaling_follow_names_that_a_config_gives(chart: Any) -> None:
    made = chart(
        "production", "config.kafka.group=scores", "config.topics.decisions=scores.out"
    )

    names = {
        each["resource"]["name"] for each in made["KafkaUser"]["spec"]["authorization"]["acls"]
    }
    (trigger,) = made["ScaledObject"]["spec"]["triggers"]
    assert {"scores", "scores.out"} <= names
    assert "credit.decisions" not in names
    assert trigger["metadata"]["consumerGroup"] == "scores"


def test_large_numbers_of_a_config_stay_whole(chart: Any) -> None:
    made = chart("dev", "config.monitors.quality.duplicates.remember=10000000")

    assert "remember: 10000000\n" in config_text([made["ConfigMap"]])


def test_scrapes_and_rules_have_the_labels_that_prometheus_looks_for(chart: Any) -> None:
    made = chart("production", "monitorLabels.release=prometheus")

    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert made[kind]["metadata"]["labels"]["release"] == "prometheus"
