"""Alertmanager's own tool on the example config: valid, and each alert goes where it must."""

import shutil
import subprocess

import pytest

from tests.repo.test_alertmanager import LABELS
from tests.repo.test_alerts import ALERTS, MONITORING

pytestmark = pytest.mark.alertmanager

RECEIVERS = {"critical": "pager", "warning": "tickets"}


def amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("amtool")
    if found is None:
        pytest.skip("amtool is not installed: Debian's package is `prometheus-alertmanager`")
    return subprocess.run(
        [found, *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=30
    )


def test_the_config_passes() -> None:
    done = amtool("check-config", "alertmanager.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_goes_where_its_severity_says(name: str) -> None:
    labels = {**LABELS[name], "alertname": name}
    receiver = RECEIVERS[ALERTS[name]["labels"]["severity"]]

    done = amtool(
        *("config", "routes", "test", "--config.file=alertmanager.yaml"),
        f"--verify.receivers={receiver}",
        *(f"{label}={value}" for label, value in labels.items()),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == receiver
