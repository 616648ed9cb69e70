"""Files for Kubernetes that are made of others: the operator's rules, the chart's schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent

from sidecar.pipeline.schemas import components_of
from tools.kubernetes.values import Values

DEPLOY = Path(__file__).parents[2] / "deploy"
_RULE = """\
# Written by `make docs` from rules.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: sidecar
  labels: {app.kubernetes.io/name: sidecar}
spec:
"""


def texts() -> Mapping[Path, str]:
    """Give what stands in each file, by its path."""
    return {
        DEPLOY / "monitoring" / "prometheusrule.yaml": _rule(),
        DEPLOY / "chart" / "values.schema.json": _schema(),
    }


def _rule() -> str:
    rules = (DEPLOY / "monitoring" / "rules.yaml").read_text(encoding="utf-8")
    return _RULE + indent(rules[rules.index("groups:") :], "  ")


def _schema() -> str:
    components = components_of([Values], "#/$defs/{name}")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **components.pop("Values"),
        "$defs": components,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
