"""Prometheus's own linter on what a scrape gives, and on the rules that ask for it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sidecar.telemetry.metrics import Metrics
from tests.boards import asked
from tests.telemetry_samples import busy_metrics, metrics

pytestmark = pytest.mark.promtool

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"


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


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"),
        ("test", "rules", "rules.test.yaml"),
        ("test", "rules", "rules.days.test.yaml"),
    ],
    ids=["check", "test", "test, days"],
)
def test_the_rules_pass(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [promtool(), *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_the_queries_of_the_dashboards_are_queries(tmp_path: Path) -> None:
    variables = {"job": ".*", "instance": ".*", "window": "1h", "feature": ".*"}
    queries = [query.filled(**variables, __rate_interval="1m") for query in asked()]
    rules = [
        {"record": f"dashboard:query:number{at}", "expr": expr}
        for at, expr in enumerate(queries)
    ]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    done = subprocess.run(
        [promtool(), "check", "rules", str(path)], capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(queries)} rules found" in done.stdout


def test_the_config_in_the_docs_is_one(tmp_path: Path) -> None:
    page = (MONITORING.parents[1] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    config = page.partition("<!-- prometheus -->\n```yaml\n")[2].partition("```")[0]
    (tmp_path / "prometheus.yaml").write_text(config)
    (tmp_path / "rules.yaml").write_bytes((MONITORING / "rules.yaml").read_bytes())

    done = subprocess.run(
        [promtool(), "check", "config", str(tmp_path / "prometheus.yaml")],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout
