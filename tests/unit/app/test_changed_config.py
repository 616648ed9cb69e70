"""Unit: which settings let windows begin anew, as docs/upgrade.md says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.assembly import assemble
from sidecar.config.load import load_settings
from tests.fakes import FakeClock

PAGE = (Path(__file__).parents[3] / "docs" / "upgrade.md").read_text(encoding="utf-8")
RULE = {"name": "other", "when": {"age": {"lt": 18}}, "label": "decline"}
GO_ON, QUALITY, DRIFT, BOTH = (False, False), (False, True), (True, False), (True, True)
"""Whether those of drift, and those of data quality, begin anew."""

CHANGES: dict[str, list[tuple[dict[str, Any], tuple[bool, bool]]]] = {
    "confidence.threshold": [({"confidence": {"threshold": 0.9}}, GO_ON)],
    "fallback.default": [({"fallback": {"default": {"label": "review"}}}, GO_ON)],
    "fallback.cache": [({"fallback": {"cache": {"max_age": "1h"}}}, GO_ON)],
    "limits": [({"limits": {"dead_letter_share": 0.9}}, GO_ON)],
    "monitors.drift": [({"monitors": {"drift": {"delta": 0.2}}}, GO_ON)],
    "monitors.quality.usual": [
        ({"monitors": {"quality": {"usual": {"rejected": 0.1}}}}, GO_ON),
    ],
    "monitors.min_records": [({"monitors": {"min_records": 500}}, GO_ON)],
    "fallback.rules": [({"fallback": {"rules": [RULE]}}, QUALITY)],
    "monitors.quality.freshness": [
        ({"monitors": {"quality": {"freshness": "1h"}}}, QUALITY),
    ],
    "model.shadow": [({"model": {"shadow": True}}, QUALITY)],
    "confidence.measure": [({"confidence": {"measure": "margin"}}, DRIFT)],
    "monitors.pane": [({"monitors": {"pane": "30s"}}, BOTH)],
    "monitors.windows": [
        ({"monitors": {"windows": ["5m", "7d"]}}, BOTH),
        ({"monitors": {"windows": ["10m", "24h"]}}, GO_ON),
    ],
    "monitors.lateness": [({"monitors": {"lateness": "1h"}}, BOTH)],
    "monitors.features": [({"monitors": {"features": ["age"]}}, BOTH)],
}
SAID = {
    "go on": GO_ON,
    "those of data quality begin anew": QUALITY,
    "those of drift begin anew": DRIFT,
    "begin anew": BOTH,
}


def fingerprints(folder: Path, bundle: Path, changed: dict[str, Any]) -> tuple[str, str]:
    tree = {
        "kafka": {"bootstrap_servers": ["127.0.0.1:1"]},
        "topics": {"events": "credit.events"},
        **changed,
        "model": {"bundle": str(bundle), **changed.get("model", {})},
    }
    config = folder / "sidecar.json"
    config.write_text(json.dumps(tree))
    made = assemble(load_settings(config, {}), FakeClock())
    return made.drift.fingerprint, made.quality.fingerprint


@pytest.mark.parametrize("setting", CHANGES)
def test_windows_begin_anew_where_they_count_something_else(
    setting: str, credit_bundle: Path, tmp_path: Path
) -> None:
    before = fingerprints(tmp_path, credit_bundle, {})
    for changed, anew in CHANGES[setting]:
        after = fingerprints(tmp_path, credit_bundle, changed)

        assert (before[0] != after[0], before[1] != after[1]) == anew


def test_the_page_says_the_same() -> None:
    section = PAGE.partition("## Change the config")[2].partition("## ")[0]
    rows = re.findall(r"^\| (.*`.*) \| (.*begin anew|go on)[^|]*\|$", section, re.MULTILINE)
    said = {name: SAID[what] for cell, what in rows for name in re.findall(r"`([\w.]+)`", cell)}

    assert said == {name: changes[0][1] for name, changes in CHANGES.items()}
