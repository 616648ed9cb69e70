"""Prometheus's own linter on what a scrape gives."""

import shutil
import subprocess
from collections.abc import Callable

import pytest

from sidecar.telemetry.metrics import Metrics
from tests.telemetry_samples import busy_metrics, metrics

pytestmark = pytest.mark.promtool


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: Debian's package is `prometheus`")
    return found


@pytest.mark.parametrize("make", [busy_metrics, metrics], ids=["busy", "just started"])
def test_promtool_has_no_complaint(make: Callable[[], Metrics]) -> None:
    body = make().exposition("").write()

    done = subprocess.run(
        [promtool(), "check", "metrics"], input=body, capture_output=True, timeout=30
    )

    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, "", "")
