"""A factory for config files."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from sidecar.config.load import load_settings
from sidecar.config.settings import SidecarSettings
from sidecar.errors import ConfigError, Finding

Load = Callable[..., SidecarSettings]
Findings = Callable[..., list[Finding]]

MINIMAL: dict[str, object] = {
    "kafka": {"bootstrap_servers": ["broker:9092"]},
    "topics": {"events": "credit.events"},
    "model": {"bundle": "models/credit"},
}


def overlay(base: dict[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Put changes over a tree, section by section."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            merged[key] = overlay(below, value)
        else:
            merged[key] = value
    return merged


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load the smallest config with changes over it."""

    def load_changed(
        changes: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None
    ) -> SidecarSettings:
        path = tmp_path / "sidecar.yaml"
        path.write_text(yaml.safe_dump(overlay(MINIMAL, changes or {}), sort_keys=False))
        return load_settings(path, environ or {})

    return load_changed


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    """Give what is wrong with a text, without a fault none."""

    def findings_of(
        text: str, environ: Mapping[str, str] | None = None, name: str = "sidecar.yaml"
    ) -> list[Finding]:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        try:
            load_settings(path, environ or {})
        except ConfigError as error:
            return list(error.findings)
        return []

    return findings_of
